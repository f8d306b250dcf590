"""What the calibration says about an answer reaches the client: low support, abstention, nulls."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from model.artifact import load_artifact
from model.calibration import MIN_SUBJECTS, Calibration
from model.runtime.backends import load_predictor
from service.demo import find_faults
from tests.catalogues import CHALLENGE
from tests.service.conftest import serving
from tests.service.requests import body, series
from tests.service.test_contract import post, variables


@contextmanager
def calibrated(
    artifact: Path, change: Callable[[Calibration], Calibration]
) -> Iterator[httpx.Client]:
    """Serve the artifact with a changed calibration."""
    loaded = load_artifact(artifact)
    predictor = load_predictor(
        replace(loaded, calibration=change(loaded.calibration)), backend="torch", device="cpu"
    )
    with serving(predictor) as client:
        yield client


def _with_subjects(number: int) -> Callable[[Calibration], Calibration]:
    return lambda known: replace(known, num_subjects=np.full_like(known.num_subjects, number))


@pytest.mark.parametrize(
    ("num_subjects", "expected"), [(MIN_SUBJECTS - 1, "low_support"), (MIN_SUBJECTS, "ok")]
)
def test_an_interval_that_few_subjects_vouch_for_has_low_support(
    tiny_artifact: Path, num_subjects: int, expected: str
) -> None:
    with calibrated(tiny_artifact, _with_subjects(num_subjects)) as client:
        answer = variables(post(client, "/v1/impute", body(series())))
    assert set(answer["HR"]["status"]) == {expected}


def test_an_answer_that_holds_for_anyone_is_null(tiny_artifact: Path) -> None:
    # A population that is known to a hair lies inside every interval around it: where the interval
    # of heart rates is there too, the answer abstains. Far away it says something, and so do others.
    def everyone_alike(known: Calibration) -> Calibration:
        population = np.full((len(CHALLENGE), 2), np.nan)
        population[CHALLENGE.channel("HR")] = [center - 1e-6, center + 1e-6]
        return replace(known, population=population)

    loaded = load_artifact(tiny_artifact)
    channel = np.array([CHALLENGE.channel("HR")])
    query = {"times": [5.0], "variables": ["HR", "MAP"]}
    with calibrated(tiny_artifact, lambda known: known) as client:
        plain = variables(post(client, "/v1/uncertainty", body(series(query=query))))
    median = np.array(plain["HR"]["quantiles"]["0.5"])
    center = float(loaded.normalization.apply(median, channel)[0])
    with calibrated(tiny_artifact, everyone_alike) as client:
        found = post(client, "/v1/uncertainty", body(series(query=query), num_samples=2))
    rate, pressure = variables(found)["HR"], variables(found)["MAP"]
    assert rate["status"] == ["abstained"]
    for name in ("mean", "standard_deviation", "latent_variance", "observation_variance"):
        assert rate[name] == [None]
    assert rate["samples"] == [[None], [None]]
    assert all(row == [None] for row in rate["quantiles"].values())
    assert pressure["status"] == ["ok"]
    assert pressure["mean"] == plain["MAP"]["mean"]


def test_the_demonstration_takes_an_abstention_for_an_answer_and_nothing_but_for_none() -> None:
    query = {"times": [1.0, 2.0], "variables": ["HR"]}

    def faults(mean: list[float | None], status: list[str]) -> list[str]:
        numbers = {"mean": mean, "standard_deviation": mean, "quantiles": {"0.5": mean}}
        answered = {
            "query_times": query["times"],
            "variables": {"HR": numbers | {"status": status}},
        }
        return list(find_faults({"series": [{"query": query}]}, {"series": [answered]}))

    assert faults([1.0, 2.0], ["ok", "ok"]) == []
    assert faults([1.0, None], ["ok", "abstained"]) == []
    assert "finite" in faults([1.0, None], ["ok", "ok"])[0]
    assert "has a number" in faults([1.0, 2.0], ["ok", "abstained"])[0]
    assert "no variable" in faults([None, None], ["abstained", "abstained"])[0]
