"""From a prediction about one series to its answer on the wire: numbers, status, events."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.variables import Catalogue
from model.runtime.predictor import Prediction, Predictor
from service.inference.answers import (
    AnsweredSeries,
    EventAnswer,
    OutOfDistribution,
    VariableAnswer,
)
from service.inference.asking import Options, Question, ask
from service.inference.query import EVENT_SAMPLES, AskedEvent, AskedQuery
from service.inference.reading import ReadSeries
from service.inference.status import (
    OUT_OF_DISTRIBUTION_SCORE,
    STATUSES,
    Extrapolation,
    find_statuses,
    find_usable,
)

# Float32 carries seven digits; more would be noise in the answer.
_SIGNIFICANT_DIGITS = 9


@dataclass(frozen=True)
class Detail:
    """What an endpoint's answers hold."""

    extrapolation: Extrapolation
    has_as_of: bool = False
    has_variances: bool = False


def answer_all(
    predictor: Predictor, series: Sequence[ReadSeries], options: Options, detail: Detail
) -> list[AnsweredSeries]:
    """Answer every series, in order."""
    catalogue = predictor.artifact.catalogue
    parts = [(one, _parts(one)) for one in series]
    questions = [part.question for _, own in parts for part in own]
    answers = iter(ask(predictor, questions, options))
    predictions = [_joined([(part, next(answers)) for part in own]) for _, own in parts]
    probabilities = _probabilities(predictor, series, seed=options.seed)
    return [
        AnsweredSeries(
            subject_id=one.subject_id,
            query_times=one.query.moments if one.query else [],
            variables=_variables(one, prediction, options, detail, catalogue),
            warnings=list(one.remarks),
            out_of_distribution=_out_of_distribution(prediction),
            as_of=one.as_of if detail.has_as_of else None,
            events=events or None,
        )
        for one, prediction, events in zip(series, predictions, probabilities, strict=True)
    ]


@dataclass(frozen=True)
class _Part:
    """What is asked about one piece of a series: the times at the positions `places`."""

    question: Question
    places: Int[np.ndarray, " own"]


def _parts(series: ReadSeries) -> list[_Part]:
    """Ask each piece of the record at the times that are nearest to it."""
    query = series.query
    if query is None:
        nothing = np.empty(0, dtype=np.int64)
        return [_Part(Question(series.pieces[-1], np.empty(0), nothing), nothing)]
    parts = []
    for piece in np.unique(query.pieces).tolist():
        own = np.flatnonzero(query.pieces == piece)
        question = Question(series.pieces[piece], query.times_hours[own], np.array(query.channels))
        parts.append(_Part(question, own))
    return parts


def _joined(answers: Sequence[tuple[_Part, Prediction]]) -> Prediction:
    """Put the answers about the pieces of a series in the order of its times."""
    if len(answers) == 1:
        return answers[0][1]
    times = np.argsort(np.concatenate([part.places for part, _ in answers]))
    width = len(answers[0][0].question.channels)
    order = (times[:, None] * width + np.arange(width)).ravel()
    found = [prediction for _, prediction in answers]

    def joined(field: str) -> np.ndarray:
        arrays = [getattr(prediction, field) for prediction in found]
        return np.concatenate(arrays, axis=-1)[..., order]

    per_query = {
        one.name: joined(one.name)
        for one in fields(Prediction)
        if one.name != "out_of_distribution"
    }
    scores = np.concatenate([prediction.out_of_distribution for prediction in found])
    return Prediction(**per_query, out_of_distribution=scores.max(keepdims=True))


def _variables(
    series: ReadSeries,
    prediction: Prediction,
    options: Options,
    detail: Detail,
    catalogue: Catalogue,
) -> dict[str, VariableAnswer]:
    query = series.query
    if query is None:
        return {}
    usable = find_usable(prediction)
    statuses = _statuses(series, query, prediction, usable, detail.extrapolation)
    numbers = _Numbers.of(prediction)
    places = np.arange(query.num_queries).reshape(len(query.times_hours), len(query.channels))
    answers = {}
    for channel, own in zip(query.channels, places.T, strict=True):
        variable = catalogue[channel]
        rows = numbers.rows(own, usable[own])
        quantiles = zip(options.quantile_levels, rows.quantiles, strict=True)
        answers[variable.name] = VariableAnswer(
            unit=variable.unit,
            mean=rows.mean,
            standard_deviation=rows.standard_deviation,
            quantiles={repr(level): row for level, row in quantiles},
            status=[STATUSES[position] for position in statuses[own]],
            latent_variance=rows.latent_variance if detail.has_variances else None,
            observation_variance=rows.observation_variance if detail.has_variances else None,
            samples=rows.samples or None,
        )
    return answers


_Row = list[float | None]


