"""Running the predictor on the series of a request, in parts of bounded size.

The answer of a series depends neither on the other series nor on the other queries (the predictor's
promise), so parts change nothing but memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from model.data.batch import Query
from model.data.series import Cohort, Series, offsets_from_counts
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
    """A series, and every one of its queries: `times_hours[i]` of `channels[i]`."""

    context: Series
    times_hours: Float[np.ndarray, " query"]
    channels: np.ndarray

    @property
    def span_hours(self) -> float:
        """From the first observation or query to the last."""
        moments = [part for part in (self.context.times_hours, self.times_hours) if len(part)]
        return float(max(part.max() for part in moments) - min(part.min() for part in moments))


@dataclass(frozen=True)
class Options:
    """What holds for all questions of a request."""

    quantile_levels: tuple[float, ...]
    num_samples: int
    seed: int


def ask(predictor: Predictor, questions: Sequence[Question], options: Options) -> list[Prediction]:
    """Return one prediction for each question, in order."""
    answers: list[Prediction] = []
    for part in _parts(questions, options.num_samples):
        counts = np.array([len(question.times_hours) for question in part])
        offsets = offsets_from_counts(counts)
        prediction = predictor.predict(
            Request(
                Cohort.from_series([question.context for question in part]),
                Query(
                    offsets,
                    np.concatenate([question.times_hours for question in part]),
                    np.concatenate([question.channels for question in part]),
                ),
                quantile_levels=options.quantile_levels,
                num_samples=options.num_samples,
                seed=options.seed,
            )
        )
        answers.extend(
            _of_series(prediction, number, int(offsets[number]), int(offsets[number + 1]))
            for number in range(len(part))
        )
    return answers


def _parts(questions: Sequence[Question], num_samples: int) -> Iterator[list[Question]]:
    part: list[Question] = []
    longest, queries, hours = 0, 0, 0.0
    for question in questions:
        longest = max(longest, len(question.context))
        queries += len(question.times_hours)
        hours = max(hours, question.span_hours)
        is_full = (
            longest * (len(part) + 1) > _MAX_PADDED_OBSERVATIONS
            or queries * num_samples > _MAX_SAMPLE_VALUES
            or hours * (len(part) + 1) * (num_samples + NUM_DRAWS) > _MAX_DRAWN_HOURS
        )
        if part and is_full:
            yield part
            part, longest = [], len(question.context)
            queries, hours = len(question.times_hours), question.span_hours
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
