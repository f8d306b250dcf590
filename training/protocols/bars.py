"""The trivial bars: what a method has to beat before it has learned anything."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from training.protocols.answers import Answers, Method
from training.protocols.least_squares import (
    LeastSquares,
    Regressors,
    forecast_regressors,
    gap_regressors,
    step_regressors,
)
from training.protocols.neighbors import Neighbors, neighbors_of
from training.protocols.part import Part
from training.protocols.protocol import Protocol

LEAST_SQUARES = "least squares"
_FORECASTS = ("tpatchgnn-forecast", "grafiti-forecast")


@dataclass(frozen=True)
class VariableMean:
    """The mean of each channel."""

    means: Float[np.ndarray, " channel"]

    def answer(self, part: Part) -> Answers:
        """Answer with the mean of the target's channel."""
        return Answers.point(self.means[part.targets.channels])


@dataclass(frozen=True)
class CarryForward:
    """The record's last value of the channel; the channel's mean where there is none before."""

    means: Float[np.ndarray, " channel"]

    def answer(self, part: Part) -> Answers:
        """Answer with the last value."""
        own = neighbors_of(part)
        return Answers.point(_or_mean(own, own.last, self.means))


@dataclass(frozen=True)
class LinearInterpolation:
    """The line between the neighbors, flat beyond the ends; the channel's mean without any."""

    means: Float[np.ndarray, " channel"]

    def answer(self, part: Part) -> Answers:
        """Answer with the interpolation."""
        own = neighbors_of(part)
        return Answers.point(_or_mean(own, own.linear, self.means))


@dataclass(frozen=True)
class Bar:
    """A trivial method with its name in the table."""

    name: str
    method: Method


def bars(protocol: Protocol) -> tuple[Bar, ...]:
    """Fit the trivial bars of a protocol on its train and validation parts.

    A forecast has no interpolation: the line is the last value.
    """
    means = variable_means(protocol)
    seen = (protocol.train, protocol.validation)
    methods = [Bar("variable mean", VariableMean(means)), Bar("carry-forward", CarryForward(means))]
    if protocol.name not in _FORECASTS:
        methods.append(Bar("linear interpolation", LinearInterpolation(means)))
    methods.append(Bar(LEAST_SQUARES, least_squares(protocol, seen)))
    return tuple(methods)


def least_squares(protocol: Protocol, parts: Sequence[Part]) -> LeastSquares:
    """Fit the protocol's least squares on the targets of some parts."""
    return LeastSquares.fit(protocol, regressors(protocol), parts)


def regressors(protocol: Protocol) -> Regressors:
    """Return the regressors of a protocol."""
    if protocol.name == "tpatchgnn-forecast":
        return forecast_regressors(cut_hours=24.0)
    if protocol.name == "grafiti-forecast":
        return step_regressors()
    return gap_regressors()


def variable_means(protocol: Protocol) -> Float[np.ndarray, " channel"]:
    """Return the mean of each channel over the train part, 0 where it has no value.

    Where the protocol standardizes over its records, the mean is the zero of its scale.
    """
    if protocol.name in ("grafiti-forecast", "csdi-imputation", "saits-imputation"):
        return np.zeros(protocol.num_channels)
    train = protocol.train.cohort
    counts = np.bincount(train.channels, minlength=protocol.num_channels)
    sums = np.bincount(train.channels, train.values, protocol.num_channels)
    return np.asarray(sums / np.maximum(counts, 1))


def _or_mean(
    own: Neighbors, values: Float[np.ndarray, " target"], means: Float[np.ndarray, " channel"]
) -> Float[np.ndarray, " target"]:
    return np.where(np.isfinite(values), values, means[own.channels])
