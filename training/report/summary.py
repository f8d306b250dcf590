"""The figures of an evaluation as Markdown tables, without any patient's data."""

from collections.abc import Sequence

from training.evaluation import MODEL, Evaluation
from training.home import HomeComparison
from training.intervals import NOMINAL
from training.report.content import Content
from training.report.headline import headline, losses, verdict
from training.report.home_view import home_sentence
from training.report.labels import (
    BASELINE_NAMES,
    METHOD_NAMES,
    TASK_NAMES,
    TASK_SENTENCES,
    axis_label,
    number,
    percent,
    significant,
)
from training.report.provenance import Provenance
from training.report.scores import (
    MANY_TARGETS,
    GapScore,
    VariableScore,
    mean_crps,
    worst_covered,
)


def write_summary_markdown(
    evaluation: Evaluation, provenance: Provenance, home: HomeComparison | None = None
) -> str:
    """Return the summary of a report."""
    content = Content.of(evaluation, provenance, home=home)
    scores = content.scores
    name = f"{provenance.artifact_name} {provenance.artifact_version}"
    worst = worst_covered(scores)
    parts = [
        f"# {TASK_NAMES[evaluation.task]}: {name} on {provenance.data_name}",
        *provenance.judged,
        headline(evaluation, scores),
        losses(scores),
        *([] if home is None else ["## Relative to home", home_sentence(home), _home(home)]),
        f"{TASK_SENTENCES[evaluation.task]} Errors are mean absolute errors of the median in "
        "standardized units, averaged over a variable's targets and then over variables; the "
        "intervals resample whole subjects.",
        markdown_table(
            ["Method", "Mean error", "Model / method", "95 %", ""], _methods(evaluation)
        ),
        f"CRPS {number(mean_crps(scores), 4)}. Farthest from its promise of the variables with at "
        f"least {MANY_TARGETS} targets: {worst.variable.name}, off by "
        f"{number(100 * worst.largest_deviation, 1)} points on {worst.num_targets:,} targets.",
        markdown_table(["Interval", "Inside", "Steps split", "Mean width"], _coverage(evaluation)),
        markdown_table(
            ["Nearest measurement", "Targets", *(f"In {name}" for name in NOMINAL), "90 % width"],
            [_gap(gap) for gap in content.gaps],
        ),
        "## By variable",
        markdown_table(
            [
                *("Variable", "Targets", "Model", "Best baseline", "Ratio", "RMSE", "CRPS"),
                *(*(f"In {name}" for name in NOMINAL), "Off by", "Error in own unit"),
            ],
            [_variable(score) for score in scores],
        ),
        "## Provenance",
        "\n".join(f"- {label}: `{text}`" for label, text in provenance.rows()),
        "Not a medical device. Estimates are not measurements.",
    ]
    return "\n\n".join(parts) + "\n"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with numbers to the right."""
    lines = [head, ["---", *(["--:"] * (len(head) - 1))], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _methods(evaluation: Evaluation) -> list[list[str]]:
    rows = [[METHOD_NAMES[MODEL], number(evaluation.mean_error(MODEL), 4), "", "", ""]]
    for name in BASELINE_NAMES:
        low, high = evaluation.ratio_intervals[name]
        ratio = number(evaluation.ratio(name))
        interval = f"{number(low)} – {number(high)}"
        error = number(evaluation.mean_error(name), 4)
        rows.append([METHOD_NAMES[name], error, ratio, interval, verdict(evaluation, name)])
    return rows


def _coverage(evaluation: Evaluation) -> list[list[str]]:
    overall = evaluation.overall_intervals
    return [
        [
            name,
            percent(float(overall.closed[row, 0]), 1),
            percent(float(overall.split[row, 0]), 1),
            number(float(overall.width[row, 0])),
        ]
        for row, name in enumerate(NOMINAL)
    ]


def _gap(gap: GapScore) -> list[str]:
    shares = [percent(gap.split_coverage[name], 1) for name in NOMINAL]
    return [gap.label, f"{gap.num_targets:,}", *shares, number(gap.widths["90%"])]


def _home(home: HomeComparison) -> str:
    rows = [
        [
            one.variable.name,
            f"{one.here.num_targets:,}",
            f"{one.home.num_targets:,}",
            number(one.here.error),
            number(one.home.error),
            number(one.error_ratio, 2),
            number(one.crps_ratio, 2),
        ]
        for one in home.comparable
    ]
    head = ["Variable here and at home", "Targets here", "at home", "Error here", "at home"]
    return markdown_table([*head, "Ratio", "CRPS ratio"], rows)


def _variable(score: VariableScore) -> list[str]:
    best = score.best_baseline
    return [
        axis_label(score.variable),
        str(score.num_targets),
        number(score.errors[MODEL]),
        f"{number(score.errors[best])} {METHOD_NAMES[best]}",
        number(score.ratio) + (" ▲" if score.is_worse else ""),
        number(score.root_mean_squared_errors[MODEL]),
        number(score.crps),
        *(percent(score.split_coverage[name], 1) for name in NOMINAL),
        number(100 * score.largest_deviation, 1),
        significant(score.canonical_error),
    ]
