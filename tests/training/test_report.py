"""The report: one file that needs nothing else, every figure in it, and figures that agree."""

import json
import re
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

from model.data.variables import Kind
from tests.catalogues import CHALLENGE
from tests.series import random_cohort
from tests.training.judged import Judged, judge
from training.card import model_card
from training.checkpoint import EpochRecord
from training.config import PRESETS
from training.evaluation import MODEL, Evaluation, score
from training.intervals import NOMINAL, interval_ends, level_row
from training.report import write_report, write_summary_markdown
from training.report.examples import NUM_EXAMPLES, choose_series, draw_examples
from training.report.headline import headline, losses
from training.report.labels import BASELINE_NAMES, enumeration, significant
from training.report.scores import MANY_TARGETS, variable_scores, worst_covered
from training.solver_certificate import SolverCertificate
from training.tasks import Task

VOID = {"meta", "wbr", "br", "link", "img"}


class Page(HTMLParser):
    """Collects what a page refers to, its text, its scripts, and checks that tags are closed."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.identifiers: list[str] = []
        self.labels: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text = ""
        self.open: list[str] = []
        self._attributes: dict[str, str | None] = {}
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._attributes = dict(attrs)
        for name, value in attrs:
            if name in ("src", "href", "srcset", "action", "poster", "data"):
                self.references.append(f"{tag} {name}={value}")
            if name == "id" and value:
                self.identifiers.append(value)
            if name in ("aria-labelledby", "for") and value:
                self.labels.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append((self._attributes, data))
        elif not self.open or self.open[-1] != "style":
            self.text += data

    @property
    def charts(self) -> dict[str, dict[str, object]]:
        """Data and layout of each chart by its place on the page."""
        return {
            str(attributes["data-plot"]): json.loads(content)
            for attributes, content in self.scripts
            if attributes.get("type") == "application/json"
        }


def write(judged: Judged, out: Path, *, evaluation: Evaluation | None = None) -> tuple[str, str]:
    write_report(
        out,
        evaluation=evaluation or judged.evaluation,
        answers=judged.answers,
        predictor=judged.predictor,
        provenance=judged.provenance,
        seed=0,
    )
    assert sorted(path.name for path in out.iterdir()) == ["metrics.json", "report.html"]
    return (
        (out / "metrics.json").read_text(encoding="utf-8"),
        (out / "report.html").read_text(encoding="utf-8"),
    )


@dataclass(frozen=True)
class Reported:
    """An evaluation and what was written about it."""

    judged: Judged
    metrics: str
    content: str
    page: Page


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[Task, Reported]:
    """Both tasks at once: in random order a parametrized fixture would be made again and again."""
    made = {}
    for task in Task:
        judged = judge(tmp_path_factory.mktemp("judged"), task)
        metrics, content = write(judged, tmp_path_factory.mktemp("out") / "new" / "folder")
        made[task] = Reported(judged, metrics, content, Page(content))
    return made


@pytest.fixture(params=list(Task))
def reported(request: pytest.FixtureRequest, reports: dict[Task, Reported]) -> Reported:
    return reports[request.param]


@pytest.fixture
def judged(reported: Reported) -> Judged:
    return reported.judged


@pytest.fixture
def written(reported: Reported) -> tuple[str, str]:
    return reported.metrics, reported.content


@pytest.fixture
def page(reported: Reported) -> Page:
    return reported.page


def own_parts(content: str) -> str:
    """The page without the chart library, which is the one large script."""
    return re.sub(
        r"<script>(.*?)</script>",
        lambda found: "" if len(found[1]) > 10**6 else found[0],
        content,
        flags=re.DOTALL,
    )


def test_the_page_refers_to_nothing_outside(written: tuple[str, str], page: Page) -> None:
    assert page.open == []
    assert page.references == []
    assert not re.search(r"https?:|//[a-z]|@import|url\(", own_parts(written[1]).replace("&", ""))


def test_the_chart_library_is_there_once(page: Page) -> None:
    large = [content for _, content in page.scripts if len(content) > 10**6]
    assert len(large) == 1
    assert "plotly.js v" in large[0][:200]


def test_every_label_points_to_something(page: Page) -> None:
    assert len(set(page.identifiers)) == len(page.identifiers)
    assert set(page.labels) <= set(page.identifiers)
    assert set(page.charts) <= set(page.identifiers)


def test_there_is_no_nan_for_people(written: tuple[str, str]) -> None:
    content = own_parts(written[1])
    assert len(content) < 2 * 10**6
    for text in ("NaN", ">nan<", " nan", "inf %", "None", "Infinity"):
        assert text not in content


def test_every_scored_variable_is_in_every_place(judged: Judged, page: Page) -> None:
    for channel in np.flatnonzero(judged.evaluation.counts):
        name = CHALLENGE[int(channel)].name
        assert name in page.text
        for chart in ("errors", "coverage"):
            assert name in json.dumps(page.charts[chart])


def test_six_examples_are_drawn_with_their_layers(judged: Judged, page: Page) -> None:
    drawn = [chart for name, chart in page.charts.items() if name.startswith("example-")]
    assert len(drawn) == NUM_EXAMPLES
    for chart in drawn:
        figure = go.Figure(chart)
        names = {trace.name for trace in figure.data}
        assert {"Model estimate (not measured)", "50 % interval", "90 % interval"} <= names
        for trace in figure.data:
            if trace.name and trace.name.startswith("measured"):
                assert trace.mode == "markers"
            if trace.name and trace.name.startswith("Model"):
                assert trace.line.dash == "dash"
        texts = [annotation.text for annotation in figure.layout.annotations]
        assert ("forecast starts" in texts) == (judged.evaluation.task is Task.FORECAST)


def test_examples_hold_the_measurements_of_their_series(judged: Judged) -> None:
    window = judged.answers.window
    scored = [level_row(level) for level in (0.05, 0.5, 0.95)]
    for example in draw_examples(judged.answers, judged.predictor, CHALLENGE, seed=3):
        assert 1 <= len(example.panels) <= 3
        for panel in example.panels:
            assert panel.variable.kind not in (Kind.AMOUNT, Kind.STATE)
            assert np.all(np.diff(panel.quantiles, axis=0) >= 0)
            channel = CHALLENGE.channel(panel.variable.name)
            owner = [
                index
                for index, series in enumerate(window.target)
                if np.array_equal(series.values[series.channels == channel], panel.target.values)
            ]
            assert len(owner) == 1
            series = window.context[owner[0]]
            np.testing.assert_array_equal(
                series.values[series.channels == channel], panel.context.values
            )
            rows = (judged.answers.series == owner[0]) & (judged.answers.channels == channel)
            np.testing.assert_array_equal(
                panel.target_quantiles, judged.answers.quantiles[scored][:, rows]
            )


def test_the_seed_chooses_the_examples() -> None:
    counts = np.full((100, 2), 9)
    first, again, other = (choose_series(counts, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert len(set(first)) == NUM_EXAMPLES
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)


def test_examples_prefer_series_with_enough_targets() -> None:
    counts = np.array([[1, 0, 0], [9, 4, 0], [0, 0, 0], [3, 3, 3], [4, 4, 4], [2, 0, 0]])
    for seed in range(10):
        chosen = choose_series(counts, np.random.default_rng(seed))
        assert set(chosen[:2]) == {1, 4}
        assert chosen[2:].tolist() == [3, 5, 0]


def test_metrics_are_strict_json_and_agree_with_the_evaluation(
    judged: Judged, written: tuple[str, str]
) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    metrics = json.loads(written[0], parse_constant=refuse)
    evaluation = judged.evaluation
    assert metrics["task"] == evaluation.task
    assert metrics["num_targets"] == evaluation.counts.sum() == len(judged.answers.expected)
    for name, error in metrics["mean_absolute_error"].items():
        assert error == pytest.approx(evaluation.mean_error(name))
    for name, ratio in metrics["ratio"].items():
        assert (ratio["low_95"], ratio["high_95"]) == evaluation.ratio_intervals[name]
        assert ratio["ratio"] == pytest.approx(evaluation.ratio(name))
    by_name = {row["name"]: row for row in metrics["variables"]}
    for channel, variable in enumerate(CHALLENGE):
        if evaluation.counts[channel] == 0:
            assert variable.name not in by_name
            continue
        row = by_name[variable.name]
        assert row["unit"] == variable.unit
        assert row["num_targets"] == evaluation.counts[channel]
        assert row["mean_absolute_error"][MODEL] == evaluation.errors[MODEL][channel]
        assert row["mean_absolute_error_canonical"] == evaluation.canonical_errors[channel]
        rmse = row["root_mean_squared_error"][MODEL]
        assert rmse**2 == pytest.approx(evaluation.squared_errors[MODEL][channel])
    assert sum(gap["num_targets"] for gap in metrics["coverage_by_gap"]) == metrics["num_targets"]


def test_coverage_agrees_with_the_targets_inside(judged: Judged, written: tuple[str, str]) -> None:
    metrics = json.loads(written[0])
    values = judged.answers.window.target.values
    channel = int(judged.answers.channels[0])
    rows = judged.answers.channels == channel
    row = next(one for one in metrics["variables"] if one["name"] == CHALLENGE[channel].name)
    for name in NOMINAL:
        low, high = interval_ends(judged.answers.quantiles, name)
        inside = (low <= values) & (values <= high)
        assert metrics["coverage"][name]["over_targets"] == pytest.approx(inside.mean())
        by_gap = sum(
            gap["num_targets"] * gap["coverage"][name]
            for gap in metrics["coverage_by_gap"]
            if gap["num_targets"]
        )
        assert by_gap == pytest.approx(inside.sum())
        assert row["coverage"][name] == pytest.approx(inside[rows].mean())
    assert sum(metrics["pit_histogram"]) == pytest.approx(1.0)
    low, high = interval_ends(judged.answers.quantiles, "90%")
    assert row["interval_width_90_canonical"] == pytest.approx((high - low)[rows].mean())


def test_provenance_names_artifact_data_machine_and_command(
    judged: Judged, written: tuple[str, str], page: Page
) -> None:
    provenance = json.loads(written[0])["provenance"]
    assert provenance["artifact_sha256"] == judged.predictor.artifact.sha256
    assert provenance["data_name"] == "random <cohort>"
    assert provenance["hardware"]["num_cores"] >= 1
    assert "'an artifact'" in provenance["command"]
    for text in (provenance["artifact_sha256"], "random <cohort>", "Not a medical device"):
        assert text in page.text


def test_metrics_and_summary_hold_no_measurement_of_a_patient(
    judged: Judged, written: tuple[str, str]
) -> None:
    summary = write_summary_markdown(judged.evaluation, judged.provenance)
    for subject_id in judged.answers.window.target.subject_ids:
        assert f'"{subject_id}"' not in written[0]
        assert not re.search(rf"\b{subject_id}\b", summary)


def test_the_summary_has_a_row_for_every_scored_variable(judged: Judged) -> None:
    summary = write_summary_markdown(judged.evaluation, judged.provenance)
    assert not re.search(r"\bnan\b", summary)
    rows = [line for line in summary.splitlines() if line.startswith("|")]
    scored = np.flatnonzero(judged.evaluation.counts)
    for channel in scored:
        assert sum(line.startswith(f"| {CHALLENGE[int(channel)].name} ") for line in rows) == 1
    assert len({line.count("|") for line in rows[-len(scored) - 2 :]}) == 1


def test_the_headline_says_where_the_model_loses(judged: Judged) -> None:
    evaluation = judged.evaluation
    factors = {"carry_forward": 0.5, "variable_mean": 2.0}
    worse = replace(
        evaluation,
        ratio_intervals={
            **dict.fromkeys(BASELINE_NAMES, (0.9, 1.1)),
            "carry_forward": (1.5, 2.5),
            "variable_mean": (0.4, 0.6),
        },
        errors={
            name: factors.get(name, 1.0) * evaluation.errors[MODEL] for name in evaluation.errors
        },
    )
    scores = variable_scores(worse, CHALLENGE)
    sentence = headline(worse, scores).replace("\u00a0", " ")
    assert "50 % lower than the variable mean" in sentence
    assert "100 % higher than carry-forward" in sentence
    assert "not distinguishable from linear interpolation and per-variable least" in sentence
    assert f"on {len(scores)} of {len(scores)} variables it is worse" in sentence
    named = losses(scores)
    assert all(score.variable.name in named for score in scores)
    assert "to carry-forward on" in named


def test_the_worst_covered_variable_has_many_targets_where_any_has(judged: Judged) -> None:
    scores = list(variable_scores(judged.evaluation, CHALLENGE))
    few = [replace(score, num_targets=MANY_TARGETS - 1) for score in scores]
    by_deviation = sorted(few, key=lambda score: score.largest_deviation)
    assert worst_covered(few) == by_deviation[-1]
    best = by_deviation[0]
    many = [replace(score, num_targets=MANY_TARGETS) if score == best else score for score in few]
    assert worst_covered(many).variable == best.variable


def test_the_headline_of_a_model_that_always_wins(judged: Judged) -> None:
    evaluation = judged.evaluation
    best = replace(
        evaluation,
        ratio_intervals=dict.fromkeys(BASELINE_NAMES, (0.4, 0.6)),
        errors={**evaluation.errors, MODEL: 0 * evaluation.errors[MODEL] + 1e-6},
    )
    scores = variable_scores(best, CHALLENGE)
    assert "on none of" in headline(best, scores)
    assert losses(scores).startswith("No baseline")


def test_a_handful_of_targets_is_still_a_report(tmp_path: Path) -> None:
    cohort = random_cohort(3, np.random.default_rng(8), mean_observations=12)
    judged = judge(tmp_path, Task.IMPUTATION, cohort)
    _, content = write(judged, tmp_path / "out")
    assert "NaN" not in own_parts(content)
    assert Page(content).open == []


def test_a_perfect_baseline_is_still_a_report(
    reports: dict[Task, Reported], tmp_path: Path
) -> None:
    judged = reports[Task.IMPUTATION].judged
    points = {**judged.answers.points, "carry_forward": judged.answers.expected}
    perfect = replace(judged, answers=replace(judged.answers, points=points))
    normalization = judged.predictor.artifact.normalization
    evaluation = score(perfect.answers, normalization, judged.evaluation.task, seed=0)
    metrics, content = write(perfect, tmp_path / "out", evaluation=evaluation)
    assert json.loads(metrics)["ratio"]["carry_forward"]["ratio"] is None
    assert not re.search(r"\bnan\b", own_parts(content), re.IGNORECASE)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1234.5, "1234"), (0.012345, "0.0123"), (7.4, "7.40"), (np.nan, "–")],
)
def test_numbers_for_people_have_three_digits_and_no_exponent(value: float, text: str) -> None:
    assert significant(value) == text


def test_enumerations_read_as_sentences_do() -> None:
    assert enumeration(["a"]) == "a"
    assert enumeration(["a", "b"]) == "a and b"
    assert enumeration(["a", "b", "c"]) == "a, b and c"


@pytest.fixture
def card(judged: Judged) -> str:
    history = [
        EpochRecord(
            epoch=epoch,
            loss=1.0,
            log_likelihood=-1.0,
            squared_error=1.0,
            kl_divergence=1.0,
            errors={"forecast": error, "imputation": error},
            seconds=60.0,
        )
        for epoch, error in enumerate((0.5, 0.4, 0.45))
    ]
    counts = np.full(len(CHALLENGE), 5000)
    counts[CHALLENGE.channel("Cholesterol")] = 12
    return model_card(
        name="icu",
        version="3",
        config=PRESETS["quick"],
        dataset_name="some wards",
        num_train=1234,
        num_tuning=150,
        history=history,
        catalogue=CHALLENGE,
        certificate=SolverCertificate("rk4", 1.5, 3, 0.004, 0.0002, 8120),
        num_values=counts,
        hashes={"data sha256": "ab" * 32},
        evaluations=[judged.evaluation],
    )


def test_the_card_says_what_the_model_is_not_for(judged: Judged, card: str) -> None:
    for text in (
        *("# icu 3", "Not a medical device", "some wards; 1,234 series", "Preset: quick"),
        *("epoch 2: forecast 0.4000", "Cholesterol (12)", "MechVent", "Urine", "ab" * 32),
        *("rk4 with steps of 1.5 h", "8,120 targets", "at most 0.004"),
        *("calibrated", f"{judged.evaluation.mean_error(MODEL):.4f}", "3.0 minutes"),
    ):
        assert text in card
    overall = judged.evaluation.overall_intervals
    assert " | ".join(f"{100 * share:.1f} %" for share in overall.split[:, 0]) in card
    worst = worst_covered(variable_scores(judged.evaluation, CHALLENGE))
    assert f"| {worst.variable.name}, " in card
    estimated = card.split("Variables (UCUM units): ")[1].split("\n", maxsplit=1)[0]
    for variable in CHALLENGE:
        assert (f"{variable.name} (" in estimated) == variable.is_queryable
    assert not re.search(r"\bnan\b", card)
