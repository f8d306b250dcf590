"""The HTML page: one file with its style, its scripts and its data, which opens without a network."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template

from plotly.offline import get_plotlyjs

from training.evaluation import MODEL, Evaluation, Task
from training.report import tables
from training.report.chart import Chart
from training.report.example_charts import example_chart
from training.report.examples import Example
from training.report.headline import headline, losses
from training.report.labels import TASK_NAMES, TASK_SENTENCES, number, percent
from training.report.provenance import Provenance
from training.report.score_charts import FEW_TARGETS, coverage_chart, error_chart, gap_chart
from training.report.scores import GapScore, VariableScore, mean_crps, overall_coverage

_COUNT_WORDS = ("No", "One", "Two", "Three", "Four", "Five", "Six")


def report_page(
    evaluation: Evaluation,
    scores: Sequence[VariableScore],
    gaps: Sequence[GapScore],
    widths: Mapping[str, float],
    examples: Sequence[Example],
    provenance: Provenance,
) -> str:
    """Return the whole page."""
    charts = [error_chart(scores), coverage_chart(scores), gap_chart(gaps)]
    examples_charts = [example_chart(example, evaluation.task) for example in examples]
    name = f"{provenance.artifact_name} {provenance.artifact_version}"
    task = TASK_NAMES[evaluation.task]
    return Template(_resource("page.html")).substitute(
        title=escape(f"{task} report of {name}"),
        eyebrow=escape(
            f"Lacuna · {task.lower()} report · model {name} · data {provenance.data_name} · "
            f"{provenance.date[:10]}"
        ),
        headline=escape(headline(evaluation, scores)),
        losses=escape(losses(scores)),
        tiles=_tiles(evaluation, scores),
        task_sentence=TASK_SENTENCES[evaluation.task],
        method_table=tables.method_table(evaluation),
        error_chart=_figure(charts[0]),
        variable_table=tables.variable_table(scores, widths),
        coverage_sentence=_coverage_sentence(scores),
        coverage_chart=_figure(charts[1]),
        gap_chart=_figure(charts[2]),
        gap_table=tables.gap_table(gaps),
        crps_sentence=_crps_sentence(evaluation, scores),
        examples_sentence=_examples_sentence(evaluation.task, len(examples), provenance.seed),
        examples="\n".join(
            _figure(chart, _details(tables.example_table(example)))
            for chart, example in zip(examples_charts, examples, strict=True)
        ),
        provenance_table=tables.provenance_table(provenance),
        style=_resource("page.css"),
        script=_resource("page.js"),
        plotly=get_plotlyjs(),
        data="\n".join(_data(chart) for chart in [*charts, *examples_charts]),
    )


def _tiles(evaluation: Evaluation, scores: Sequence[VariableScore]) -> str:
    coverage = overall_coverage(scores)
    tiles = [
        (number(evaluation.mean_error(MODEL)), "mean absolute error of the median, standardized"),
        (number(mean_crps(scores)), "CRPS, the error of the whole distribution, standardized"),
        (percent(coverage["90%"], 1), "of targets inside the 90 % interval"),
        (percent(coverage["50%"], 1), "of targets inside the 50 % interval"),
    ]
    return "\n".join(f"<div><dt>{text}</dt><dd>{value}</dd></div>" for value, text in tiles)


def _coverage_sentence(scores: Sequence[VariableScore]) -> str:
    coverage = overall_coverage(scores)
    frequent = [score for score in scores if score.num_targets >= FEW_TARGETS] or scores
    worst = max(frequent, key=lambda score: abs(score.coverage["90%"] - 0.9))
    return (
        f"over all targets it holds {percent(coverage['90%'], 1)}, and the 50 % interval "
        f"{percent(coverage['50%'], 1)}. Of the variables with at least {FEW_TARGETS} targets, the "
        "farthest from 90 % is "
        f"{escape(worst.variable.name)} with {percent(worst.coverage['90%'], 1)} of "
        f"{worst.num_targets:,} targets."
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


def _figure(chart: Chart, details: str = "") -> str:
    return (
        f'<figure aria-labelledby="{chart.identifier}-caption">\n'
        f'<div id="{chart.identifier}" role="img" aria-label="{escape(chart.label)}">'
        f"This picture needs JavaScript; its numbers stand in the tables.</div>\n"
        f'<figcaption id="{chart.identifier}-caption">{chart.caption}</figcaption>{details}\n'
        "</figure>"
    )


def _details(content: str) -> str:
    return f"<details><summary>The unseen measurements as a table</summary>{content}</details>"


def _data(chart: Chart) -> str:
    return f'<script type="application/json" data-plot="{chart.identifier}">{chart.json()}</script>'


def _resource(name: str) -> str:
    return files("training.report").joinpath(name).read_text(encoding="utf-8")
