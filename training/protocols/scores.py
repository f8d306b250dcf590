"""Scores: all metrics of a protocol for one set of answers, each as it was published."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from training.protocols.answers import LEVELS, Answers
from training.protocols.bootstrap import worst_stay
from training.protocols.metrics import (
    batch_averaged,
    crps_from_levels,
    pinball,
    series_mean,
    variable_balanced,
    zero_filled,
)
from training.protocols.part import Part
from training.protocols.protocol import Protocol

MTAN_BATCH_SIZE = 32
"""Of the published command line."""

_COVERAGES = (0.5, 0.8, 0.9)


@dataclass(frozen=True)
class Score:
    """One metric; `unit` is the factor in which the published table counts, 1e-3 for example."""

    name: str
    value: float
    unit: float = 1.0


@dataclass(frozen=True)
class Scores:
    """Metrics by name, in the order of the protocol, and on how much they rest."""

    protocol: str
    num_series: int
    num_targets: int
    num_variables: int
    scores: tuple[Score, ...]

    def __getitem__(self, name: str) -> float:
        return self.find(name).value

    def __iter__(self) -> Iterator[Score]:
        return iter(self.scores)

    def __contains__(self, name: object) -> bool:
        return any(one.name == name for one in self.scores)

    def find(self, name: str) -> Score:
        """Return the score of this name.

        Raises
        ------
        KeyError
            If the protocol has none, or the answers lacked what it needs.
        """
        for one in self.scores:
            if one.name == name:
                return one
        known = ", ".join(one.name for one in self.scores)
        raise KeyError(f"{self.protocol}: no score {name!r} among {known}")


@dataclass(frozen=True)
class _Judged:
    """The targets with their answers."""

    protocol: Protocol
    num_series: int
    values: Float[np.ndarray, " target"]
    channels: Int[np.ndarray, " target"]
    series: Int[np.ndarray, " target"]
    is_given: Bool[np.ndarray, " target"]
    answers: Answers

    @property
    def squared(self) -> Float[np.ndarray, " target"]:
        return (self.answers.mean - self.values) ** 2

    @property
    def absolute(self) -> Float[np.ndarray, " target"]:
        return np.abs(self.answers.mean - self.values)

    @property
    def squared_of_median(self) -> Float[np.ndarray, " target"]:
        return (self.answers.median - self.values) ** 2

    @property
    def absolute_of_median(self) -> Float[np.ndarray, " target"]:
        return np.abs(self.answers.median - self.values)

    @property
    def log_density(self) -> Float[np.ndarray, " target"] | None:
        """Log densities, None where a single one is missing: their mean would flatter."""
        found = self.answers.log_density
        return None if found is None or np.isnan(found).any() else found

    @property
    def crps(self) -> Float[np.ndarray, " target"] | None:
        """CRPS of each target: the method's own, or from the nineteen levels."""
        if self.answers.crps is not None:
            return self.answers.crps
        quantiles = self.answers.quantiles
        return None if quantiles is None else crps_from_levels(quantiles, self.values)

    @property
    def pinball(self) -> Float[np.ndarray, " target"] | None:
        quantiles = self.answers.quantiles
        return None if quantiles is None else pinball(quantiles, self.values)


def score(protocol: Protocol, part: Part, answers: Answers) -> Scores:
    """Compute the metrics of a protocol.

    A plain name (`mse`, `mae`) judges the mean, which is what a method with one answer gives; a
    name with `_median` judges the median. `csdi-imputation` is the other way round, as published.

    Raises
    ------
    ValueError
        If there is not one finite answer for each target.
    """
    targets = part.targets
    if not (np.isfinite(answers.mean).all() and np.isfinite(answers.median).all()):
        raise ValueError(f"{protocol.name}: a mean or median is not a finite number")
    if answers.mean.shape != targets.values.shape:
        raise ValueError(
            f"{protocol.name}: expected {len(targets.values)} answers, one for each target, "
            f"got {len(answers.mean)}"
        )
    judged = _Judged(
        protocol,
        len(targets),
        targets.values,
        targets.channels,
        targets.series_indices,
        part.context_mask[part.target_mask],
        answers,
    )
    return Scores(
        protocol=protocol.name,
        num_series=len(np.unique(judged.series)),
        num_targets=len(judged.values),
        num_variables=len(np.unique(judged.channels)),
        scores=(*_METRICS[protocol.name](judged), *_calibration(judged)),
    )


