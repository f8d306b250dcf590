"""Standardized units: what the network sees, and the way back.

A value is transformed (log for skewed variables), then centered and divided by the standard
deviation of the training cohort. Both directions are exact inverses inside the plausible range.

A value that is recorded in steps stands for the interval that would have been recorded as it:
`interval` gives its ends, for likelihoods and calibration.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from model.data.series import Cohort
from model.data.variables import Catalogue, Kind, Static

# A variable with fewer training values than this keeps its catalogue mid-range as location and a
# quarter of its range as scale: two values do not make a standard deviation.
_MIN_VALUES = 10
# An end of a cell this close to an end of the plausible range, in steps, is that end.
_CLOSE_STEPS = 1e-6


@dataclass(frozen=True)
class Normalization:
    """Location and scale of every channel, in transformed units, and of every static.

    `log_offset` is NaN for a channel without a logarithm. `resolution` is the recorded step, in
    canonical units, and NaN where there is no single one; `grid` is the step of the answers, NaN for
    all but ordinal variables.
    """

    loc: Float[np.ndarray, " channel"]
    scale: Float[np.ndarray, " channel"]
    log_offset: Float[np.ndarray, " channel"]
    low: Float[np.ndarray, " channel"]
    high: Float[np.ndarray, " channel"]
    static_loc: Float[np.ndarray, " static"]
    static_scale: Float[np.ndarray, " static"]
    resolution: Float[np.ndarray, " channel"]
    grid: Float[np.ndarray, " channel"]

    @classmethod
    def fit(cls, cohort: Cohort, catalogue: Catalogue) -> "Normalization":
        """Estimate from a training cohort.

        An answer stays inside the plausible range of adults, widened to the values that the cohort
        holds of other ages.
        """
        low, high = catalogue.plausible_ranges.copy()
        offset = np.array(
            [np.nan if item.log_offset is None else item.log_offset for item in catalogue]
        )
        loc = _transform((low + high) / 2, offset)
        scale = (_transform(high, offset) - _transform(low, offset)) / 4
        transformed = _transform(cohort.values, offset[cohort.channels])
        for channel in range(len(catalogue)):
            values = transformed[cohort.channels == channel]
            if len(values) >= _MIN_VALUES:
                loc[channel] = np.mean(values)
                spread = np.std(values)
                scale[channel] = spread if spread > 0 else 1.0
        static_loc, static_scale = _fit_statics(cohort, catalogue.statics)
        resolution = np.array(
            [np.nan if item.resolution is None else item.resolution for item in catalogue]
        )
        # What is plausible for a newborn lies outside the range of adults.
        np.minimum.at(low, cohort.channels, cohort.values)
        np.maximum.at(high, cohort.channels, cohort.values)
        grid = np.where([item.kind is Kind.ORDINAL for item in catalogue], resolution, np.nan)
        return cls(loc, scale, offset, low, high, static_loc, static_scale, resolution, grid)

    def apply(
        self, values: Float[np.ndarray, "*shape"], channels: Int[np.ndarray, "*shape"]
    ) -> Float[np.ndarray, "*shape"]:
        """Turn canonical units into standardized units."""
        transformed = _transform(values, self.log_offset[channels])
        return (transformed - self.loc[channels]) / self.scale[channels]

    def invert(
        self, values: Float[np.ndarray, "*shape"], channels: Int[np.ndarray, "*#shape"]
    ) -> Float[np.ndarray, "*shape"]:
        """Turn standardized units into canonical units, kept inside the plausible range."""
        transformed = values * self.scale[channels] + self.loc[channels]
        offset = self.log_offset[channels]
        is_log = ~np.isnan(offset)
        with np.errstate(over="ignore"):
            canonical = np.where(
                is_log, np.exp(transformed) - np.where(is_log, offset, 0.0), transformed
            )
        return np.clip(canonical, self.low[channels], self.high[channels])

    def interval(
        self,
        values: Float[np.ndarray, "*shape"],
        channels: Int[np.ndarray, "*shape"],
        censoring: Int[np.ndarray, "*shape"] | None = None,
    ) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
        """Return the ends, in standardized units, of what would have been recorded as each value.

        Half a step to either side; the cells at the ends of the plausible range take the tails,
        with -inf and inf as ends. Without a resolution both ends are the standardized value. A
        limit is the end of an interval that reaches to infinity (`censoring` as in `Cohort`; by
        default all is measured).
        """
        low, high = self._cells(values, channels)
        if censoring is None or not censoring.any():
            return low, high
        limit, sides = self.apply(values, channels), [censoring < 0, censoring > 0]
        return np.select(sides, [-np.inf, limit], low), np.select(sides, [limit, np.inf], high)

    def _cells(
        self, values: Float[np.ndarray, "*shape"], channels: Int[np.ndarray, "*shape"]
    ) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
        step = self.resolution[channels]
        is_stepped = ~np.isnan(step)
        half = np.where(is_stepped, step / 2, 0.0)
        close = np.where(is_stepped, _CLOSE_STEPS * step, 0.0)
        is_lowest = is_stepped & (values - half <= self.low[channels] + close)
        is_highest = is_stepped & (values + half >= self.high[channels] - close)
        low = self.apply(np.where(is_lowest, values, values - half), channels)
        high = self.apply(np.where(is_highest, values, values + half), channels)
        return np.where(is_lowest, -np.inf, low), np.where(is_highest, np.inf, high)

    def to_grid(
        self, values: Float[np.ndarray, "*shape"], channels: Int[np.ndarray, "*#shape"]
    ) -> Float[np.ndarray, "*shape"]:
        """Round canonical values of ordinal variables to the value whose cell they lie in.

        Cells are closed above: 7.5 becomes 7, so that a rounded quantile is the smallest value that
        reaches its level.
        """
        step = self.grid[channels]
        is_ordinal = ~np.isnan(step)
        if not is_ordinal.any():
            return values
        step = np.where(is_ordinal, step, 1.0)
        rounded = np.ceil(values / step - 0.5) * step
        bounded = np.clip(rounded, self.low[channels], self.high[channels])
        return np.where(is_ordinal, bounded, values)

    def apply_statics(
        self, statics: Float[np.ndarray, "series static"]
    ) -> Float[np.ndarray, "series static"]:
        """Standardize statics; unknown ones (NaN) become 0, the mean."""
        return np.nan_to_num((statics - self.static_loc) / self.static_scale)

    def to_json(self) -> dict[str, list[float | None]]:
        """Return plain lists for `normalization.json`; NaN becomes null."""
        return {
            name: [None if np.isnan(item) else float(item) for item in getattr(self, name)]
            for name in self.__dataclass_fields__
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Normalization":
        """Read what `to_json` wrote."""
        return cls(
            **{
                name: np.array(
                    [np.nan if item is None else item for item in content[name]], dtype=float
                )
                for name in cls.__dataclass_fields__
            }
        )


def _transform(
    values: Float[np.ndarray, "*shape"], log_offset: Float[np.ndarray, "*#shape"]
) -> Float[np.ndarray, "*shape"]:
    is_log = ~np.isnan(log_offset)
    return np.where(
        is_log, np.log(np.where(is_log, values + np.nan_to_num(log_offset), 1.0)), values
    )


def _fit_statics(
    cohort: Cohort, statics: tuple[Static, ...]
) -> tuple[Float[np.ndarray, " static"], Float[np.ndarray, " static"]]:
    loc = np.array([np.mean(static.plausible_range) for static in statics])
    scale = np.array([(item.plausible_range[1] - item.plausible_range[0]) / 4 for item in statics])
    for position in range(len(statics)):
        values = cohort.statics[:, position]
        known = values[~np.isnan(values)]
        if len(known) >= _MIN_VALUES:
            loc[position] = np.mean(known)
            spread = np.std(known)
            scale[position] = spread if spread > 0 else 1.0
    return loc, scale
