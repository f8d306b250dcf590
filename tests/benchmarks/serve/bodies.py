"""Real stays as the bodies of requests: a day of observations, a hundred queries."""

import json
from pathlib import Path

import numpy as np

from model.data.catalogue import CATALOGUE
from model.data.series import Series
from training.datasets.meds import read_cohort

_CONTEXT_HOURS = 24.0
VARIABLES = ("HR", "MAP", "Temp", "Lactate")
TIMES_HOURS = tuple(float(time) for time in np.linspace(0.5, 24.5, 25))
NUM_BODIES = 200


def bodies(data: Path) -> list[bytes]:
    """Return the bodies of requests to /v1/impute, from the first stays of a MEDS dataset."""
    cohort = read_cohort(data, CATALOGUE).cohort
    found = (_body(cohort[index]) for index in range(min(NUM_BODIES, len(cohort))))
    return [body for body in found if body is not None]


def _body(series: Series) -> bytes | None:
    times = series.times_hours - series.times_hours[0]
    is_used = times <= _CONTEXT_HOURS
    if np.count_nonzero(is_used) < 2:
        return None
    variables = [CATALOGUE[channel] for channel in series.channels[is_used]]
    observations = {
        "time": times[is_used].round(4).tolist(),
        "variable": [variable.name for variable in variables],
        "value": [float(f"{value:.6g}") for value in series.values[is_used]],
        "unit": [variable.unit for variable in variables],
    }
    query = {"times": TIMES_HOURS, "variables": VARIABLES}
    one = {"subject_id": series.subject_id, "observations": observations, "query": query}
    return json.dumps({"series": [one]}).encode()