@dataclass(frozen=True)
class _Rows:
    """The numbers of one variable, null where the answer is not usable."""

    mean: _Row
    standard_deviation: _Row
    latent_variance: _Row
    observation_variance: _Row
    quantiles: list[_Row]
    samples: list[_Row]


@dataclass(frozen=True)
class _Numbers:
    """All numbers of a series, rounded together: one call for each would cost more than the model."""

    table: Float[np.ndarray, "row query"]
    num_quantiles: int

    @classmethod
    def of(cls, prediction: Prediction) -> "_Numbers":
        latent, observation = prediction.latent_variance, prediction.observation_variance
        moments = [prediction.mean, np.sqrt(latent + observation), latent, observation]
        table = np.concatenate([np.stack(moments), prediction.quantiles, prediction.samples])
        return cls(_rounded(table), len(prediction.quantiles))

    def rows(self, own: Int[np.ndarray, " time"], usable: Bool[np.ndarray, " time"]) -> _Rows:
        """Cut one variable out."""
        found: list[_Row] = self.table[:, own].tolist()
        if not usable.all():
            found = [
                [value if good else None for value, good in zip(row, usable, strict=True)]
                for row in found
            ]
        mean, deviation, latent, observation = found[:4]
        last = 4 + self.num_quantiles
        return _Rows(mean, deviation, latent, observation, found[4:last], found[last:])


def _statuses(
    series: ReadSeries,
    query: AskedQuery,
    prediction: Prediction,
    usable: Bool[np.ndarray, " query"],
    extrapolation: Extrapolation,
) -> Int[np.ndarray, " query"]:
    """Return for each query the position in `STATUSES` of the first one that holds."""
    first_hours = np.array([piece.times_hours[0] for piece in series.pieces])
    as_of_hours = np.array([piece.times_hours[-1] for piece in series.pieces])
    as_of_hours[-1] = series.as_of_hours
    is_beyond = extrapolation.is_beyond(
        query.times_hours,
        first_hours=first_hours[query.pieces],
        as_of_hours=as_of_hours[query.pieces],
    )
    return find_statuses(
        prediction,
        usable=usable,
        is_beyond=np.repeat(is_beyond, len(query.channels)),
        is_unusual=np.full(len(usable), _out_of_distribution(prediction).flag),
    )


def _out_of_distribution(prediction: Prediction) -> OutOfDistribution:
    score = float(prediction.out_of_distribution[0])
    return OutOfDistribution(score, score >= OUT_OF_DISTRIBUTION_SCORE)


def _rounded(values: Float[np.ndarray, "row query"]) -> Float[np.ndarray, "row query"]:
    """Round to significant digits."""
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = np.floor(np.log10(np.abs(values)))
    places = _SIGNIFICANT_DIGITS - 1 - np.where(np.isfinite(magnitude), magnitude, 0.0)
    # Powers of ten up to 22 are exact, so that the quotient is the closest number to the decimal.
    power = 10.0 ** np.clip(places, 0, 22)
    return np.rint(values * power) / power


def _probabilities(
    predictor: Predictor, series: Sequence[ReadSeries], *, seed: int
) -> list[list[EventAnswer]]:
    """Estimate every event from joint samples of its own, whatever else is asked.

    A variable is sampled once, on the longest grid that its events need.
    """
    options = Options((0.5,), EVENT_SAMPLES, seed)
    asked = [(number, event) for number, one in enumerate(series) for event in one.events]
    longest: dict[tuple[int, int], AskedEvent] = {}
    for number, event in asked:
        known = longest.get((number, event.channel))
        if known is None or len(known.times_hours) < len(event.times_hours):
            longest[number, event.channel] = event
    questions = [
        Question(
            series[number].pieces[-1],
            event.times_hours,
            np.array([channel]),
        )
        for (number, channel), event in longest.items()
    ]
    predictions = ask(predictor, questions, options)
    found = dict(zip(longest, predictions, strict=True))
    answers: list[list[EventAnswer]] = [[] for _ in series]
    for number, event in asked:
        answers[number].append(_event(event, found[number, event.channel]))
    return answers


def _event(event: AskedEvent, prediction: Prediction) -> EventAnswer:
    """Count the samples beyond the threshold; without one usable time there is no probability."""
    own = slice(len(event.times_hours))
    values = prediction.samples[:, own]
    is_usable = np.isfinite(values).all() and not prediction.is_uninformative[own].all()
    beyond = values < event.threshold if event.is_below else values > event.threshold
    return EventAnswer(
        variable=event.variable.name,
        unit=event.variable.unit,
        within_hours=event.within_hours,
        probability=float(beyond.any(axis=1).mean()) if is_usable else None,
        num_samples=len(values),
        num_times=len(event.times_hours),
        below=event.threshold if event.is_below else None,
        above=None if event.is_below else event.threshold,
    )
