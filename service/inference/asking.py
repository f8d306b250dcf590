"""Running the predictor on the series of a request, in parts of bounded size.

The answer of a series depends neither on the other series nor on the other queries (the predictor's
promise), so parts change nothing but memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from model.data.query import Query
from model.data.series import Cohort, Series
from model.runtime.decoding import NUM_DRAWS
from model.runtime.predictor import Prediction, Predictor, Request

# While the network runs, a sample of a query costs about a kilobyte, and so does an observation.
# The memory is kept afterwards, so these are what the process grows by. Larger parts gain nothing.
_MAX_SAMPLE_VALUES = 60_000
_MAX_PADDED_OBSERVATIONS = 100_000
# An hour of one draw of one series' course costs two, also where it is asked at a single time.
_MAX_DRAWN_HOURS = 60_000.0


@dataclass(frozen=True)
class Question:
    """A series, and what is asked about it: every one of the channels at every one of the times."""

    context: Series
    times_hours: Float[np.ndarray, " time"]
    channels: Int[np.ndarray, " channel"]

    @property
    def num_queries(self) -> int:
        """Number of answers."""
        return len(self.times_hours) * len(self.channels)

    @property
    def span_hours(self) -> float:
        """From the first observation or time to the last."""
        moments = [part for part in (self.context.times_hours, self.times_hours) if len(part)]
        return float(max(part.max() for part in moments) - min(part.min() for part in moments))


@dataclass(frozen=True)
class Options:
    """What holds for all questions of a request."""

    quantile_levels: tuple[float, ...]
    num_samples: int
    seed: int


def ask(predictor: Predictor, questions: Sequence[Question], options: Options) -> list[Prediction]:
    """Return one prediction for each question, in order; its answers are time by time."""
    answers: list[Prediction] = []
    for part in _parts(questions, options.num_samples):
        query = Query.grid(
            [question.times_hours for question in part], [question.channels for question in part]
        )
        prediction = predictor.predict(
            Request(
                Cohort.from_series([question.context for question in part]),
                query,
                quantile_levels=options.quantile_levels,
                num_samples=options.num_samples,
                seed=options.seed,
            )
        )
        ends = pairwise(query.query_offsets.tolist())
        answers.extend(_of_series(prediction, number, *own) for number, own in enumerate(ends))
    return answers


def _parts(questions: Sequence[Question], num_samples: int) -> Iterator[list[Question]]:
    part: list[Question] = []
    longest, queries, hours = 0, 0, 0.0
    for question in questions:
        longest = max(longest, len(question.context))
        queries += question.num_queries
        hours = max(hours, question.span_hours)
        is_full = (
            longest * (len(part) + 1) > _MAX_PADDED_OBSERVATIONS
            or queries * num_samples > _MAX_SAMPLE_VALUES
            or hours * (len(part) + 1) * (num_samples + NUM_DRAWS) > _MAX_DRAWN_HOURS
        )
        if part and is_full:
            yield part
            part, longest = [], len(question.context)
            queries, hours = question.num_queries, question.span_hours
        part.append(question)
    if part:
        yield part


def _of_series(prediction: Prediction, number: int, start: int, stop: int) -> Prediction:
    """Cut one series out of a joint prediction."""
    return Prediction(
        mean=prediction.mean[start:stop],
        latent_variance=prediction.latent_variance[start:stop],
        observation_variance=prediction.observation_variance[start:stop],
        quantiles=prediction.quantiles[:, start:stop],
        samples=prediction.samples[:, start:stop],
        support=prediction.support[start:stop],
        held_out_subjects=prediction.held_out_subjects[start:stop],
        is_uninformative=prediction.is_uninformative[start:stop],
        out_of_distribution=prediction.out_of_distribution[number : number + 1],
    )
