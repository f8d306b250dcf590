"""The figures of an evaluation by variable and by gap, with names and units attached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from model.data.variables import Catalogue, Variable
from model.metrics import by_variable, is_covered
from training.evaluation import GAP_EDGES_HOURS, LEVELS, MODEL, Answers, Evaluation

NOMINAL: Mapping[str, tuple[float, float]] = {"50%": (0.25, 0.75), "90%": (0.05, 0.95)}


@dataclass(frozen=True, kw_only=True)
class VariableScore:
    """One row of the table. Errors are standardized unless their name says canonical."""

    variable: Variable
    num_targets: int
    errors: Mapping[str, float]
    root_mean_squared_errors: Mapping[str, float]
    canonical_error: float
    crps: float
    coverage: Mapping[str, float]

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
            coverage=_pick(evaluation.coverage, channel),
        )
        for channel in map(int, np.flatnonzero(evaluation.counts))
    ]
    return tuple(sorted(scored, key=lambda score: (score.ratio, score.variable.name)))


def gap_scores(answers: Answers) -> tuple[GapScore, ...]:
    """Return coverage by the distance to the nearest measurement of the target's variable."""
    gaps = np.digitize(answers.gap_hours, GAP_EDGES_HOURS[1:-1])
    num_gaps = len(GAP_EDGES_HOURS) - 1
    counts = np.bincount(gaps, minlength=num_gaps)
    values = answers.window.target.values
    coverage = {}
    for name in NOMINAL:
        low, high = interval(answers, name)
        coverage[name] = by_variable(is_covered(low, high, values), gaps, num_gaps)
    return tuple(
        GapScore(
            low_hours=GAP_EDGES_HOURS[gap],
            high_hours=GAP_EDGES_HOURS[gap + 1],
            num_targets=int(counts[gap]),
            coverage=_pick(coverage, gap),
        )
        for gap in range(num_gaps)
    )


def interval(
    answers: Answers, name: str
) -> tuple[Float[np.ndarray, " target"], Float[np.ndarray, " target"]]:
    """Return both ends of a central interval in canonical units."""
    low, high = NOMINAL[name]
    rows = [int(np.flatnonzero(np.isclose(LEVELS, level))[0]) for level in (low, high)]
    return answers.quantiles[rows[0]], answers.quantiles[rows[1]]


def interval_widths(answers: Answers, catalogue: Catalogue) -> Mapping[str, float]:
    """Return the mean width of the 90 % interval by variable name, in canonical units."""
    low, high = interval(answers, "90%")
    widths = by_variable(high - low, answers.channels, len(catalogue))
    return {variable.name: float(widths[channel]) for channel, variable in enumerate(catalogue)}


def overall_coverage(scores: Sequence[VariableScore]) -> Mapping[str, float]:
    """Return the share of all targets inside each interval."""
    total = sum(score.num_targets for score in scores)
    return {
        name: sum(score.num_targets * score.coverage[name] for score in scores) / total
        for name in NOMINAL
    }


def mean_crps(scores: Sequence[VariableScore]) -> float:
    """Return the mean over variables of the CRPS, standardized."""
    return float(np.mean([score.crps for score in scores]))


def _pick(values: Mapping[str, np.ndarray], position: int) -> dict[str, float]:
    return {name: float(array[position]) for name, array in values.items()}
