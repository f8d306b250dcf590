"""The figures of an evaluation by variable and by gap, with names and units attached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.data.variables import Catalogue, Variable
from training.evaluation import GAP_EDGES_HOURS, MODEL, Evaluation
from training.intervals import NOMINAL

MANY_TARGETS = 500
"""From here on the share inside a 90 % interval is known to within 3 points, stays apart."""


@dataclass(frozen=True, kw_only=True)
class VariableScore:
    """One row of the table. Errors are standardized unless their name says canonical."""

    variable: Variable
    num_targets: int
    errors: Mapping[str, float]
    root_mean_squared_errors: Mapping[str, float]
    canonical_error: float
    crps: float
    interval_score: float
    coverage: Mapping[str, float]
    split_coverage: Mapping[str, float]
    canonical_width: float
    histogram: tuple[float, ...]

    @property
    def has_many_targets(self) -> bool:
        """Whether its coverage says something by itself."""
        return self.num_targets >= MANY_TARGETS

    @property
    def largest_deviation(self) -> float:
        """The distance from nominal of the interval that keeps its promise worst."""
        return max(abs(self.split_coverage[name] - nominal_share(name)) for name in NOMINAL)

    @property
    def best_baseline(self) -> str:
        """The baseline with the smallest error on this variable, chosen in hindsight."""
        baselines = [method for method in self.errors if method != MODEL]
        return min(baselines, key=lambda method: self.errors[method])

    @property
    def ratio(self) -> float:
        """The model's error divided by the best baseline's; NaN where that is zero."""
        best = self.errors[self.best_baseline]
        return self.errors[MODEL] / best if best > 0 else float("nan")

    @property
    def is_worse(self) -> bool:
        """Whether some baseline has a smaller error than the model."""
        return self.errors[MODEL] > self.errors[self.best_baseline]


@dataclass(frozen=True, kw_only=True)
class GapScore:
    """Coverage of the targets whose variable was last or next measured this far away."""

    low_hours: float
    high_hours: float
    num_targets: int
    coverage: Mapping[str, float]
    split_coverage: Mapping[str, float]
    widths: Mapping[str, float]
    interval_score: float

    @property
    def label(self) -> str:
        """The bin in words; the open one also holds variables that the context lacks."""
        if np.isinf(self.high_hours):
            return f"over {self.low_hours:g} h, or never"
        return f"{self.low_hours:g}–{self.high_hours:g} h"


def variable_scores(evaluation: Evaluation, catalogue: Catalogue) -> tuple[VariableScore, ...]:
    """Return the variables that have a target, best ratio to the best baseline first."""
    scored = [
        VariableScore(
            variable=catalogue[channel],
            num_targets=int(evaluation.counts[channel]),
            errors=_pick(evaluation.errors, channel),
            root_mean_squared_errors={
                method: value**0.5
                for method, value in _pick(evaluation.squared_errors, channel).items()
            },
            canonical_error=float(evaluation.canonical_errors[channel]),
            crps=float(evaluation.crps[channel]),
            interval_score=float(evaluation.intervals.interval_score[channel]),
            coverage=evaluation.intervals.coverage(channel),
            split_coverage=evaluation.intervals.coverage(channel, is_split=True),
            canonical_width=float(evaluation.canonical_widths[channel]),
            histogram=tuple(evaluation.intervals.histogram[channel].tolist()),
        )
        for channel in map(int, np.flatnonzero(evaluation.counts))
    ]
    return tuple(sorted(scored, key=lambda score: (score.ratio, score.variable.name)))


def gap_scores(evaluation: Evaluation) -> tuple[GapScore, ...]:
    """Return the intervals by the distance to the nearest measurement of the target's variable."""
    found = evaluation.gap_intervals
    return tuple(
        GapScore(
            low_hours=GAP_EDGES_HOURS[gap],
            high_hours=GAP_EDGES_HOURS[gap + 1],
            num_targets=int(found.counts[gap]),
            coverage=found.coverage(gap),
            split_coverage=found.coverage(gap, is_split=True),
            widths=dict(zip(NOMINAL, found.width[:, gap].tolist(), strict=True)),
            interval_score=float(found.interval_score[gap]),
        )
        for gap in range(len(found.counts))
    )


def worst_covered(scores: Sequence[VariableScore]) -> VariableScore:
    """Return the variable whose intervals miss their promise most, among those with many targets.

    Among all of them where none has many.
    """
    frequent = [score for score in scores if score.has_many_targets] or list(scores)
    return max(frequent, key=lambda score: score.largest_deviation)


def nominal_share(name: str) -> float:
    """Return the share of targets that an interval promises to hold."""
    low, high = NOMINAL[name]
    return high - low


def mean_crps(scores: Sequence[VariableScore]) -> float:
    """Return the mean over variables of the CRPS, standardized."""
    return float(np.mean([score.crps for score in scores]))


def _pick(values: Mapping[str, np.ndarray], position: int) -> dict[str, float]:
    return {name: float(array[position]) for name, array in values.items()}
