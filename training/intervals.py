"""Do intervals keep their promise: coverage, width, interval score and PIT histograms.

All from quantiles at `LEVELS`, flat over targets. Two coverages, because values come in steps:

    closed   the share of targets inside the closed interval that a user sees. An interval of a score
             such as GCS cannot hold nine of ten; it holds more.
    split    the same where a value counts by the share of its recorded cell inside the interval
             (`model.metrics.covered_share`): nominal for every true distribution, stepped or not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.normalization import Normalization
from model.metrics import (
    by_variable,
    covered_share,
    interval_score,
    is_covered,
    transform_histogram,
    transform_interval,
)

EVEN_LEVELS = np.round(np.arange(1, 20) / 20, 2)
# Beyond the outermost level nothing is known of a transform: it lies outside every interval scored.
LEVELS = np.concatenate([[0.005, 0.025], EVEN_LEVELS, [0.975, 0.995]])
NOMINAL: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"50%": (0.25, 0.75), "80%": (0.1, 0.9), "90%": (0.05, 0.95), "95%": (0.025, 0.975)}
)
NUM_BINS = 20


def level_row(level: float) -> int:
    """Return the row of a level among `LEVELS`."""
    return int(np.flatnonzero(np.isclose(LEVELS, level))[0])


MEDIAN = level_row(0.5)
EVEN = slice(2, -2)
"""The rows of `EVEN_LEVELS`, which the CRPS is made of."""


def interval_ends(
    quantiles: Float[np.ndarray, "level target"], name: str
) -> tuple[Float[np.ndarray, " target"], Float[np.ndarray, " target"]]:
    """Return both ends of a central interval."""
    low, high = NOMINAL[name]
    return quantiles[level_row(low)], quantiles[level_row(high)]


@dataclass(frozen=True)
class IntervalScores:
    """Means over the targets of each group, NaN where it has none; rows are those of `NOMINAL`.

    `interval_score` is that of the 90 % interval. `histogram` is the share of the targets'
    probability integral transforms in each twentieth.
    """

    counts: Int[np.ndarray, " group"]
    closed: Float[np.ndarray, "nominal group"]
    split: Float[np.ndarray, "nominal group"]
    width: Float[np.ndarray, "nominal group"]
    interval_score: Float[np.ndarray, " group"]
    histogram: Float[np.ndarray, "group bin"]

    @classmethod
    def of(
        cls, targets: "ScoredTargets", groups: Int[np.ndarray, " target"], num_groups: int
    ) -> "IntervalScores":
        """Average over the targets of each group."""

        def mean(scores: Float[np.ndarray, " target"]) -> Float[np.ndarray, " group"]:
            return by_variable(scores, groups, num_groups)

        closed, split, widths = [], [], []
        for name, (low_level, high_level) in NOMINAL.items():
            low, high = interval_ends(targets.quantiles, name)
            closed.append(mean(is_covered(low, high, targets.values)))
            share = covered_share(
                targets.below, targets.above, low_level=low_level, high_level=high_level
            )
            split.append(mean(share))
            widths.append(mean(high - low))
        low, high = interval_ends(targets.quantiles, "90%")
        scores = interval_score(low, high, targets.values, nominal_coverage=0.9)
        return cls(
            counts=np.bincount(groups, minlength=num_groups),
            closed=np.stack(closed),
            split=np.stack(split),
            width=np.stack(widths),
            interval_score=mean(scores),
            histogram=np.stack(
                [_histogram(targets, groups == group) for group in range(num_groups)]
            ),
        )

    def coverage(self, group: int, *, is_split: bool = False) -> dict[str, float]:
        """Return the coverage of one group by the interval's name."""
        table = self.split if is_split else self.closed
        return dict(zip(NOMINAL, table[:, group].tolist(), strict=True))


@dataclass(frozen=True)
class ScoredTargets:
    """Targets, their quantiles at `LEVELS`, and the ends of their transforms, standardized."""

    values: Float[np.ndarray, " target"]
    quantiles: Float[np.ndarray, "level target"]
    below: Float[np.ndarray, " target"]
    above: Float[np.ndarray, " target"]

    @classmethod
    def of(
        cls,
        values: Float[np.ndarray, " target"],
        quantiles: Float[np.ndarray, "level target"],
        channels: Int[np.ndarray, " target"],
        normalization: Normalization,
    ) -> "ScoredTargets":
        """Read values and quantiles in canonical units."""
        low, high = normalization.interval(values, channels)
        standardized = normalization.apply(quantiles, np.broadcast_to(channels, quantiles.shape))
        below, above = transform_interval(standardized, LEVELS, low, high)
        return cls(normalization.apply(values, channels), standardized, below, above)


def _histogram(
    targets: ScoredTargets, chosen_mask: Bool[np.ndarray, " target"]
) -> Float[np.ndarray, " bin"]:
    if not chosen_mask.any():
        return np.full(NUM_BINS, np.nan)
    return transform_histogram(targets.below[chosen_mask], targets.above[chosen_mask], NUM_BINS)
