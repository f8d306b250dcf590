"""Splits of series into context (what the model may see) and target (what is scored)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.series import Cohort, hours_since, offsets_from_counts
from model.data.variables import Catalogue


@dataclass(frozen=True)
class Window:
    """The same series twice: `context` may be seen, `target` is scored.

    `num_limits` counts the limits that were taken out of the targets.
    """

    context: Cohort
    target: Cohort
    num_limits: int = 0

    def measured(self) -> "Window":
        """Return the window without the limits among its targets, and the series that are left.

        An error, a coverage or a rank needs a number to be compared with; a limit is none.
        """
        is_measured = self.target.measured_mask
        if is_measured.all():
            return self
        target = self.target.keep(is_measured)
        usable = np.flatnonzero(target.counts > 0)
        num_limits = self.num_limits + int(np.sum(~is_measured))
        return Window(self.context.select(usable), target.select(usable), num_limits)


@dataclass(frozen=True)
class WindowMasks:
    """For every observation of a cohort, whether it is context and whether it is target."""

    context_mask: Bool[np.ndarray, " observation"]
    target_mask: Bool[np.ndarray, " observation"]

    def choose(
        self, chosen_mask: Bool[np.ndarray, " observation"], other: "WindowMasks"
    ) -> "WindowMasks":
        """Take these masks where `chosen_mask` is True and the other's elsewhere."""
        return WindowMasks(
            np.where(chosen_mask, self.context_mask, other.context_mask),
            np.where(chosen_mask, self.target_mask, other.target_mask),
        )

    def split(self, cohort: Cohort, catalogue: Catalogue) -> Window:
        """Split the cohort, without the series whose context or target would be empty.

        Targets of variables that are never estimated are left out.
        """
        return self.split_usable(cohort, catalogue)[0]

    def split_usable(
        self, cohort: Cohort, catalogue: Catalogue
    ) -> tuple[Window, Int[np.ndarray, " usable"]]:
        """Split as `split` does, and return which series are left."""
        estimated = queryable(catalogue)[cohort.channels]
        context, target = cohort.keep(self.context_mask), cohort.keep(self.target_mask & estimated)
        usable = np.flatnonzero((context.counts > 0) & (target.counts > 0))
        return Window(context.select(usable), target.select(usable)), usable


def forecast_masks(
    cohort: Cohort,
    *,
    context_end_hours: float | Float[np.ndarray, " series"],
    horizon_hours: float,
) -> WindowMasks:
    """Cut each series in time: context before `context_end_hours`, target from there to the horizon.

    Examples
    --------
    >>> one = np.zeros(3, dtype=np.int64)
    >>> times = np.array([1.0, 20.0, 30.0])
    >>> cohort = Cohort(("a",), np.array([0, 3]), times, one, times, np.zeros((1, 0)))
    >>> masks = forecast_masks(cohort, context_end_hours=24.0, horizon_hours=24.0)
    >>> masks.context_mask.tolist(), masks.target_mask.tolist()
    ([True, True, False], [False, False, True])
    """
    end = np.broadcast_to(np.asarray(context_end_hours, dtype=float), (len(cohort),))
    end = end[cohort.series_indices]
    is_context = cohort.times_hours < end
    return WindowMasks(is_context, ~is_context & (cohort.times_hours <= end + horizon_hours))


def hidden_cells_masks(
    cohort: Cohort,
    *,
    hidden_fraction: float | Float[np.ndarray, " series"],
    generator: np.random.Generator,
) -> WindowMasks:
    """Hide single observations at random; the hidden ones are the target."""
    fraction = np.broadcast_to(np.asarray(hidden_fraction, dtype=float), (len(cohort),))
    is_hidden = generator.random(len(cohort.values)) < fraction[cohort.series_indices]
    return WindowMasks(~is_hidden, is_hidden)


def queryable(catalogue: Catalogue) -> Bool[np.ndarray, " channel"]:
    """Return which channels the model gives estimates of."""
    return np.array([variable.is_queryable for variable in catalogue])


def cut_spans(cohort: Cohort, *, span_hours: float) -> Cohort:
    """Cut every series into consecutive windows of at most `span_hours`; empty windows vanish.

    Each window keeps its subject's identity, statics and clock.
    """
    owner = cohort.series_indices
    since = hours_since(cohort.times_hours, cohort.times_hours[cohort.offsets[:-1]][owner])
    block = (since // span_hours).astype(np.int64)
    is_new = np.ones(len(owner), dtype=bool)
    is_new[1:] = (np.diff(owner) != 0) | (np.diff(block) != 0)
    starts = np.flatnonzero(is_new)
    owners = owner[starts]
    return Cohort(
        tuple(cohort.subject_ids[index] for index in owners),
        offsets_from_counts(np.diff(np.append(starts, len(owner)))),
        cohort.times_hours,
        cohort.channels,
        cohort.values,
        cohort.statics[owners],
        cohort.censoring,
    )
