"""Paired bootstrap over stays: how far the ratio of two methods is resolved.

The stays are what is exchangeable, not the hundreds of targets within one. Each resample takes the
same stays for both methods, so that what makes a stay hard cancels in the ratio.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

_CHUNK = 64


@dataclass(frozen=True)
class Errors:
    """The losses of one method, summed for each stay and variable that has targets.

    `pooled` judges all targets as one variable.
    """

    sums: Float[np.ndarray, "stay variable"]
    counts: Float[np.ndarray, "stay variable"]

    @classmethod
    def of(
        cls,
        losses: Float[np.ndarray, " target"],
        series: Int[np.ndarray, " target"],
        channels: Int[np.ndarray, " target"],
        *,
        pooled: bool = False,
    ) -> "Errors":
        """Sum per-target losses (squared, absolute, ...); stays without a target are left out."""
        _, stays = np.unique(series, return_inverse=True)
        _, variables = np.unique(
            np.zeros_like(channels) if pooled else channels, return_inverse=True
        )
        num_stays, num_variables = stays.max(initial=-1) + 1, variables.max(initial=-1) + 1
        cells = stays * num_variables + variables
        shape = (num_stays, num_variables)
        return cls(
            np.bincount(cells, losses, num_stays * num_variables).reshape(shape),
            np.bincount(cells, minlength=num_stays * num_variables).reshape(shape).astype(float),
        )

    def metric(self, weights: Float[np.ndarray, "resample stay"]) -> Float[np.ndarray, " resample"]:
        """Return the mean over variables of the mean over targets, stays weighted.

        A variable without a target in a resample is left out of it.
        """
        counts = weights @ self.counts
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.where(counts > 0, weights @ self.sums / counts, np.nan)
        return np.asarray(np.nanmean(means, axis=1))


@dataclass(frozen=True)
class Ratio:
    """A metric of one method over that of another on the same targets.

    `low` and `high` bound 95 % of the resamples of stays; `without_worst` leaves out the one stay
    that weighs most in the denominator.
    """

    value: float
    low: float
    high: float
    without_worst: float

    @property
    def text(self) -> str:
        """The ratio with its interval."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def ratio(
    method: Errors, reference: Errors, generator: np.random.Generator, *, num_resamples: int = 1000
) -> Ratio:
    """Compare two methods on the same targets.

    Raises
    ------
    ValueError
        If their targets differ, or there is none.
    """
    if not np.array_equal(method.counts, reference.counts) or not len(method.counts):
        raise ValueError("ratio: both methods need errors of the same targets, at least one")
    num_stays = len(method.counts)
    everybody = np.ones((1, num_stays))
    worst = _most_influential(reference)
    others = everybody.copy()
    others[0, worst] = 0.0
    resampled = np.concatenate(
        [
            _ratios(method, reference, _draw(generator, num_stays, size))
            for size in _chunks(num_resamples)
        ]
    )
    low, high = np.percentile(resampled, (2.5, 97.5))
    return Ratio(
        float(_ratios(method, reference, everybody)[0]),
        float(low),
        float(high),
        float(_ratios(method, reference, others)[0]) if num_stays > 1 else float("nan"),
    )


def worst_stay(
    losses: Float[np.ndarray, " target"],
    series: Int[np.ndarray, " target"],
    channels: Int[np.ndarray, " target"],
) -> int:
    """Return the series that weighs most in the variable-balanced metric."""
    if not len(series):
        return -1
    return int(np.unique(series)[_most_influential(Errors.of(losses, series, channels))])


def _most_influential(errors: Errors) -> int:
    """Return the stay with the largest share of the metric."""
    return int(np.argmax(np.sum(errors.sums / errors.counts.sum(axis=0), axis=1)))


def _ratios(
    method: Errors, reference: Errors, weights: Float[np.ndarray, "resample stay"]
) -> Float[np.ndarray, " resample"]:
    return method.metric(weights) / reference.metric(weights)


def _draw(
    generator: np.random.Generator, num_stays: int, size: int
) -> Float[np.ndarray, "resample stay"]:
    shares = np.full(num_stays, 1 / num_stays)
    return generator.multinomial(num_stays, shares, size=size).astype(float)


def _chunks(count: int) -> list[int]:
    """Divide a count of resamples so that the weights of one chunk stay small."""
    return [min(_CHUNK, count - start) for start in range(0, count, _CHUNK)]
