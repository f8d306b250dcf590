"""A cohort in the variables of another catalogue: by name, with the units converted.

A model speaks the catalogue that it was fitted on. Records of another data set are brought into it
as a posted series is: a variable that the model does not know is left out, and so is a value that is
not plausible in the model's unit. All that is left out is counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from model.data.cleaning import Observations, clean
from model.data.reasons import Reason
from model.data.series import Cohort, offsets_from_counts
from model.data.units import conversion, static_conversion
from model.data.variables import Catalogue, Static
from model.errors import UnitError


@dataclass(frozen=True)
class MappedCohort:
    """The cohort in the other catalogue, and the values left out, by variable.

    `unknown` are variables that the catalogue does not have as channels or that have no conversion
    into its unit; `implausible` values lie outside its plausible range.
    """

    cohort: Cohort
    unknown: Mapping[str, int]
    implausible: Mapping[str, int]

    @property
    def text(self) -> str:
        """Say what was left out; empty if nothing was."""
        parts = [
            f"{sum(counts.values()):,} values {reason} ({', '.join(counts)})"
            for counts, reason in (
                (self.unknown, "of variables that the model was not trained on"),
                (self.implausible, "outside the model's plausible ranges"),
            )
            if counts
        ]
        return f"left out: {'; '.join(parts)}" if parts else ""


def map_cohort(cohort: Cohort, source: Catalogue, target: Catalogue) -> MappedCohort:
    """Bring a cohort with the channels of `source` into those of `target`.

    Series keep their places; one may become empty.
    """
    if source.variables == target.variables and source.statics == target.statics:
        return MappedCohort(cohort, {}, {})
    channels, factors, offsets = _translate(source, target)
    given = Observations(
        cohort.series_indices,
        cohort.times_hours,
        channels[cohort.channels],
        cohort.values * factors[cohort.channels] + offsets[cohort.channels],
        cohort.censoring,
    )
    cleaned = clean(given, target)
    kept = cleaned.observations
    mapped = Cohort(
        cohort.subject_ids,
        offsets_from_counts(np.bincount(kept.series_indices, minlength=len(cohort))),
        kept.times_hours,
        kept.channels,
        kept.values,
        _map_statics(cohort.statics, source, target),
        kept.censoring,
    )
    is_unknown = given.channels < 0
    is_dropped = (cleaned.reasons != Reason.KEPT) & ~is_unknown
    return MappedCohort(
        mapped,
        _count(cohort.channels[is_unknown], source),
        _count(cohort.channels[is_dropped], source),
    )


def _translate(
    source: Catalogue, target: Catalogue
) -> tuple[
    Int[np.ndarray, " channel"], Float[np.ndarray, " channel"], Float[np.ndarray, " channel"]
]:
    """Return for every channel of the source the target's, -1 if there is none, factor and offset."""
    names = {variable.name: channel for channel, variable in enumerate(target)}
    channels = np.full(len(source), -1)
    factors, offsets = np.ones(len(source)), np.zeros(len(source))
    for channel, variable in enumerate(source):
        if variable.name not in names:
            continue
        try:
            change = conversion(target[names[variable.name]], variable.unit)
        except UnitError:
            continue
        channels[channel] = names[variable.name]
        factors[channel], offsets[channel] = change.factor, change.offset
    return channels, factors, offsets


def _map_statics(
    statics: Float[np.ndarray, "series static"], source: Catalogue, target: Catalogue
) -> Float[np.ndarray, "series mapped"]:
    """Return the target's statics, NaN where the source does not say."""
    result = np.full((len(statics), len(target.statics)), np.nan)
    for position, static in enumerate(target.statics):
        at = source.static_positions.get(static.name)
        if at is not None:
            result[:, position] = _map_static(statics[:, at], source.statics[at], static)
    low, high = np.array([static.plausible_range for static in target.statics]).reshape(-1, 2).T
    return np.where((low <= result) & (result <= high), result, np.nan)


def _map_static(
    values: Float[np.ndarray, " series"], source: Static, target: Static
) -> Float[np.ndarray, " series"]:
    if source.categories or target.categories:
        names = {name: float(index) for index, name in enumerate(target.categories)}
        indices = np.array([*(names.get(name, np.nan) for name in source.categories), np.nan])
        known = np.where(np.isnan(values), len(source.categories), values).astype(np.int64)
        return indices[np.clip(known, 0, len(source.categories))]
    try:
        change = static_conversion(target, source.unit)
    except UnitError:
        return np.full(len(values), np.nan)
    return values * change.factor + change.offset


def _count(channels: Int[np.ndarray, " left_out"], source: Catalogue) -> Mapping[str, int]:
    """Count values by the name of their variable, the most frequent first."""
    counts = np.bincount(channels, minlength=len(source))
    order = [int(one) for one in np.argsort(-counts, kind="stable") if counts[one]]
    return {source[channel].name: int(counts[channel]) for channel in order}
