"""The look that all charts of a report share: fonts, colors that survive color blindness and print."""

import json
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

# Blue and vermilion of Okabe & Ito's palette differ in hue and in lightness; all else is gray.
INK = "#1d2733"
MUTED = "#5b6672"
GRID = "#e4e8ec"
RULE = "#aab3bc"
MODEL_COLOR = "#0060a8"
TARGET_COLOR = "#c44e00"
BAND_90 = "rgba(0,96,168,0.13)"
BAND_50 = "rgba(0,96,168,0.27)"
FORECAST_TINT = "rgba(29,39,51,0.035)"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Chart:
    """A figure, the name that assistive technology reads, and its caption (HTML)."""

    identifier: str
    figure: go.Figure
    label: str
    caption: str

    def json(self) -> str:
        """Return data and layout, safe inside a script element."""
        content: dict[str, Any] = json.loads(self.figure.to_json())
        return json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def style(figure: go.Figure, *, height: int, margin_left: int = 90, margin_top: int = 40) -> None:
    """Apply the common look. The page adds the width."""
    figure.update_layout(
        template=None,
        height=height,
        margin={"l": margin_left, "r": 16, "t": margin_top, "b": 48},
        font={"family": FONT, "size": 12.5, "color": INK},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={"font": {"family": FONT}, "bgcolor": "#fff", "bordercolor": RULE},
        legend={
            "orientation": "h",
            "yanchor": "bottom",
            "y": 1.0,
            "x": 0,
            "bgcolor": "rgba(0,0,0,0)",
            "itemclick": False,
            "itemdoubleclick": False,
            "traceorder": "normal",
        },
    )
    title_font = {"size": 12.5, "color": MUTED}
    figure.update_xaxes(
        title_font=title_font,
        gridcolor=GRID,
        zeroline=False,
        linecolor=RULE,
        tickcolor=RULE,
        fixedrange=True,
    )
    figure.update_yaxes(
        title_font=title_font,
        gridcolor=GRID,
        zeroline=False,
        linecolor=RULE,
        tickcolor=RULE,
        fixedrange=True,
    )
    # Titles of subplots are annotations, with a size of their own.
    figure.update_annotations(font=title_font)
