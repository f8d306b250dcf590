"""The HTML page: one file with its style, its scripts and its data, which opens without a network."""

from collections.abc import Sequence
from html import escape

from training.evaluation import MODEL, Evaluation
from training.home import HomeComparison
from training.report import tables
from training.report.chart import Chart
from training.report.content import Content
from training.report.example_charts import example_chart
from training.report.headline import headline, losses
from training.report.home_view import home_chart, home_sentence, home_table
from training.report.html import Frame, figure_html
from training.report.interval_charts import coverage_chart, gap_chart, histogram_chart
from training.report.labels import TASK_NAMES, TASK_SENTENCES, number, percent
from training.report.score_charts import error_chart
from training.report.scores import MANY_TARGETS, VariableScore, mean_crps, worst_covered
from training.tasks import Task

_NOTICE = (
    "<p>This page holds measurements of individual patients in its examples: keep it as you keep "
    "the records.</p>"
)
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
    frame = Frame(
        title=f"{task} report of {name}",
        eyebrow=f"Lacuna · {task.lower()} report · model {name} · data {provenance.data_name} · "
        f"{provenance.date[:10]}",
        headline=headline(evaluation, scores),
        ledes=[*provenance.judged, losses(scores)],
        tiles=_tiles(evaluation, scores),
        notice=_NOTICE,
    )
    return frame.page(
        "page.html",
        {
            "home": _home(content.home, home),
            **_sections(content, charts),
            "examples_sentence": _examples_sentence(
                evaluation.task, len(examples), provenance.seed
            ),
            "examples": _examples(content, examples),
        },
        [*charts, *home, *examples],
        provenance=tables.provenance_table(provenance),
    )


def _sections(content: Content, charts: Sequence[Chart]) -> dict[str, str]:
    evaluation, scores = content.evaluation, content.scores
    errors, coverage, gaps, histogram = map(figure_html, charts)
    return {
        "task_sentence": TASK_SENTENCES[evaluation.task],
        "method_table": tables.method_table(evaluation),
        "error_chart": errors,
        "variable_table": tables.variable_table(scores),
        "coverage_sentence": _coverage_sentence(evaluation, scores),
        "coverage_table": tables.coverage_table(evaluation),
        "coverage_chart": coverage,
        "variable_coverage_table": tables.variable_coverage_table(scores),
        "gap_chart": gaps,
        "gap_table": tables.gap_table(content.gaps),
        "pit_chart": histogram,
        "crps_sentence": _crps_sentence(evaluation, scores),
    }


def _examples(content: Content, charts: Sequence[Chart]) -> str:
    return "\n".join(
        figure_html(chart, _details(tables.example_table(example)))
        for chart, example in zip(charts, content.examples, strict=True)
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


def _tiles(evaluation: Evaluation, scores: Sequence[VariableScore]) -> list[tuple[str, str]]:
    coverage = evaluation.overall_intervals.coverage(0)
    return [
        (number(evaluation.mean_error(MODEL)), "mean absolute error of the median, standardized"),
        (number(mean_crps(scores)), "CRPS, the error of the whole distribution, standardized"),
        (percent(coverage["90%"], 1), "of targets inside the 90 % interval"),
        (percent(coverage["50%"], 1), "of targets inside the 50 % interval"),
    ]


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
