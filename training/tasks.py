"""The two things that a model is asked, as splits of records into context and target."""

from enum import StrEnum

import numpy as np
from jaxtyping import Float

from model.data.series import Cohort, offsets_from_counts
from model.data.variables import Catalogue
from model.data.windows import Window, WindowMasks, hidden_cells_masks


class Task(StrEnum):
    """What is asked of the model."""

    FORECAST = "forecast"
    """Hours 24 to 48 from hours 0 to 24 of each series' clock, and so on for longer series."""
    IMPUTATION = "imputation"
    """30 % of the observations, hidden at random, from the others within 48 hours."""


def make_window(
    cohort: Cohort,
    catalogue: Catalogue,
    task: Task,
    *,
    seed: int,
    context_end_hours: float = 24.0,
    horizon_hours: float = 24.0,
    hidden_fraction: float = 0.3,
) -> Window:
    """Split a cohort into context and target for a task.

    Only measured values are targets; the window counts the limits that are not.

    A series that is longer than context and horizon together is judged in each such span of its
    clock by itself, which is the length that a model is trained on.
    """
    span = context_end_hours + horizon_hours
    block = _blocks(cohort, span)
    cohort = _cut(cohort, block)
    if task is Task.FORECAST:
        is_context = cohort.times_hours < block * span + context_end_hours
        masks = WindowMasks(is_context, ~is_context)
    else:
        masks = hidden_cells_masks(
            cohort, hidden_fraction=hidden_fraction, generator=np.random.default_rng(seed)
        )
    return masks.split(cohort, catalogue).measured()


def _blocks(cohort: Cohort, span_hours: float) -> Float[np.ndarray, " observation"]:
    """Return which span of its series' clock each observation lies in.

    What falls on the end of a span belongs to it: hour 48 is a target of the first day's forecast.
    """
    blocks: Float[np.ndarray, " observation"] = np.maximum(
        np.ceil(cohort.times_hours / span_hours) - 1, 0
    )
    return blocks


def _cut(cohort: Cohort, block: Float[np.ndarray, " observation"]) -> Cohort:
    """Make a series of each block of a series; it keeps its subject, its statics and its clock."""
    series = cohort.series_indices
    is_new = np.ones(len(series), dtype=bool)
    is_new[1:] = (np.diff(series) != 0) | (np.diff(block) != 0)
    starts = np.flatnonzero(is_new)
    owners = series[starts]
    return Cohort(
        tuple(cohort.subject_ids[owner] for owner in owners),
        offsets_from_counts(np.diff(np.append(starts, len(series)))),
        cohort.times_hours,
        cohort.channels,
        cohort.values,
        cohort.statics[owners],
        cohort.censoring,
    )
