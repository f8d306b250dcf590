"""HTML tables of a report: all figures by variable, the methods, and the targets of an example."""

from collections.abc import Mapping, Sequence
from html import escape

from training.evaluation import MODEL, Evaluation
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
from training.report.scores import GapScore, VariableScore

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


def variable_table(scores: Sequence[VariableScore], widths: Mapping[str, float]) -> str:
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
        "In 50&nbsp;%",
        "In 90&nbsp;%",
        "Error, own unit",
        "90 % width, own unit",
        "Unit",
    ]
    rows = [_variable_row(score, widths[score.variable.name]) for score in scores]
    return table(
        head,
        rows,
        caption="All figures by variable. The five methods' columns are mean absolute errors in "
        "standardized units, the smallest in bold; RMSE and CRPS are the model's, in the same units. "
        "▲ marks variables on which a baseline is better. Click a heading to sort.",
        classes="variables sortable",
    )


def _variable_row(score: VariableScore, width: float) -> list[str]:
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
        percent(score.coverage["50%"], 1),
        percent(score.coverage["90%"], 1),
        significant(score.canonical_error),
        significant(width),
        escape(unit_label(score.variable)),
    ]


def gap_table(gaps: Sequence[GapScore]) -> str:
    """Return coverage by gap."""
    rows = [
        [
            gap.label,
            f"{gap.num_targets:,}",
            percent(gap.coverage["50%"], 1),
            percent(gap.coverage["90%"], 1),
        ]
        for gap in gaps
    ]
    return table(
        ["Nearest measurement", "Targets", "In 50&nbsp;%", "In 90&nbsp;%"],
        rows,
        caption="Coverage by the time to the nearest measurement of the same variable.",
    )


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
