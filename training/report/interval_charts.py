"""Charts of the intervals: coverage by variable and by gap, and PIT histograms."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from training.evaluation import Evaluation
from training.intervals import NOMINAL, NUM_BINS
from training.report.chart import GRID, INK, MODEL_COLOR, MUTED, RULE, Chart, style
from training.report.scores import MANY_TARGETS, GapScore, VariableScore, nominal_share

_ROW_PIXELS = 22
_FRAME_PIXELS = 110
_STRIP_POINTS = 5
# Blue and ink in turns, so that neighboring intervals differ in shape and in color.
_MARKERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "50%": ("diamond", INK),
        "80%": ("square", MUTED),
        "90%": ("circle", MODEL_COLOR),
        "95%": ("triangle-up", INK),
    }
)
_MAX_HISTOGRAMS = 23
_HISTOGRAM_COLUMNS = 4
_HISTOGRAM_PIXELS = 110


def coverage_chart(scores: Sequence[VariableScore]) -> Chart:
    """Draw nominal against empirical coverage by variable."""
    ordered = sorted(scores, key=lambda score: -score.split_coverage["90%"])
    figure = go.Figure()
    for name, (symbol, color) in _MARKERS.items():
        figure.add_trace(
            go.Scatter(
                x=[100 * score.split_coverage[name] for score in ordered],
                y=[score.variable.name for score in ordered],
                mode="markers",
                name=f"{name.replace('%', ' %')} interval",
                marker={
                    "symbol": [
                        symbol if score.has_many_targets else f"{symbol}-open" for score in ordered
                    ],
                    "size": 8,
                    "color": color,
                    "line": {"width": 1.5},
                },
                customdata=[score.num_targets for score in ordered],
                hovertemplate="%{y}: %{x:.1f} % of %{customdata} targets<extra></extra>",
            )
        )
    _mark_nominal(figure)
    style(figure, height=_FRAME_PIXELS + _ROW_PIXELS * len(scores))
    figure.update_yaxes(range=[len(ordered) - 0.4, -0.6])
    figure.update_xaxes(range=[0, 102], ticksuffix=" %", title_text="targets inside the interval")
    caption = (
        "Share of targets inside each central interval; a value that equals its end because values "
        "come in steps counts by the share inside. Calibrated intervals lie on the dotted lines; the "
        f"gray strips are {_STRIP_POINTS} percentage points wide on each side of 50 and 90 %. Hollow: "
        f"fewer than {MANY_TARGETS} targets. Sorted by the 90 % interval."
    )
    return Chart("coverage", figure, "Coverage of the intervals by variable", caption)


def gap_chart(gaps: Sequence[GapScore]) -> Chart:
    """Draw coverage by the distance to the nearest measurement of the same variable."""
    filled = [gap for gap in gaps if gap.num_targets > 0]
    figure = go.Figure()
    for name, (symbol, color) in _MARKERS.items():
        figure.add_trace(
            go.Scatter(
                y=[gap.label for gap in filled],
                x=[100 * gap.split_coverage[name] for gap in filled],
                mode="markers",
                name=f"{name.replace('%', ' %')} interval",
                marker={"symbol": symbol, "size": 9, "color": color},
                hovertemplate="%{y}: %{x:.1f} %<extra></extra>",
            )
        )
    _mark_nominal(figure)
    style(figure, height=_FRAME_PIXELS + 32 * len(filled), margin_left=130)
    figure.update_yaxes(range=[len(filled) - 0.4, -0.7])
    figure.update_xaxes(range=[0, 102], ticksuffix=" %", title_text="targets inside the interval")
    caption = (
        "Coverage by the time to the nearest measurement of the same variable that the model saw. "
        "The farther away, the more the interval must widen to keep its promise."
    )
    return Chart("gaps", figure, "Coverage of the intervals by gap", caption)


def histogram_chart(evaluation: Evaluation, scores: Sequence[VariableScore]) -> Chart:
    """Draw the PIT histogram of all targets and of the variables with most of them."""
    frequent = sorted(scores, key=lambda score: -score.num_targets)[:_MAX_HISTOGRAMS]
    titles = [f"{score.variable.name} ({score.num_targets:,})" for score in frequent]
    titles.insert(0, "all targets")
    num_rows = -(-len(titles) // _HISTOGRAM_COLUMNS)
    figure = make_subplots(
        rows=num_rows,
        cols=_HISTOGRAM_COLUMNS,
        subplot_titles=titles,
        shared_xaxes="all",
        shared_yaxes="all",
        vertical_spacing=0.35 / num_rows,
        horizontal_spacing=0.03,
    )
    rows = [evaluation.overall_intervals.histogram[0]]
    rows += [np.array(score.histogram) for score in frequent]
    centers = ((np.arange(NUM_BINS) + 0.5) / NUM_BINS).tolist()
    for position, shares in enumerate(rows):
        at = {
            "row": position // _HISTOGRAM_COLUMNS + 1,
            "col": position % _HISTOGRAM_COLUMNS + 1,
        }
        bars = go.Bar(
            x=centers,
            y=np.round(NUM_BINS * shares, 4).tolist(),
            marker={"color": MODEL_COLOR if position == 0 else RULE},
            showlegend=False,
            hovertemplate="%{x:.3f}: %{y:.2f} times as many as promised<extra></extra>",
        )
        figure.add_trace(bars, **at)
        figure.add_hline(y=1, line={"color": INK, "width": 1, "dash": "dot"}, **at)
    style(figure, height=_FRAME_PIXELS + _HISTOGRAM_PIXELS * num_rows, margin_left=40)
    figure.update_layout(bargap=0.05)
    figure.update_xaxes(range=[0, 1], tickvals=[0, 0.5, 1])
    figure.update_yaxes(range=[0, 2.5], tickvals=[0, 1, 2])
    caption = (
        "Histograms of the probability integral transform: where in its predicted distribution each "
        "target fell, relative to even. Flat at 1 is calibrated; a hill means intervals too wide, a "
        "valley too narrow, a slope a median that is off. Cut at 2.5. In brackets the targets."
    )
    return Chart("pit", figure, "PIT histograms", caption)


def _mark_nominal(figure: go.Figure) -> None:
    for name in NOMINAL:
        nominal = 100 * nominal_share(name)
        if name in ("50%", "90%"):
            figure.add_vrect(
                x0=nominal - _STRIP_POINTS,
                x1=nominal + _STRIP_POINTS,
                fillcolor=GRID,
                opacity=0.6,
                line_width=0,
                layer="below",
            )
        figure.add_vline(x=nominal, line={"color": INK, "width": 1, "dash": "dot"}, layer="below")
