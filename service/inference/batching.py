"""Answering several requests with one run of the model.

A series' answer depends on no other series (the predictor's promise), so requests with the same
options are joined, and taken apart again. What fails is asked again alone, so that only the request
that is at fault fails.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from model.runtime.predictor import Predictor
from service.inference.answering import Detail, answer_all
from service.inference.answers import AnsweredSeries
from service.inference.asking import Options
from service.inference.reading import ReadSeries


@dataclass(frozen=True)
class Asked:
    """The usable series of one request, by which model and how they are to be answered.

    The model is the one that read the request, also if another takes over while it waits.
    """

    predictor: Predictor
    series: Sequence[ReadSeries]
    options: Options
    detail: Detail

    @property
    def size(self) -> int:
        """Return its work: observations, and numbers of the answer."""
        observations = sum(one.num_observations for one in self.series)
        queries = sum(0 if one.query is None else one.query.num_queries for one in self.series)
        return observations + queries * (1 + self.options.num_samples)

    def joins(self, other: "Asked") -> bool:
        """Return whether one run can answer both: events are sampled request by request."""
        has_events = any(one.events for asked in (self, other) for one in asked.series)
        same_model = self.predictor is other.predictor
        same_answer = self.options == other.options and self.detail == other.detail
        return same_model and same_answer and not has_events


def answer_batch(batch: Sequence[Asked]) -> list[list[AnsweredSeries] | Exception]:
    """Answer requests that join, in order; in place of a request's answer stands what it raised."""
    if len(batch) == 1:
        return [_alone(batch[0])]
    joined = [one for asked in batch for one in asked.series]
    first = batch[0]
    try:
        answered = iter(answer_all(first.predictor, joined, first.options, first.detail))
    except Exception:  # noqa: BLE001  whoever is at fault: the others must not suffer for it
        return [_alone(asked) for asked in batch]
    return [[next(answered) for _ in asked.series] for asked in batch]


def _alone(asked: Asked) -> list[AnsweredSeries] | Exception:
    try:
        return answer_all(asked.predictor, asked.series, asked.options, asked.detail)
    except Exception as error:  # noqa: BLE001  handed to the request that it belongs to
        return error
