"""The imputed trajectory against the truth: the law of the noise, and bands that are known to be right."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from model.artifact import load_artifact
from model.data.series import Cohort
from model.runtime.backends import load_predictor
from tests.catalogues import CHALLENGE
from training.cohort_mapping import map_cohort
from training.datasets.meds import read_cohort
from training.datasets.simulated_dataset import write_simulated
from training.evaluate import evaluate
from training.measurement_noise import measure
from training.truth import NOMINAL, Truth, TruthAnswers, TruthError, answer_truth, score_truth

# Standard normal quantiles at the levels that are asked for.
_NORMAL = np.array([-1.95996, -1.64485, -1.28155, -0.67449, 0, 0.67449, 1.28155, 1.64485, 1.95996])


@dataclass(frozen=True)
class Simulated:
    folder: Path
    cohort: Cohort
    whole: Truth
    truth: Cohort


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    folder = tmp_path_factory.mktemp("data") / "simulated"
    write_simulated(folder, num_subjects=60, seed=4)
    dataset = read_cohort(folder)
    cohort = map_cohort(dataset.cohort, dataset.catalogue, CHALLENGE).cohort
    whole = Truth.read(folder, cohort, CHALLENGE)
    return Simulated(folder, cohort, whole, whole.between_entries())


def noise_deviations(truth: Cohort) -> np.ndarray:
    """Return each channel's root mean squared noise."""
    drawn = measure(truth.values, truth.channels, CHALLENGE, np.random.default_rng(8))
    squares = np.bincount(truth.channels, (drawn - truth.values) ** 2, len(CHALLENGE))
    return np.sqrt(squares / np.maximum(np.bincount(truth.channels, minlength=len(CHALLENGE)), 1))


@pytest.fixture(scope="module")
def answers(simulated: Simulated, tiny_artifact: Path) -> TruthAnswers:
    """Those of a model whose error is half the noise, and who knows both."""
    predictor = load_predictor(load_artifact(tiny_artifact), backend="torch", device="cpu")
    found = answer_truth(
        predictor, simulated.cohort, simulated.truth, seed=0, on_progress=lambda *_: None
    )
    noise = np.sqrt(found.noise_variance)
    generator = np.random.default_rng(9)
    mean = found.truth + 0.5 * noise * generator.standard_normal(len(noise))
    deviation = np.sqrt(1.25) * noise
    return replace(
        found,
        mean=mean,
        variance=deviation**2,
        quantiles=mean + deviation * _NORMAL[:, None],
    )


def test_the_truth_lies_between_the_entries_of_its_variable(simulated: Simulated) -> None:
    cohort, truth = simulated.cohort, simulated.truth
    assert len(truth.values) > 10_000
    for owner in range(0, len(cohort), 7):
        seen, asked = cohort[owner], truth[owner]
        for channel in np.unique(asked.channels):
            times = seen.times_hours[seen.channels == channel]
            between = asked.times_hours[asked.channels == channel]
            assert times[0] <= between.min()
            assert between.max() <= times[-1]
            assert not np.isin(between, times).any()


def test_the_truth_of_a_look_is_near_what_was_charted(simulated: Simulated) -> None:
    cohort = simulated.cohort
    twice = cohort.select([5, 3, 5])
    at_looks = simulated.whole.at(twice)
    urine = CHALLENGE.channel("Urine")
    assert urine in twice.channels
    assert urine not in at_looks.channels
    for channel in map(CHALLENGE.channel, ("HR", "Temp", "Na")):
        rows, charted = at_looks.channels == channel, twice.channels == channel
        np.testing.assert_array_equal(at_looks.times_hours[rows], twice.times_hours[charted])
        noise = noise_deviations(simulated.truth)[channel]
        error = at_looks.values[rows] - twice.values[charted]
        assert np.abs(np.median(error)) < noise
        assert np.sqrt(np.mean(error**2)) < 4 * noise


@pytest.mark.parametrize("name", ["Na", "K", "HCT", "BUN", "Creatinine", "Temp", "HCO3"])
def test_the_law_of_the_noise_is_that_of_the_chart(simulated: Simulated, name: str) -> None:
    # These move so slowly that half an hour of truth is nearly a line: what the chart differs from
    # it is noise.
    channel, cohort, truth = CHALLENGE.channel(name), simulated.cohort, simulated.truth
    residuals = []
    for owner in range(len(cohort)):
        seen, known = cohort[owner], truth[owner]
        rows = known.channels == channel
        times, values = seen.times_hours[seen.channels == channel], None
        if rows.sum() < 2:
            continue
        values = seen.values[seen.channels == channel]
        inside = (times >= known.times_hours[rows][0]) & (times <= known.times_hours[rows][-1])
        line = np.interp(times[inside], known.times_hours[rows], known.values[rows])
        residuals.append(values[inside] - line)
    found = np.sqrt(np.mean(np.concatenate(residuals) ** 2))
    assert found == pytest.approx(noise_deviations(truth)[channel], rel=0.15)


def test_a_known_error_is_found_and_its_bands_hold(
    simulated: Simulated, answers: TruthAnswers
) -> None:
    found = score_truth(answers, len(CHALLENGE))
    asked = np.flatnonzero(found.counts > 500)
    assert len(asked) > 15
    np.testing.assert_allclose(found.ratios[asked], 0.5, rtol=0.1)
    shares = found.overall(found.truth_coverage)
    measured = found.overall(found.measurement_coverage)
    for name, (low, high) in NOMINAL.items():
        assert shares[name] == pytest.approx(high - low, abs=0.03)
        # Rounding and a score's steps are not normal: a little more room.
        assert measured[name] == pytest.approx(high - low, abs=0.05)
        assert found.overall(found.truth_in_served)[name] > shares[name]


def test_a_claim_of_less_than_the_noise_leaves_no_band(
    simulated: Simulated, answers: TruthAnswers
) -> None:
    proud = replace(answers, variance=0.5 * answers.noise_variance)
    found = score_truth(proud, len(CHALLENGE))
    assert np.nanmax(found.truth_width) == 0
    assert found.overall(found.truth_coverage)["95%"] < 0.01


def test_the_command_writes_a_table_and_figures_that_agree(
    simulated: Simulated, tiny_artifact: Path, tmp_path: Path
) -> None:
    summary = evaluate(
        tiny_artifact,
        simulated.folder,
        task="truth",
        out=tmp_path / "out",
        part="auto",
        device="cpu",
        seed=0,
        command=["evaluate"],
    )
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["task"] == "truth"
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for part in ("half_hours", "looks"):
        for row in metrics[part]["variables"]:
            assert row["ratio"] == pytest.approx(row["error"] / row["noise"])
            for text in (summary, page):
                assert row["variable"] in text
        for share in metrics[part]["truth_coverage"].values():
            assert f"{100 * share:.1f}\u00a0%" in summary
            assert f"{100 * share:.1f}\u00a0%" in page
    assert (tmp_path / "out" / "summary.md").read_text(encoding="utf-8") == summary
    assert "NaN" not in summary


def test_data_without_a_truth_are_refused(simulated: Simulated, tmp_path: Path) -> None:
    with pytest.raises(TruthError, match="only a simulated cohort"):
        Truth.read(tmp_path, simulated.cohort, CHALLENGE)
