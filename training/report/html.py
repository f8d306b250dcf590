"""Pieces of a page that every report is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template

from plotly.offline import get_plotlyjs

from training.report.chart import Chart


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What every page has around its main part. Everything is text but `notice`, which is HTML."""

    title: str
    eyebrow: str
    headline: str
    ledes: Sequence[str]
    tiles: Sequence[tuple[str, str]]
    notice: str = ""

    def page(
        self, template: str, parts: Mapping[str, str], charts: Sequence[Chart], *, provenance: str
    ) -> str:
        """Return the whole page: a template of this package with its parts filled in, framed."""
        return Template(resource("frame.html")).substitute(
            title=escape(self.title),
            eyebrow=escape(self.eyebrow),
            headline=escape(self.headline),
            ledes="\n".join(f'<p class="lede">{escape(lede)}</p>' for lede in self.ledes),
            tiles=tiles_html(self.tiles),
            main=Template(resource(template)).substitute(parts),
            notice=self.notice,
            provenance_table=provenance,
            style=resource("page.css"),
            script=resource("page.js"),
            plotly=get_plotlyjs(),
            data="\n".join(data_html(chart) for chart in charts),
        )


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
