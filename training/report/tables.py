"""HTML tables of a report: all figures by variable, the methods, and the targets of an example."""

from collections.abc import Sequence
from html import escape

from training.evaluation import MODEL, Evaluation
from training.intervals import NOMINAL
from training.report.examples import Example
from training.report.headline import verdict
from training.report.labels import (
    BASELINE_NAMES,
    METHOD_NAMES,
    axis_label,
    number,
    percent,
    significant,
    unit_label,
)
from training.report.provenance import Provenance
from training.report.scores import MANY_TARGETS, GapScore, VariableScore

_WORSE = ' <abbr class="worse" title="worse than the best baseline">▲</abbr>'


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str, classes: str = ""
) -> str:
    """Return a table whose first column names the row. Cells are HTML."""
    header = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "\n".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        f'<div class="scroll"><table class="{classes}"><caption>{caption}</caption>'
        f"<thead><tr>{header}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def method_table(evaluation: Evaluation) -> str:
    """Return the mean error of each method and the model's ratio to it."""
    rows = [[METHOD_NAMES[MODEL], number(evaluation.mean_error(MODEL), 4), "", "", ""]]
    for name in BASELINE_NAMES:
        low, high = evaluation.ratio_intervals[name]
        rows.append(
            [
                METHOD_NAMES[name],
                number(evaluation.mean_error(name), 4),
                number(evaluation.ratio(name)),
                f"{number(low)} – {number(high)}",
                verdict(evaluation, name),
            ]
        )
    return table(
        ["Method", "Mean error", "Model / method", "95 % interval", "Verdict"],
        rows,
        caption="Mean absolute error in standardized units: first over the targets of a variable, then "
        "over variables. The intervals resample whole series.",
        classes="methods",
    )


def variable_table(scores: Sequence[VariableScore]) -> str:
    """Return one row for each variable with every figure."""
    head = [
        "Variable",
        "Targets",
        "Model",
        "Carry-<wbr>forward",
        "Linear interp.",
        "Variable mean",
        "Least squares",
        "Model / best",
        "RMSE",
        "CRPS",
        "Error, own unit",
        "90 % width, own unit",
        "Unit",
    ]
    rows = [_variable_row(score) for score in scores]
    return table(
        head,
        rows,
        caption="All figures by variable. The five methods' columns are mean absolute errors in "
        "standardized units, the smallest in bold; RMSE and CRPS are the model's, in the same units. "
        "▲ marks variables on which a baseline is better. Click a heading to sort.",
        classes="variables sortable",
    )


def _variable_row(score: VariableScore) -> list[str]:
    smallest = min(score.errors.values())
    errors = [
        f"<b>{number(score.errors[name])}</b>"
        if score.errors[name] == smallest
        else number(score.errors[name])
        for name in (MODEL, *BASELINE_NAMES)
    ]
    name = (
        f'<abbr title="{escape(score.variable.description)}">{escape(score.variable.name)}</abbr>'
    )
    return [
        name + (_WORSE if score.is_worse else ""),
        str(score.num_targets),
        *errors,
        number(score.ratio),
        number(score.root_mean_squared_errors[MODEL]),
        number(score.crps),
        significant(score.canonical_error),
        significant(score.canonical_width),
        escape(unit_label(score.variable)),
    ]


def coverage_table(evaluation: Evaluation) -> str:
    """Return coverage and width of each interval over all targets."""
    overall = evaluation.overall_intervals
    rows = [
        [
            name.replace("%", "&nbsp;%"),
            percent(float(overall.closed[row, 0]), 1),
            percent(float(overall.split[row, 0]), 1),
            number(float(overall.width[row, 0])),
        ]
        for row, name in enumerate(NOMINAL)
    ]
    return table(
        ["Interval", "Targets inside", "Steps split", "Mean width"],
        rows,
        caption="Over all targets. Steps split: a value that equals an end of the interval, because "
        "values come in steps, counts by the share of it inside. Widths are standardized. The mean "
        f"interval score of the 90 % interval is {number(float(overall.interval_score[0]))}.",
    )


def variable_coverage_table(scores: Sequence[VariableScore]) -> str:
    """Return the coverage of each interval by variable, those with many targets first."""
    ordered = sorted(scores, key=lambda one: (not one.has_many_targets, -one.largest_deviation))
    rows = [
        [
            escape(score.variable.name),
            f"{score.num_targets:,}{'' if score.has_many_targets else ' (few)'}",
            *(_both_shares(score.coverage[name], score.split_coverage[name]) for name in NOMINAL),
            number(100 * score.largest_deviation, 1),
            significant(score.canonical_width),
            escape(unit_label(score.variable)),
            number(score.interval_score),
        ]
        for score in ordered
    ]
    return table(
        ["Variable", "Targets", *_interval_heads(), "Off by", "90 % width", "Unit", "Score"],
        rows,
        caption="Share inside each interval; in brackets with steps split, where that differs. Off "
        "by: the largest distance from nominal of the four, in percentage points, steps split. Score: "
        f"interval score of the 90 % interval, standardized. Few: under {MANY_TARGETS} targets.",
        classes="wide sortable",
    )


def gap_table(gaps: Sequence[GapScore]) -> str:
    """Return coverage by gap."""
    rows = [
        [
            gap.label,
            f"{gap.num_targets:,}",
            *(_both_shares(gap.coverage[name], gap.split_coverage[name]) for name in NOMINAL),
            number(gap.widths["90%"]),
            number(gap.interval_score),
        ]
        for gap in gaps
    ]
    return table(
        ["Nearest measurement", "Targets", *_interval_heads(), "90 % width", "Score"],
        rows,
        caption="Coverage by the time to the nearest measurement of the same variable; widths and "
        "interval scores are standardized.",
    )


def _interval_heads() -> list[str]:
    return [f"In {name.replace('%', '&nbsp;%')}" for name in NOMINAL]


def _both_shares(closed: float, split: float) -> str:
    text, other = percent(closed, 1), percent(split, 1)
    return text if text == other else f"{text} ({other})"


def example_table(example: Example) -> str:
    """Return the unseen measurements of an example beside their estimates."""
    rows = []
    for panel in example.panels:
        columns = (panel.target.times_hours, panel.target.values, *panel.target_quantiles)
        for time, value, low, median, high in zip(*columns, strict=True):
            rows.append(
                [
                    escape(axis_label(panel.variable)),
                    number(time, 2),
                    significant(value, 4),
                    significant(median, 4),
                    f"{significant(low, 4)} – {significant(high, 4)}",
                    "yes" if low <= value <= high else "no",
                ]
            )
    return table(
        ["Variable", "Time (h)", "Measured", "Estimate", "90 % interval", "Inside"],
        rows,
        caption=f"Example {example.number}: measurements that the model did not see.",
    )


def provenance_table(provenance: Provenance) -> str:
    """Return where the figures come from."""
    rows = [[label, f"<code>{escape(text)}</code>"] for label, text in provenance.rows()]
    return table(["What", "Value"], rows, caption="Provenance", classes="provenance")
