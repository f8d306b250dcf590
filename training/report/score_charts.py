"""The chart of the errors: every variable beside the baselines."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from training.evaluation import LEAST_SQUARES, MODEL
from training.report.chart import GRID, INK, MODEL_COLOR, MUTED, RULE, Chart, style
from training.report.labels import BASELINE_NAMES, METHOD_NAMES, axis_label
from training.report.scores import VariableScore

_ROW_PIXELS = 22
_FRAME_PIXELS = 110
_BASELINE_MARKERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "carry_forward": ("circle-open", MUTED),
        "linear_interpolation": ("diamond-open", MUTED),
        "variable_mean": ("line-ns-open", RULE),
        LEAST_SQUARES: ("x-thin-open", INK),
    }
)


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
