"""Charts of example patients: measured points apart from the estimate, which is never a solid line."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from training.report.chart import (
    BAND_50,
    BAND_90,
    FORECAST_TINT,
    INK,
    MODEL_COLOR,
    MUTED,
    TARGET_COLOR,
    Chart,
    style,
)
from training.report.examples import BAND_LEVELS, Example, Panel, Points
from training.report.labels import enumeration, unit_label
from training.tasks import Task

ESTIMATE = "Model estimate (not measured)"
_PANEL_PIXELS = 165
_FRAME_PIXELS = 105
_TARGET_NAMES = {
    Task.FORECAST: "measured later, unseen",
    Task.IMPUTATION: "measured, hidden from the model",
}
_TICK_HOURS = ((48, 4), (120, 12), (480, 24))
_LONG_TICK_HOURS = 168


def example_chart(example: Example, task: Task) -> Chart:
    """Draw one series, a panel for each variable."""
    panels = example.panels
    figure = make_subplots(rows=len(panels), shared_xaxes=True, vertical_spacing=0.06)
    for row, panel in enumerate(panels, start=1):
        for trace in _traces(panel, task, is_named=row == 1):
            figure.add_trace(trace, row=row, col=1)
        figure.update_yaxes(title_text=_axis_title(panel), row=row, col=1)
    height = _FRAME_PIXELS + _PANEL_PIXELS * len(panels)
    style(figure, height=height, margin_left=88, margin_top=56)
    figure.update_layout(legend={"y": 1 + 26 / (_PANEL_PIXELS * len(panels))})
    start, stop = panels[0].grid_hours[[0, -1]]
    padding = 0.01 * (stop - start)
    figure.update_xaxes(
        range=[start - padding, stop + padding], dtick=_tick_hours(stop - start), tick0=0
    )
    figure.update_xaxes(title_text="time (hours)", row=len(panels), col=1)
    if task is Task.FORECAST:
        _mark_forecast(figure, example.context_end_hours, stop + padding)
    names = enumeration([panel.variable.name for panel in panels])
    num_targets = sum(len(panel.target.times_hours) for panel in panels)
    caption = (
        f"<b>Example {example.number}.</b> {names}. Black dots: measurements that the model saw. "
        f"Orange diamonds: {num_targets} measurements that it did not see. Dashed: the median of the "
        "estimate; dark band: 50 % interval, light band: 90 % interval."
    )
    return Chart(f"example-{example.number}", figure, f"Example {example.number}: {names}", caption)


def _traces(panel: Panel, task: Task, *, is_named: bool) -> Sequence[go.Scatter]:
    low_90, low_50, median, high_50, high_90 = panel.quantiles
    assert len(BAND_LEVELS) == len(panel.quantiles)
    line = {"color": MODEL_COLOR, "width": 1.5, "dash": "dash"}
    return [
        *_band(panel, low_90, high_90, BAND_90, "90 % interval", is_named=is_named),
        *_band(panel, low_50, high_50, BAND_50, "50 % interval", is_named=is_named),
        go.Scatter(
            x=_short(panel.grid_hours),
            y=_short(median),
            mode="lines",
            line=line,
            name=ESTIMATE,
            showlegend=is_named,
            legendrank=3,
            hovertemplate="%{x:.1f} h, estimate %{y:.4g}<extra></extra>",
        ),
        _measured(panel.context, "measured", "circle", INK, 6, is_named=is_named),
        _measured(
            panel.target, _TARGET_NAMES[task], "diamond-open", TARGET_COLOR, 7, is_named=is_named
        ),
    ]


def _band(
    panel: Panel, low: np.ndarray, high: np.ndarray, color: str, name: str, *, is_named: bool
) -> Sequence[go.Scatter]:
    shared = {"x": _short(panel.grid_hours), "mode": "lines", "line": {"width": 0}}
    return [
        go.Scatter(y=_short(low), showlegend=False, hoverinfo="skip", **shared),
        go.Scatter(
            y=_short(high),
            fill="tonexty",
            fillcolor=color,
            name=name,
            showlegend=is_named,
            legendrank=4 if color == BAND_50 else 5,
            hoverinfo="skip",
            **shared,
        ),
    ]


def _measured(
    points: Points, name: str, symbol: str, color: str, size: int, *, is_named: bool
) -> go.Scatter:
    return go.Scatter(
        x=_short(points.times_hours),
        y=_short(points.values),
        mode="markers",
        name=name,
        # A panel without such points must not take the entry out of the legend.
        showlegend=is_named,
        legendrank=1 if color == INK else 2,
        marker={"symbol": symbol, "size": size, "color": color, "line": {"width": 1.6}},
        hovertemplate=f"%{{x:.2f}} h, {name}: %{{y:.4g}}<extra></extra>",
    )


def _mark_forecast(figure: go.Figure, start: float, stop: float) -> None:
    figure.add_vrect(
        x0=start, x1=stop, fillcolor=FORECAST_TINT, line_width=0, layer="below", row="all", col=1
    )
    figure.add_vline(x=start, line={"color": MUTED, "width": 1, "dash": "dot"}, row="all", col=1)
    figure.add_annotation(
        x=start,
        y=1,
        xref="x",
        yref="paper",
        text="forecast starts",
        showarrow=False,
        xanchor="left",
        yanchor="top",
        xshift=4,
        font={"size": 11, "color": MUTED},
    )


def _axis_title(panel: Panel) -> str:
    unit = unit_label(panel.variable)
    return f"{panel.variable.name}<br>({unit})" if unit else panel.variable.name


def _tick_hours(span_hours: float) -> int:
    """Return a conventional distance between ticks."""
    return next((tick for limit, tick in _TICK_HOURS if span_hours <= limit), _LONG_TICK_HOURS)


def _short(values: np.ndarray) -> list[float]:
    """Return plain numbers with the digits that a picture can show."""
    return [float(f"{value:.5g}") for value in values]
