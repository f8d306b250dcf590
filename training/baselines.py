"""The trivial answers that a model must beat, computed from the same context for the same targets.

All work in standardized units on the features of a batch: the last and next value of the variable,
their ages, the variable's mean in the context, and how far the target lies beyond the context.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.batch import standardized_cells
from model.data.cells import AFTER, BEFORE, Places
from model.data.normalization import Normalization
from model.data.own_records import own_records
from model.data.series import hours_since
from model.data.windows import Window

_DECAY_HOURS = 6.0
# Fewer targets than this cannot fix five coefficients; such a variable keeps the population mean.
_MIN_TARGETS = 10


@dataclass(frozen=True)
class OwnRecord:
    """What the context says about each target from the target's own variable. Absent: 0, age inf."""

    channels: Int[np.ndarray, " target"]
    last: Float[np.ndarray, " target"]
    following: Float[np.ndarray, " target"]
    last_age: Float[np.ndarray, " target"]
    next_age: Float[np.ndarray, " target"]
    mean: Float[np.ndarray, " target"]
    beyond_hours: Float[np.ndarray, " target"]

    @property
    def has_last(self) -> Bool[np.ndarray, " target"]:
        """Whether the variable was observed before the target."""
        return np.isfinite(self.last_age)

    @property
    def has_next(self) -> Bool[np.ndarray, " target"]:
        """Whether the variable is observed after the target."""
        return np.isfinite(self.next_age)


def own_record(window: Window, normalization: Normalization) -> OwnRecord:
    """Read the record of every target."""
    context, target = window.context, window.target
    origins = context.times_hours[context.offsets[:-1]]
    cells = standardized_cells(context, normalization, origins)
    series = target.series_indices
    asked = Places(series, hours_since(target.times_hours, origins[series]))
    found = own_records(cells, asked, target.channels, num_neighbors=1)
    return OwnRecord(
        channels=target.channels,
        last=found.values[:, BEFORE, 0],
        following=found.values[:, AFTER, 0],
        last_age=found.ages[:, BEFORE, 0],
        next_age=found.ages[:, AFTER, 0],
        mean=found.means,
        beyond_hours=asked.times - cells.places.times[context.offsets[1:] - 1][series],
    )


def carry_forward(own: OwnRecord) -> Float[np.ndarray, " target"]:
    """Return the last value, the population mean where there is none."""
    return np.where(own.has_last, own.last, 0.0)


def linear_interpolation(own: OwnRecord) -> Float[np.ndarray, " target"]:
    """Return the line between the neighbors, flat at the ends, the mean where there is neither."""
    both = own.has_last & own.has_next
    span = np.where(both, own.last_age + own.next_age, 1.0)
    share = np.where(both & (span > 0), own.last_age / np.where(span > 0, span, 1.0), 0.5)
    between = own.last + np.where(both, share, 0.0) * (own.following - own.last)
    return np.select([both, own.has_last, own.has_next], [between, own.last, own.following], 0.0)


def variable_mean(own: OwnRecord) -> Float[np.ndarray, " target"]:
    """Return the population mean: zero in standardized units."""
    return np.zeros(len(own.channels))


@dataclass(frozen=True)
class LeastSquares:
    """One linear rule for each variable, fitted on training windows of the same task.

    Forecast: 1, last, mean, exp(-h/6) (last - mean), h, with h hours beyond the context. Imputation: 1,
    last, next, linear interpolation, mean. A variable that the context does not hold has 1 and h.
    """

    coefficients: Mapping[tuple[int, bool], Float[np.ndarray, " feature"]]
    is_forecast: bool

    @classmethod
    def of(
        cls, window: Window, normalization: Normalization, *, is_forecast: bool
    ) -> "LeastSquares":
        """Fit to the targets of a training window."""
        target = window.target
        targets = normalization.apply(target.values, target.channels)
        return cls.fit(own_record(window, normalization), targets, is_forecast=is_forecast)

    @classmethod
    def fit(
        cls, own: OwnRecord, targets: Float[np.ndarray, " target"], *, is_forecast: bool
    ) -> "LeastSquares":
        """Solve the normal equations of each variable, seen and unseen in the context apart."""
        coefficients = {}
        features, seen = _features(own, is_forecast), own.has_last | own.has_next
        for channel in np.unique(own.channels):
            for is_seen in (True, False):
                rows = (own.channels == channel) & (seen == is_seen)
                if rows.sum() >= _MIN_TARGETS:
                    chosen = features[rows] if is_seen else features[rows][:, [0, -1]]
                    solution, *_ = np.linalg.lstsq(chosen, targets[rows], rcond=None)
                    coefficients[int(channel), is_seen] = solution
        return cls(coefficients, is_forecast)

    def predict(self, own: OwnRecord) -> Float[np.ndarray, " target"]:
        """Apply the rule of each target's variable."""
        features, seen = _features(own, self.is_forecast), own.has_last | own.has_next
        result = np.zeros(len(own.channels))
        for (channel, is_seen), solution in self.coefficients.items():
            rows = (own.channels == channel) & (seen == is_seen)
            chosen = features[rows] if is_seen else features[rows][:, [0, -1]]
            result[rows] = chosen @ solution
        return result

    def to_json(self) -> dict[str, Any]:
        """Return plain lists for `metrics.json`."""
        rules = [
            {"channel": channel, "is_seen": is_seen, "coefficients": solution.tolist()}
            for (channel, is_seen), solution in self.coefficients.items()
        ]
        return {"is_forecast": self.is_forecast, "rules": rules}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "LeastSquares":
        """Read what `to_json` wrote."""
        coefficients = {
            (rule["channel"], rule["is_seen"]): np.array(rule["coefficients"])
            for rule in content["rules"]
        }
        return cls(coefficients, content["is_forecast"])


def _features(own: OwnRecord, is_forecast: bool) -> Float[np.ndarray, "target feature"]:
    ones = np.ones(len(own.channels))
    if is_forecast:
        recent = np.exp(-own.beyond_hours / _DECAY_HOURS) * (own.last - own.mean)
        return np.stack([ones, own.last, own.mean, recent, own.beyond_hours], axis=1)
    last = np.where(own.has_last, own.last, own.following)
    following = np.where(own.has_next, own.following, own.last)
    return np.stack([ones, last, following, linear_interpolation(own), own.mean], axis=1)
