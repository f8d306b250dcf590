"""The figures of an evaluation as Markdown tables, without any patient's data."""

from collections.abc import Sequence

from training.evaluation import GAP_EDGES_HOURS, MODEL, Evaluation
from training.report.headline import headline, losses, verdict
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
    GapScore,
    VariableScore,
    mean_crps,
    overall_coverage,
    variable_scores,
)


def write_summary_markdown(evaluation: Evaluation, provenance: Provenance) -> str:
    """Return the summary of a report."""
    scores = variable_scores(evaluation, provenance.catalogue)
    coverage = overall_coverage(scores)
    name = f"{provenance.artifact_name} {provenance.artifact_version}"
    parts = [
        f"# {TASK_NAMES[evaluation.task]}: {name} on {provenance.data_name}",
        headline(evaluation, scores),
        losses(scores),
        f"{TASK_SENTENCES[evaluation.task]} Errors are mean absolute errors of the median in "
        "standardized units, averaged over a variable's targets and then over variables; the "
        "intervals resample whole series.",
        markdown_table(
            ["Method", "Mean error", "Model / method", "95 %", ""], _methods(evaluation)
        ),
        f"CRPS {number(mean_crps(scores), 4)}. Of all targets, {percent(coverage['50%'], 1)} lie in "
        f"the 50 % interval and {percent(coverage['90%'], 1)} in the 90 % interval.",
        markdown_table(["Nearest measurement", "In 90 %"], _gaps(evaluation)),
        "## By variable",
        markdown_table(
            [
                *("Variable", "Targets", "Model", "Best baseline", "Ratio", "RMSE", "CRPS"),
                *("In 50 %", "In 90 %", "Error in own unit"),
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


def _gaps(evaluation: Evaluation) -> list[list[str]]:
    return [
        [
            GapScore(
                low_hours=GAP_EDGES_HOURS[gap],
                high_hours=GAP_EDGES_HOURS[gap + 1],
                num_targets=0,
                coverage={},
            ).label,
            percent(float(coverage), 1),
        ]
        for gap, coverage in enumerate(evaluation.coverage_by_gap)
    ]


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
        percent(score.coverage["50%"], 1),
        percent(score.coverage["90%"], 1),
        significant(score.canonical_error),
    ]
