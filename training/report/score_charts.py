"""Charts of the figures: error by variable beside the baselines, coverage by variable and by gap."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from training.evaluation import LEAST_SQUARES, MODEL
from training.report.chart import GRID, INK, MODEL_COLOR, MUTED, RULE, Chart, style
from training.report.labels import BASELINE_NAMES, METHOD_NAMES, axis_label
from training.report.scores import GapScore, VariableScore

_ROW_PIXELS = 22
_FRAME_PIXELS = 110
# Fewer targets than this leave the coverage of a 90 % interval open by more than 6 points.
FEW_TARGETS = 100
_BASELINE_MARKERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "carry_forward": ("circle-open", MUTED),
        "linear_interpolation": ("diamond-open", MUTED),
        "variable_mean": ("line-ns-open", RULE),
        LEAST_SQUARES: ("x-thin-open", INK),
    }
)
_INTERVAL_MARKERS: Mapping[str, str] = MappingProxyType({"50%": "diamond", "90%": "circle"})


def error_chart(scores: Sequence[VariableScore]) -> Chart:
    """Draw the error of every method by variable, and the model's ratio to the best baseline."""
    figure = make_subplots(
        cols=2,
        shared_yaxes=True,
        column_widths=[0.7, 0.3],
        horizontal_spacing=0.03,
        subplot_titles=("mean absolute error (standardized)", "model / best baseline"),
    )
    names = [score.variable.name for score in scores]
    figure.add_trace(_ranges(scores), row=1, col=1)
    for method in BASELINE_NAMES:
        figure.add_trace(_baseline_dots(scores, method), row=1, col=1)
    for column, x in ((1, [score.errors[MODEL] for score in scores]), (2, _ratios(scores))):
        figure.add_trace(_model_dots(scores, x, is_named=column == 1), row=1, col=column)
    figure.add_vline(x=1, line={"color": INK, "width": 1, "dash": "dot"}, row=1, col=2)
    style(figure, height=_FRAME_PIXELS + _ROW_PIXELS * len(scores), margin_top=86)
    figure.update_yaxes(range=[len(names) - 0.4, -0.6], categoryorder="array", categoryarray=names)
    figure.update_layout(legend={"y": 1 + 40 / (_ROW_PIXELS * len(scores))})
    figure.update_xaxes(rangemode="tozero", row=1, col=1)
    worse = sum(score.is_worse for score in scores)
    caption = (
        "Left: error of the model (blue) and of the four baselines. Right: the model's error divided "
        "by that of the best baseline of the variable, chosen in hindsight; left of 1 the model is "
        f"better. Hollow blue dots: the model is worse ({worse} of {len(scores)}). Sorted by the ratio."
    )
    return Chart("errors", figure, "Error of every method by variable", caption)


def coverage_chart(scores: Sequence[VariableScore]) -> Chart:
    """Draw nominal against empirical coverage by variable."""
    ordered = sorted(scores, key=lambda score: -score.coverage["90%"])
    figure = go.Figure()
    for name, symbol in _INTERVAL_MARKERS.items():
        hollow = [score.num_targets < FEW_TARGETS for score in ordered]
        figure.add_trace(
            go.Scatter(
                x=[100 * score.coverage[name] for score in ordered],
                y=[score.variable.name for score in ordered],
                mode="markers",
                name=f"{name.replace('%', ' %')} interval",
                marker={
                    "symbol": [f"{symbol}-open" if is_few else symbol for is_few in hollow],
                    "size": 8,
                    "color": MODEL_COLOR if name == "90%" else INK,
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
        "Share of targets inside the central 50 % interval (black diamonds) and 90 % interval (blue "
        "dots). Calibrated intervals lie on the lines; the gray strips are 3 percentage points wide "
        f"on each side. Hollow: fewer than {FEW_TARGETS} targets. Sorted by the 90 % interval."
    )
    return Chart("coverage", figure, "Coverage of the intervals by variable", caption)


def gap_chart(gaps: Sequence[GapScore]) -> Chart:
    """Draw coverage by the distance to the nearest measurement of the same variable."""
    filled = [gap for gap in gaps if gap.num_targets > 0]
    figure = go.Figure()
    for name, symbol in _INTERVAL_MARKERS.items():
        figure.add_trace(
            go.Scatter(
                y=[gap.label for gap in filled],
                x=[100 * gap.coverage[name] for gap in filled],
                mode="markers",
                name=f"{name.replace('%', ' %')} interval",
                marker={
                    "symbol": symbol,
                    "size": 9,
                    "color": MODEL_COLOR if name == "90%" else INK,
                },
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


def _ratios(scores: Sequence[VariableScore]) -> list[float | None]:
    return [None if math.isnan(score.ratio) else score.ratio for score in scores]


def _ranges(scores: Sequence[VariableScore]) -> go.Scatter:
    """Return a thin line from the smallest to the largest error of each variable."""
    x: list[float | None] = []
    y: list[str | None] = []
    for score in scores:
        x += [min(score.errors.values()), max(score.errors.values()), None]
        y += [score.variable.name, score.variable.name, None]
    return go.Scatter(
        x=x, y=y, mode="lines", line={"color": GRID, "width": 3}, hoverinfo="skip", showlegend=False
    )


def _baseline_dots(scores: Sequence[VariableScore], method: str) -> go.Scatter:
    symbol, color = _BASELINE_MARKERS[method]
    return go.Scatter(
        x=[score.errors[method] for score in scores],
        y=[score.variable.name for score in scores],
        mode="markers",
        name=METHOD_NAMES[method],
        marker={
            "symbol": symbol,
            "size": 8,
            "color": color,
            "line": {"width": 1.6, "color": color},
        },
        hovertemplate=f"%{{y}}, {METHOD_NAMES[method]}: %{{x:.3f}}<extra></extra>",
    )


def _model_dots(
    scores: Sequence[VariableScore], x: Sequence[float | None], *, is_named: bool
) -> go.Scatter:
    return go.Scatter(
        x=x,
        y=[score.variable.name for score in scores],
        mode="markers",
        name="model",
        showlegend=is_named,
        marker={
            "symbol": ["circle-open" if score.is_worse else "circle" for score in scores],
            "size": 10,
            "color": MODEL_COLOR,
            "line": {"width": 2, "color": MODEL_COLOR},
        },
        customdata=[axis_label(score.variable) for score in scores],
        hovertemplate="%{customdata}, model: %{x:.3f}<extra></extra>",
    )


def _mark_nominal(figure: go.Figure) -> None:
    for nominal in (50, 90):
        figure.add_vrect(
            x0=nominal - 3, x1=nominal + 3, fillcolor=GRID, opacity=0.6, line_width=0, layer="below"
        )
        figure.add_vline(x=nominal, line={"color": INK, "width": 1, "dash": "dot"}, layer="below")