def _mtan(judged: _Judged) -> Iterator[Score]:
    held_out = ~judged.is_given
    yield Score("mse_held_out", float(judged.squared[held_out].mean()), 1e-3)
    yield Score(
        "mse_all",
        batch_averaged(
            judged.squared,
            judged.series,
            num_series=judged.num_series,
            batch_size=MTAN_BATCH_SIZE,
        ),
        1e-3,
    )
    yield Score("mse_all_pooled", float(judged.squared.mean()), 1e-3)
    yield Score(
        "mse_rubanova",
        zero_filled(
            judged.squared,
            judged.channels,
            judged.series,
            num_series=judged.num_series,
            num_channels=judged.protocol.num_channels,
        ),
        1e-3,
    )
    yield Score("mae_held_out", float(judged.absolute[held_out].mean()), 1e-2)


def _tpatchgnn(judged: _Judged) -> Iterator[Score]:
    channels, series = judged.channels, judged.series
    squared, absolute = judged.squared, judged.absolute
    mse = variable_balanced(squared, channels)
    yield Score("mse", mse, 1e-3)
    yield Score("mae", variable_balanced(absolute, channels), 1e-2)
    yield Score("rmse", mse**0.5, 1e-2)
    yield Score("mse_median", variable_balanced(judged.squared_of_median, channels), 1e-3)
    yield Score("mae_median", variable_balanced(judged.absolute_of_median, channels), 1e-2)
    kept = series != worst_stay(squared, series, channels)
    yield Score("mse_without_worst_stay", variable_balanced(squared[kept], channels[kept]), 1e-3)
    if (crps := judged.crps) is not None:
        yield Score("crps", variable_balanced(crps, channels), 1e-2)


def _grafiti(judged: _Judged) -> Iterator[Score]:
    yield Score("mse", float(judged.squared.mean()))
    yield Score("mae", float(judged.absolute.mean()))
    yield Score("mae_median", float(judged.absolute_of_median.mean()))
    if (crps := judged.crps) is not None:
        yield Score("crps", float(crps.mean()))
    if (log_density := judged.log_density) is not None:
        yield Score("mnll", float(-log_density.mean()))
        yield Score("njnll_of_marginals", -series_mean(log_density, judged.series))


def _csdi(judged: _Judged) -> Iterator[Score]:
    yield Score("mae", float(judged.absolute_of_median.mean()))
    yield Score("rmse", float(judged.squared_of_median.mean() ** 0.5))
    magnitude = np.abs(judged.values).sum()
    if (loss := judged.pinball) is not None:
        yield Score("crps", float(loss.sum() / magnitude))
    yield Score("mae_mean", float(judged.absolute.mean()))
    yield Score("rmse_mean", float(judged.squared.mean() ** 0.5))
    if (log_density := judged.log_density) is not None:
        yield Score("nll", float(-log_density.mean()))


def _saits(judged: _Judged) -> Iterator[Score]:
    absolute, mse = judged.absolute, float(judged.squared.mean())
    yield Score("mae", float(absolute.mean()))
    yield Score("rmse", mse**0.5)
    yield Score("mse", mse)
    yield Score("mre", float(absolute.sum() / np.abs(judged.values).sum()), 1e-2)
    yield Score("mae_median", float(judged.absolute_of_median.mean()))
    if (crps := judged.crps) is not None:
        yield Score("crps", float(crps.mean()))


_METRICS = {
    "mtan-interpolation": _mtan,
    "tpatchgnn-forecast": _tpatchgnn,
    "grafiti-forecast": _grafiti,
    "csdi-imputation": _csdi,
    "saits-imputation": _saits,
}


def _calibration(judged: _Judged) -> Iterator[Score]:
    """Coverage and mean width of central intervals, on what was not given."""
    quantiles = judged.answers.quantiles
    if quantiles is None:
        return
    asked = ~judged.is_given
    values = judged.values[asked]
    for nominal in _COVERAGES:
        low, high = (
            quantiles[LEVELS.index(round(level, 2))][asked]
            for level in ((1 - nominal) / 2, (1 + nominal) / 2)
        )
        is_covered = (low <= values) & (values <= high)
        yield Score(f"coverage_{nominal:.0%}".rstrip("%"), float(is_covered.mean()), 1e-2)
        yield Score(f"width_{nominal:.0%}".rstrip("%"), float((high - low).mean()))
