"""Pieces of a page that every report is made of."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files

from training.report.chart import Chart


def figure_html(chart: Chart, details: str = "") -> str:
    """Return the place of a chart with its caption; `details` is HTML below it."""
    return (
        f'<figure aria-labelledby="{chart.identifier}-caption">\n'
        f'<div id="{chart.identifier}" role="img" aria-label="{escape(chart.label)}">'
        f"This picture needs JavaScript; its numbers stand in the tables.</div>\n"
        f'<figcaption id="{chart.identifier}-caption">{chart.caption}</figcaption>{details}\n'
        "</figure>"
    )


def data_html(chart: Chart) -> str:
    """Return the numbers of a chart for the page's script."""
    return f'<script type="application/json" data-plot="{chart.identifier}">{chart.json()}</script>'


def tiles_html(tiles: Sequence[tuple[str, str]]) -> str:
    """Return large figures, each with the text below it."""
    return "\n".join(f"<div><dt>{text}</dt><dd>{value}</dd></div>" for value, text in tiles)


def resource(name: str) -> str:
    """Return the text of a file of this package."""
    return files("training.report").joinpath(name).read_text(encoding="utf-8")
