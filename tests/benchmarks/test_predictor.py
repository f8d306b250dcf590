"""How fast the predictor answers, beside the same predictor asked for one series at a time.

Prints a table; passes if both ran. `make bench` shows it.
"""

import time
from pathlib import Path

import numpy as np
import pytest

from model.artifact import load_artifact
from model.data.query import Query
from model.data.series import Cohort
from model.runtime.backends import load_predictor
from model.runtime.predictor import Request
from tests.catalogues import CHALLENGE
from tests.series import random_cohort

NUM_SERIES = 64
TIMES_HOURS = np.linspace(0, 48, 20)
REPETITIONS = 5


def _request(cohort: Cohort) -> Request:
    channels = np.array(
        [CHALLENGE.channel(name) for name in ("HR", "MAP", "Temp", "Lactate", "GCS")]
    )
    return Request(cohort, Query.grid([TIMES_HOURS] * len(cohort), [channels] * len(cohort)))


@pytest.mark.benchmark
def test_series_per_second_together_and_one_by_one(
    tiny_artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictor = load_predictor(load_artifact(tiny_artifact), backend="torch", device="cpu")
    cohort = random_cohort(NUM_SERIES, np.random.default_rng(0), mean_observations=400)
    together = [_request(cohort)]
    apart = [_request(cohort.select([index])) for index in range(len(cohort))]
    seconds: dict[str, list[float]] = {"together": [], "one by one": []}
    for _ in range(REPETITIONS):
        for name, requests in (("together", together), ("one by one", apart)):
            start = time.process_time()
            for request in requests:
                predictor.predict(request)
            seconds[name].append(time.process_time() - start)
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    with capsys.disabled():
        print()
        for name, median in medians.items():
            print(f"{name:12s} {NUM_SERIES / median:8.1f} series per CPU second")
        print(f"together is {medians['one by one'] / medians['together']:.1f} times as fast")
    assert all(median > 0 for median in medians.values())
