"""Per-variable least squares on a few numbers of the record itself: the bar that matters.

On `tpatchgnn-forecast` five coefficients for each variable score as well as most published
networks (`docs/experiments.md`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from training.protocols.answers import Answers
from training.protocols.neighbors import Neighbors, neighbors_of
from training.protocols.part import Part
from training.protocols.protocol import Protocol

FORECAST_DECAY_HOURS = 6.0

Features = Callable[[Neighbors], Float[np.ndarray, "target feature"]]


@dataclass(frozen=True)
class Regressors:
    """The regressors of a protocol: those of a target with neighbors, and which of its cases.

    `of` gives one row of features for each target; `case` numbers which neighbors it has; `columns`
    says which features are used in each case.
    """

    of: Features
    case: Callable[[Neighbors], Int[np.ndarray, " target"]]
    columns: tuple[tuple[int, ...], ...]


def forecast_regressors(cut_hours: float) -> Regressors:
    """Return 1, last, mean, e^(-h/6) (last - mean) and h, the hours after the cut; else 1 and h."""

    def features(own: Neighbors) -> Float[np.ndarray, "target feature"]:
        horizon = own.times_hours - cut_hours
        decay = np.exp(-horizon / FORECAST_DECAY_HOURS)
        columns = (np.ones(len(horizon)), own.last, own.mean, decay * (own.last - own.mean))
        return np.stack((*columns, horizon), axis=1)

    return Regressors(features, _has_last, ((0, 4), (0, 1, 2, 3, 4)))


def step_regressors() -> Regressors:
    """Return 1, last, mean and e^(-gap/6) (last - mean), gap being hours since the last; else 1."""

    def features(own: Neighbors) -> Float[np.ndarray, "target feature"]:
        decay = np.exp(-own.since_hours / FORECAST_DECAY_HOURS)
        columns = (np.ones(len(decay)), own.last, own.mean, decay * (own.last - own.mean))
        return np.stack(columns, axis=1)

    return Regressors(features, _has_last, ((0,), (0, 1, 2, 3)))


def gap_regressors() -> Regressors:
    """Return 1, the linear interpolation, both neighbors and the mean, as far as there are any."""

    def features(own: Neighbors) -> Float[np.ndarray, "target feature"]:
        columns = (np.ones(len(own.last)), own.linear, own.last, own.next, own.mean)
        return np.stack(columns, axis=1)

    def case(own: Neighbors) -> Int[np.ndarray, " target"]:
        return own.has_last.astype(np.int64) + 2 * own.has_next.astype(np.int64)

    return Regressors(features, case, ((0,), (0, 2, 4), (0, 3, 4), (0, 1, 2, 3, 4)))


def _has_last(own: Neighbors) -> Int[np.ndarray, " target"]:
    return own.has_last.astype(np.int64)


@dataclass(frozen=True)
class LeastSquares:
    """Fitted coefficients for each channel and case; a feature that is not used has zero.

    A target whose own observation is given, as the interpolation protocol has them, is answered
    with that observation.
    """

    regressors: Regressors = field(repr=False)
    coefficients: Float[np.ndarray, "channel case feature"]

    @classmethod
    def fit(
        cls, protocol: Protocol, regressors: Regressors, parts: Sequence[Part]
    ) -> "LeastSquares":
        """Fit on the targets of some parts, those not given, each channel and case alone.

        A case with fewer than twice as many targets as coefficients takes the channel's mean.
        """
        owns = [neighbors_of(part) for part in parts]
        features = np.concatenate([regressors.of(own) for own in owns])
        cases = np.concatenate([regressors.case(own) for own in owns])
        channels = np.concatenate([own.channels for own in owns])
        values = np.concatenate([part.targets.values for part in parts])
        is_asked = ~np.concatenate([_is_given(own) for own in owns])
        shape = (protocol.num_channels, len(regressors.columns), features.shape[1])
        coefficients = np.zeros(shape)
        for channel in range(protocol.num_channels):
            of_channel = is_asked & (channels == channel)
            if of_channel.any():
                coefficients[channel, :, 0] = values[of_channel].mean()
            for case, columns in enumerate(regressors.columns):
                rows = np.flatnonzero(of_channel & (cases == case))
                if len(rows) < 2 * len(columns):
                    continue
                fitted = np.linalg.lstsq(features[np.ix_(rows, np.array(columns))], values[rows])[0]
                coefficients[channel, case] = 0.0
                coefficients[channel, case, list(columns)] = fitted
        return cls(regressors, coefficients)

    def answer(self, part: Part) -> Answers:
        """Answer with the fitted combination."""
        own = neighbors_of(part)
        features = np.nan_to_num(self.regressors.of(own), nan=0.0, posinf=0.0, neginf=0.0)
        coefficients = self.coefficients[own.channels, self.regressors.case(own)]
        fitted = np.einsum("tf,tf->t", features, coefficients)
        return Answers.point(np.where(_is_given(own), own.last, fitted))


def _is_given(own: Neighbors) -> np.ndarray:
    return own.since_hours == 0
