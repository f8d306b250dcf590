"""The example patients of a report: who is drawn, and what the model says about them at all times."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.query import Query
from model.data.series import Series
from model.data.variables import Catalogue, Kind, Variable
from model.runtime.predictor import Predictor, Request
from training.evaluation import Answers
from training.intervals import MEDIAN, interval_ends

NUM_EXAMPLES = 6
BAND_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
_MAX_PANELS = 3
# A series is a good example if two variables have at least this many targets.
_MIN_TARGETS = 4
_STEP_HOURS = 0.25
_MAX_GRID = 600


@dataclass(frozen=True)
class Points:
    """Measurements of one variable."""

    times_hours: Float[np.ndarray, " point"]
    values: Float[np.ndarray, " point"]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One variable of one example: what was seen, what was not, and the estimate on a dense grid.

    `target_quantiles` are 5 %, 50 % and 95 % at the times of the targets, as they were scored.
    """

    variable: Variable
    context: Points
    target: Points
    target_quantiles: Float[np.ndarray, "three point"]
    grid_hours: Float[np.ndarray, " grid"]
    quantiles: Float[np.ndarray, "level grid"]


@dataclass(frozen=True, kw_only=True)
class Example:
    """One series. `context_end_hours` is the time of its last measurement that the model saw."""

    number: int
    context_end_hours: float
    panels: tuple[Panel, ...]


def draw_examples(
    answers: Answers, predictor: Predictor, catalogue: Catalogue, *, seed: int
) -> tuple[Example, ...]:
    """Choose up to six series and ask the predictor about them on a dense grid."""
    generator = np.random.default_rng(seed)
    counts = _target_counts(answers, catalogue)
    chosen = choose_series(counts, generator)
    if len(chosen) == 0:
        return ()
    channels = [_busiest(counts[index]) for index in chosen]
    context = answers.window.context.select(chosen)
    target = answers.window.target.select(chosen)
    grids = [_grid(context[i], target[i]) for i in range(len(chosen))]
    query = Query.grid(grids, channels)
    prediction = predictor.predict(Request(context, query, quantile_levels=BAND_LEVELS, seed=seed))
    scored = _scored_quantiles(answers)
    examples = []
    for position, index in enumerate(chosen):
        rows = slice(*query.query_offsets[position : position + 2])
        shape = (len(BAND_LEVELS), len(grids[position]), len(channels[position]))
        own = scored[:, answers.window.target.offsets[index] :]
        panels = _panels(
            (context[position], target[position]),
            catalogue,
            channels[position],
            grids[position],
            prediction.quantiles[:, rows].reshape(shape),
            own[:, : len(target[position])],
        )
        end = float(context[position].times_hours[-1])
        examples.append(Example(number=position + 1, context_end_hours=end, panels=panels))
    return tuple(examples)


def choose_series(
    counts: Int[np.ndarray, "series channel"], generator: np.random.Generator
) -> Int[np.ndarray, " chosen"]:
    """Choose at random among the series with enough targets, then by the number of targets."""
    rich = (counts >= _MIN_TARGETS).sum(axis=1) >= 2
    order = generator.permutation(len(counts))
    total = counts.sum(axis=1)
    others = [index for index in order if not rich[index] and total[index] > 0]
    others.sort(key=lambda index: -total[index])
    found = [index for index in order if rich[index]] + others
    return np.array(found[:NUM_EXAMPLES], dtype=np.int64)


def drawable(catalogue: Catalogue) -> Bool[np.ndarray, " channel"]:
    """Return which channels have a value at every time; an amount belongs to an entry instead."""
    return np.array([v.is_queryable and v.kind is not Kind.AMOUNT for v in catalogue])


def _target_counts(answers: Answers, catalogue: Catalogue) -> Int[np.ndarray, "series channel"]:
    num_series, num_channels = len(answers.window.target), len(catalogue)
    flat = answers.series * num_channels + answers.channels
    counts = np.bincount(flat, minlength=num_series * num_channels)
    return counts.reshape(num_series, num_channels) * drawable(catalogue)


def _busiest(counts: Int[np.ndarray, " channel"]) -> Int[np.ndarray, " panel"]:
    """Return the two or three channels with most targets, in channel order."""
    order = np.argsort(-counts, kind="stable")[:_MAX_PANELS]
    return np.sort(order[counts[order] > 0])


def _grid(context: Series, target: Series) -> Float[np.ndarray, " grid"]:
    start = min(context.times_hours[0], target.times_hours[0])
    stop = max(context.times_hours[-1], target.times_hours[-1])
    size = int(np.ceil((stop - start) / _STEP_HOURS)) + 1
    return np.linspace(start, stop, min(max(size, 2), _MAX_GRID))


def _scored_quantiles(answers: Answers) -> Float[np.ndarray, "three target"]:
    low, high = interval_ends(answers.quantiles, "90%")
    return np.stack([low, answers.quantiles[MEDIAN], high])


def _panels(
    seen_and_hidden: tuple[Series, Series],
    catalogue: Catalogue,
    channels: Int[np.ndarray, " panel"],
    grid_hours: Float[np.ndarray, " grid"],
    quantiles: Float[np.ndarray, "level grid panel"],
    scored: Float[np.ndarray, "three target"],
) -> tuple[Panel, ...]:
    context, target = seen_and_hidden
    return tuple(
        Panel(
            variable=catalogue[int(channel)],
            context=_points(context, channel),
            target=_points(target, channel),
            target_quantiles=scored[:, target.channels == channel],
            grid_hours=grid_hours,
            quantiles=quantiles[:, :, position],
        )
        for position, channel in enumerate(channels)
    )


def _points(series: Series, channel: int) -> Points:
    rows = series.channels == channel
    return Points(series.times_hours[rows], series.values[rows])
