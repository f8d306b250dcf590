"""The HTML page: one file with its style, its scripts and its data, which opens without a network."""

from collections.abc import Sequence
from html import escape
from string import Template

from plotly.offline import get_plotlyjs

from training.evaluation import MODEL, Evaluation
from training.home import HomeComparison
from training.report import tables
from training.report.chart import Chart
from training.report.content import Content
from training.report.example_charts import example_chart
from training.report.headline import headline, losses
from training.report.home_view import home_chart, home_sentence, home_table
from training.report.html import data_html, figure_html, resource, tiles_html
from training.report.interval_charts import coverage_chart, gap_chart, histogram_chart
from training.report.labels import TASK_NAMES, TASK_SENTENCES, number, percent
from training.report.score_charts import error_chart
from training.report.scores import MANY_TARGETS, VariableScore, mean_crps, worst_covered
from training.tasks import Task

_COUNT_WORDS = ("No", "One", "Two", "Three", "Four", "Five", "Six")


def report_page(content: Content) -> str:
    """Return the whole page."""
    evaluation, scores, provenance = content.evaluation, content.scores, content.provenance
    charts = [
        error_chart(scores),
        coverage_chart(scores),
        gap_chart(content.gaps),
        histogram_chart(evaluation, scores),
    ]
    examples = [example_chart(example, evaluation.task) for example in content.examples]
    home = [] if content.home is None else [home_chart(content.home)]
    name = f"{provenance.artifact_name} {provenance.artifact_version}"
    task = TASK_NAMES[evaluation.task]
    return Template(resource("page.html")).substitute(
        title=escape(f"{task} report of {name}"),
        eyebrow=escape(
            f"Lacuna · {task.lower()} report · model {name} · data {provenance.data_name} · "
            f"{provenance.date[:10]}"
        ),
        headline=escape(headline(evaluation, scores)),
        losses=escape(losses(scores)),
        tiles=_tiles(evaluation, scores),
        home=_home(content.home, home),
        task_sentence=TASK_SENTENCES[evaluation.task],
        method_table=tables.method_table(evaluation),
        error_chart=figure_html(charts[0]),
        variable_table=tables.variable_table(scores),
        coverage_sentence=_coverage_sentence(evaluation, scores),
        coverage_table=tables.coverage_table(evaluation),
        coverage_chart=figure_html(charts[1]),
        variable_coverage_table=tables.variable_coverage_table(scores),
        gap_chart=figure_html(charts[2]),
        gap_table=tables.gap_table(content.gaps),
        pit_chart=figure_html(charts[3]),
        crps_sentence=_crps_sentence(evaluation, scores),
        examples_sentence=_examples_sentence(evaluation.task, len(examples), provenance.seed),
        examples="\n".join(
            figure_html(chart, _details(tables.example_table(example)))
            for chart, example in zip(examples, content.examples, strict=True)
        ),
        provenance_table=tables.provenance_table(provenance),
        style=resource("page.css"),
        script=resource("page.js"),
        plotly=get_plotlyjs(),
        data="\n".join(data_html(chart) for chart in [*charts, *home, *examples]),
    )


def _home(home: HomeComparison | None, charts: Sequence[Chart]) -> str:
    if home is None:
        return ""
    shown = [figure_html(chart) for chart in charts] if home.comparable else []
    return "\n".join(
        [
            '<section aria-labelledby="home-heading">',
            '<h2 id="home-heading">Relative to home</h2>',
            f"<p>{escape(home_sentence(home))}</p>",
            *shown,
            home_table(home),
            "</section>",
        ]
    )


def _tiles(evaluation: Evaluation, scores: Sequence[VariableScore]) -> str:
    coverage = evaluation.overall_intervals.coverage(0)
    tiles = [
        (number(evaluation.mean_error(MODEL)), "mean absolute error of the median, standardized"),
        (number(mean_crps(scores)), "CRPS, the error of the whole distribution, standardized"),
        (percent(coverage["90%"], 1), "of targets inside the 90 % interval"),
        (percent(coverage["50%"], 1), "of targets inside the 50 % interval"),
    ]
    return tiles_html(tiles)


def _coverage_sentence(evaluation: Evaluation, scores: Sequence[VariableScore]) -> str:
    coverage = evaluation.overall_intervals.coverage(0)
    worst = worst_covered(scores)
    return (
        f"over all targets it holds {percent(coverage['90%'], 1)}, and the 50 % interval "
        f"{percent(coverage['50%'], 1)}. Of the variables with at least {MANY_TARGETS} targets (of "
        "all, if none has), the farthest from its promise is "
        f"{escape(worst.variable.name)}, off by {number(100 * worst.largest_deviation, 1)} percentage "
        f"points on {worst.num_targets:,} targets."
    )


def _crps_sentence(evaluation: Evaluation, scores: Sequence[VariableScore]) -> str:
    best = min(evaluation.mean_error(name) for name in evaluation.errors if name != MODEL)
    return (
        f"The mean over variables is {number(mean_crps(scores), 4)}. A baseline says one number and no "
        "more, so its CRPS is its mean absolute error; the best of the four has "
        f"{number(best, 4)}. The score is twice the mean quantile loss at the levels 5 %, 10 %, … 95 %."
    )


def _examples_sentence(task: Task, count: int, seed: int) -> str:
    if count == 0:
        return "No series has a target that can be drawn as a course."
    hidden = "came later" if task is Task.FORECAST else "were hidden"
    chosen = f"{_COUNT_WORDS[count]} series"
    return (
        f"{chosen}, chosen at random (seed {seed}) among those with enough targets, not by how well the "
        f"model does. Drawn are the variables with most targets; orange diamonds {hidden} and were not "
        "seen. Measured points are never joined: between them there is only an estimate."
    )


def _details(content: str) -> str:
    return f"<details><summary>The unseen measurements as a table</summary>{content}</details>"
