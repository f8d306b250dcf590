"""Imputation of real stays: a day of observations and a hundred queries for each."""

from pathlib import Path
from typing import final

import numpy as np

from model.data.query import Query
from model.data.series import Cohort, Series
from model.runtime.predictor import Request
from tests.benchmarks.serve.bodies import TIMES_HOURS, VARIABLES
from tests.catalogues import CHALLENGE
from training.cohort_mapping import map_cohort
from training.datasets.meds import read_cohort

_CONTEXT_HOURS = 24.0


@final
class Workload:
    """The stays of a MEDS dataset, each cut after a day and begun at zero."""

    def __init__(self, data: Path) -> None:
        dataset = read_cohort(data)
        cohort = map_cohort(dataset.cohort, dataset.catalogue, CHALLENGE).cohort
        days = (_first_day(cohort[number]) for number in range(len(cohort)))
        self._stays = Cohort.from_series([one for one in days if len(one) >= 2])

    def request(self, num_series: int) -> Request:
        """Ask about the first stays; where there are too few, they come again."""
        context = self._stays.select(np.arange(num_series) % len(self._stays))
        channels = np.array([CHALLENGE.channel(name) for name in VARIABLES])
        times = np.array(TIMES_HOURS)
        return Request(context, Query.grid([times] * num_series, [channels] * num_series))


def _first_day(series: Series) -> Series:
    times = series.times_hours - series.times_hours[0]
    is_used = times <= _CONTEXT_HOURS
    return Series(
        series.subject_id,
        times[is_used],
        series.channels[is_used],
        series.values[is_used],
        series.statics,
    )
