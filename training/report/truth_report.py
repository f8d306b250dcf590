"""The report of a simulated cohort: imputed trajectories against the noiseless truth."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from plotly.subplots import make_subplots

from model.data.variables import Catalogue, Variable
from model.files import write_atomically
from training.report.chart import GRID, INK, MODEL_COLOR, MUTED, Chart, style
from training.report.html import Frame, figure_html
from training.report.labels import axis_label, number, percent, significant
from training.report.metrics import finite
from training.report.provenance import Provenance
from training.report.summary import markdown_table
from training.report.tables import provenance_table, table
from training.truth import HALF_HOURS, LOOKS, NOMINAL, TruthEvaluation

SCHEMA_VERSION = 1
ASKED_RATIO = 0.5
"""The error against the truth is to be at most this share of the measurement noise."""
_ROW = list(NOMINAL).index("90%")
_ROW_PIXELS = 22
_FRAME_PIXELS = 110
_HEAD = (
    *("Variable", "Times", "Noise", "Error", "Error / noise", "Interpolation / noise"),
    *("Measurements in 90 %", "Truth in its 90 % band", "Truth in served 90 %", "90 % widths"),
)
_METHOD = (
    "Every half hour: the model sees the whole chart and is asked between the first and the last entry "
    "of a variable. At hidden looks: 30 % of the chart are hidden and asked for. Intervals are calibrated "
    "on times at which somebody looked, which is oftener in a crisis; at even times patients are calmer "
    "and the same intervals hold more. Noise: deviation of the device's error and of rounding. Error: "
    "root mean squared difference of the mean from the noiseless truth. Measurements: fresh ones, drawn "
    "from the truth by the simulator's law. The band of the truth is the served one, narrowed by the "
    "known variance of the noise."
)


@dataclass(frozen=True)
class TruthScore:
    """One variable of a `TruthEvaluation`, canonical units. Coverages are those of 90 % bands."""

    variable: Variable
    num_times: int
    noise: float
    error: float
    ratio: float
    interpolation_ratio: float
    measurement_coverage: float
    truth_coverage: float
    truth_in_served: float
    served_width: float
    truth_width: float

    def cells(self) -> list[str]:
        """Return a row of the table."""
        return [
            axis_label(self.variable),
            f"{self.num_times:,}",
            significant(self.noise),
            significant(self.error),
            number(self.ratio, 2),
            number(self.interpolation_ratio, 2),
            percent(self.measurement_coverage, 1),
            percent(self.truth_coverage, 1),
            percent(self.truth_in_served, 1),
            f"{significant(self.served_width)}, {significant(self.truth_width)}",
        ]


def truth_scores(evaluation: TruthEvaluation, catalogue: Catalogue) -> tuple[TruthScore, ...]:
    """Return the variables that were asked, the smallest ratio of error to noise first."""
    scores = [
        TruthScore(
            variable=catalogue[channel],
            num_times=int(evaluation.counts[channel]),
            noise=float(evaluation.noise[channel]),
            error=float(evaluation.errors[channel]),
            ratio=float(evaluation.ratios[channel]),
            interpolation_ratio=float(evaluation.interpolation_ratios[channel]),
            measurement_coverage=float(evaluation.measurement_coverage[_ROW, channel]),
            truth_coverage=float(evaluation.truth_coverage[_ROW, channel]),
            truth_in_served=float(evaluation.truth_in_served[_ROW, channel]),
            served_width=float(evaluation.served_width[channel]),
            truth_width=float(evaluation.truth_width[channel]),
        )
        for channel in map(int, np.flatnonzero(evaluation.counts))
    ]
    return tuple(sorted(scores, key=lambda score: score.ratio))


@dataclass(frozen=True)
class _Part:
    """One of the ways in which the truth was asked for."""

    name: str
    evaluation: TruthEvaluation
    scores: tuple[TruthScore, ...]


def _parts(evaluations: Mapping[str, TruthEvaluation], catalogue: Catalogue) -> list[_Part]:
    return [
        _Part(name, evaluation, truth_scores(evaluation, catalogue))
        for name, evaluation in evaluations.items()
    ]


def write_truth_report(
    out: Path, evaluations: Mapping[str, TruthEvaluation], provenance: Provenance
) -> None:
    """Write `metrics.json` and `report.html` into `out`, which is made if it is not there.

    `evaluations` are those of `HALF_HOURS` and `LOOKS`.
    """
    parts = _parts(evaluations, provenance.catalogue)
    out.mkdir(parents=True, exist_ok=True)
    metrics = finite(_metrics(parts, provenance))
    content = json.dumps(metrics, indent=1, allow_nan=False) + "\n"
    write_atomically(out / "metrics.json", content.encode())
    write_atomically(out / "report.html", _page(parts, provenance).encode())


def write_truth_summary(evaluations: Mapping[str, TruthEvaluation], provenance: Provenance) -> str:
    """Return the figures as Markdown."""
    parts = _parts(evaluations, provenance.catalogue)
    name = f"{provenance.artifact_name} {provenance.artifact_version}"
    texts = [
        f"# Truth: {name} on {provenance.data_name}",
        *provenance.judged,
        *(_headline(part) for part in parts),
        _METHOD,
    ]
    for part in parts:
        texts += [
            f"## {_TITLES[part.name]}",
            markdown_table(["Interval", *_COVERAGES], _coverage_rows(part.evaluation)),
            markdown_table(_HEAD, [score.cells() for score in part.scores]),
        ]
    facts = "\n".join(f"- {label}: `{text}`" for label, text in provenance.rows())
    return "\n\n".join([*texts, "## Provenance", facts]) + "\n"


_TITLES = {
    HALF_HOURS: "Every half hour, from the whole chart",
    LOOKS: "At hidden looks, from the other 70 %",
}
_COVERAGES = ("Measurements inside", "Truth in its band", "Truth in the served interval")


def _tables(evaluation: TruthEvaluation) -> tuple[Float[np.ndarray, "nominal channel"], ...]:
    return (
        evaluation.measurement_coverage,
        evaluation.truth_coverage,
        evaluation.truth_in_served,
    )


def _coverage_rows(evaluation: TruthEvaluation) -> list[list[str]]:
    found = [evaluation.overall(one) for one in _tables(evaluation)]
    return [[name, *(percent(shares[name], 1) for shares in found)] for name in NOMINAL]


def _headline(part: _Part) -> str:
    scores = part.scores
    met = sum(score.ratio <= ASKED_RATIO for score in scores)
    better = sum(score.ratio < score.interpolation_ratio for score in scores)
    measured, truth, _ = (part.evaluation.overall(one)["90%"] for one in _tables(part.evaluation))
    return (
        f"{_TITLES[part.name]}: the error against the truth is {number(_mean_ratio(scores), 2)} times "
        f"the measurement noise on average over {len(scores)} variables, and at most half of it on "
        f"{met} of them; on {better} it is smaller than that of linear interpolation of the chart. The "
        f"90 % intervals hold {percent(measured, 1)} of fresh measurements, and the 90 % bands of the "
        f"truth hold the truth {percent(truth, 1)} of the time."
    )


def _mean_ratio(scores: Sequence[TruthScore]) -> float:
    return float(np.mean([score.ratio for score in scores]))


def _metrics(parts: Sequence[_Part], provenance: Provenance) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "task": "truth",
        **{part.name.replace(" ", "_"): _part_json(part) for part in parts},
        "provenance": provenance.to_json(),
    }


def _part_json(part: _Part) -> dict[str, Any]:
    evaluation, scores = part.evaluation, part.scores
    measured, truth, served = (evaluation.overall(one) for one in _tables(evaluation))
    return {
        "num_series": evaluation.num_series,
        "num_times": int(evaluation.counts.sum()),
        "mean_error_to_noise": _mean_ratio(scores),
        "num_variables": len(scores),
        "num_variables_at_most_half": sum(score.ratio <= ASKED_RATIO for score in scores),
        "measurement_coverage": measured,
        "truth_coverage": truth,
        "truth_in_served_coverage": served,
        "variables": [
            {**vars(score), "variable": score.variable.name, "unit": score.variable.unit}
            for score in scores
        ],
    }


def _page(parts: Sequence[_Part], provenance: Provenance) -> str:
    charts = [_chart(part) for part in parts]
    name = f"{provenance.artifact_name} {provenance.artifact_version}"
    first = parts[0]
    measured, truth, _ = (first.evaluation.overall(one)["90%"] for one in _tables(first.evaluation))
    met = sum(score.ratio <= ASKED_RATIO for score in first.scores)
    tiles = [
        (number(_mean_ratio(first.scores), 2), "error against the truth / measurement noise"),
        (f"{met} of {len(first.scores)}", "variables with at most half the noise"),
        (percent(measured, 1), "of fresh measurements inside the 90 % interval"),
        (percent(truth, 1), "of the truth inside its 90 % band"),
    ]
    frame = Frame(
        title=f"Truth report of {name}",
        eyebrow=f"Lacuna · simulated truth · model {name} · data {provenance.data_name} · "
        f"{provenance.date[:10]}",
        headline=_headline(first),
        ledes=[*provenance.judged, *map(_headline, parts[1:])],
        tiles=tiles,
    )
    sections = "\n".join(map(_section, parts, charts))
    return frame.page(
        "truth_page.html",
        {"method": escape(_METHOD), "sections": sections},
        charts,
        provenance=provenance_table(provenance),
    )


def _section(part: _Part, chart: Chart) -> str:
    coverage = table(
        ["Interval", *_COVERAGES], _coverage_rows(part.evaluation), caption="Over all times asked."
    )
    variables = table(
        _HEAD,
        [[escape(cell) for cell in score.cells()] for score in part.scores],
        caption="By variable, in its own unit. Widths: of the served interval and of the band.",
        classes="wide sortable",
    )
    title = escape(_TITLES[part.name])
    return f"<h3>{title}</h3>\n{figure_html(chart)}\n{coverage}\n{variables}"


def _chart(part: _Part) -> Chart:
    """Draw error to noise beside the coverages, by variable."""
    scores = part.scores
    figure = make_subplots(
        cols=2,
        shared_yaxes=True,
        horizontal_spacing=0.03,
        subplot_titles=("error / measurement noise", "inside the 90 % band"),
    )
    names = [score.variable.name for score in scores]
    left = (
        ("model", "circle", MODEL_COLOR, [score.ratio for score in scores]),
        ("interpolation", "diamond-open", MUTED, [one.interpolation_ratio for one in scores]),
    )
    right = (
        ("measurements", "circle", INK, [100 * one.measurement_coverage for one in scores]),
        ("truth, its band", "square", MODEL_COLOR, [100 * one.truth_coverage for one in scores]),
    )
    for column, rows in ((1, left), (2, right)):
        for label, symbol, color, values in rows:
            marker = {"symbol": symbol, "size": 8, "color": color, "line": {"width": 1.6}}
            trace = go.Scatter(x=values, y=names, mode="markers", name=label, marker=marker)
            figure.add_trace(trace, row=1, col=column)
    line = {"color": INK, "width": 1, "dash": "dot"}
    figure.add_vline(x=ASKED_RATIO, line=line, row=1, col=1)
    figure.add_vrect(x0=88, x1=92, fillcolor=GRID, line_width=0, layer="below", row=1, col=2)
    figure.add_vline(x=90, line=line, row=1, col=2)
    style(figure, height=_FRAME_PIXELS + _ROW_PIXELS * len(scores), margin_top=86)
    figure.update_layout(legend={"y": 1 + 40 / (_ROW_PIXELS * len(scores))})
    figure.update_yaxes(range=[len(names) - 0.4, -0.6], categoryorder="array", categoryarray=names)
    figure.update_xaxes(rangemode="tozero", row=1, col=1)
    caption = (
        "Left: root mean squared error against the noiseless truth divided by the deviation of the "
        "measurement noise; asked is 0.5 (dotted). Right: share of fresh measurements inside the served "
        "90 % interval, and of the truth inside its own band; the strip is 88 to 92 %."
    )
    identifier = part.name.replace(" ", "-")
    return Chart(identifier, figure, f"Error and coverage by variable: {part.name}", caption)
