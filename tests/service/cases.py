"""Requests with the answer that the predictor itself gives to each, asked alone and without a server."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.data.query import Query
from model.data.series import Cohort
from model.runtime.predictor import Prediction, Predictor, Request
from service.inference.query import Reach
from service.inference.requests import read_request
from service.inference.schemas import ImputeRequest
from service.settings import Settings
from tests.service.answers import TOLERANCE
from tests.service.requests import Json, body, other_series

LEVELS = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Case:
    """A body, and for each of its series what must be answered."""

    body: Json
    expected: tuple[Prediction, ...]

    @property
    def content(self) -> bytes:
        return json.dumps(self.body).encode()

    def check(self, document: Any) -> None:
        """Compare an answer with the predictor's own, in units of the standard deviation."""
        assert len(document["series"]) == len(self.expected)
        pairs = zip(self.body["series"], document["series"], self.expected, strict=True)
        for asked, answered, expected in pairs:
            assert answered["subject_id"] == asked["subject_id"]
            rows = [_row(one) for one in answered["variables"].values()]
            assert list(answered["variables"]) == asked["query"]["variables"]
            # Variable by variable on the wire, time by time from the predictor.
            found = np.stack(rows, axis=-1).reshape(len(rows[0]), -1)
            variance = expected.latent_variance + expected.observation_variance
            deviation = np.sqrt(variance)
            right = np.vstack([expected.mean, deviation, expected.quantiles])
            assert np.max(np.abs(found - right) / deviation) < TOLERANCE


def _row(variable: Json) -> np.ndarray:
    quantiles = [variable["quantiles"][repr(level)] for level in LEVELS]
    return np.array([variable["mean"], variable["standard_deviation"], *quantiles], dtype=float)


def make_cases(
    predictor: Predictor, count: int, *, num_series: int = 1, num_samples: int = 0
) -> list[Case]:
    """Make requests that differ from each other; samples are only there to be work."""
    bodies = [
        body(
            *(other_series(number * num_series + place) for place in range(num_series)),
            num_samples=num_samples,
        )
        for number in range(count)
    ]
    return [Case(one, _expected(predictor, one)) for one in bodies]


def _expected(predictor: Predictor, one: Json) -> tuple[Prediction, ...]:
    read = read_request(
        ImputeRequest.model_validate(one),
        catalogue=predictor.artifact.catalogue,
        settings=Settings(),
        reach=Reach.ANYWHERE,
    )
    predictions = []
    for series in read.good:
        assert series.query is not None
        query = Query.grid([series.query.times_hours], [np.array(series.query.channels)])
        context = Cohort.from_series(series.pieces)
        predictions.append(predictor.predict(Request(context, query, quantile_levels=LEVELS)))
    return tuple(predictions)
