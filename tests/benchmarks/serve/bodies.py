"""Real stays as the bodies of requests: a day of observations, a hundred queries."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from model.data.series import Series
from tests.catalogues import CHALLENGE
from training.cohort_mapping import map_cohort
from training.datasets.meds import read_cohort

_CONTEXT_HOURS = 24.0
VARIABLES = ("HR", "MAP", "Temp", "Lactate")
TIMES_HOURS = tuple(float(time) for time in np.linspace(0.5, 24.5, 25))
NUM_BODIES = 200


def bodies(data: Path, *, num_series: int = 1) -> list[bytes]:
    """Return bodies of requests to /v1/impute, `num_series` of the first stays of a dataset in each."""
    dataset = read_cohort(data)
    cohort = map_cohort(dataset.cohort, dataset.catalogue, CHALLENGE).cohort
    found = (_series(cohort[index]) for index in range(min(NUM_BODIES, len(cohort))))
    stays = [one for one in found if one is not None]
    whole = range(0, len(stays) - num_series + 1, num_series)
    return [json.dumps({"series": stays[at : at + num_series]}).encode() for at in whole]


def _series(series: Series) -> dict[str, Any] | None:
    times = series.times_hours - series.times_hours[0]
    is_used = times <= _CONTEXT_HOURS
    if np.count_nonzero(is_used) < 2:
        return None
    variables = [CHALLENGE[channel] for channel in series.channels[is_used]]
    observations = {
        "time": times[is_used].round(4).tolist(),
        "variable": [variable.name for variable in variables],
        "value": [float(f"{value:.6g}") for value in series.values[is_used]],
        "unit": [variable.unit for variable in variables],
    }
    query = {"times": TIMES_HOURS, "variables": VARIABLES}
    return {"subject_id": series.subject_id, "observations": observations, "query": query}
