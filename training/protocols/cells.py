"""Cells: one value for each record, time and channel, and the cohort that they make."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.series import Cohort, offsets_from_counts
from training.protocols.part import Part
from training.protocols.raw import Stays


@dataclass(frozen=True)
class Cells:
    """Values on a grid of integer times, sorted by stay, then time, then channel, each cell once.

    A time is a minute or an hour, as the protocol counts.
    """

    stays: Int[np.ndarray, " cell"]
    times: Int[np.ndarray, " cell"]
    channels: Int[np.ndarray, " cell"]
    values: Float[np.ndarray, " cell"]

    def take(self, kept: Bool[np.ndarray, " cell"]) -> "Cells":
        """Return the cells where `kept` is True."""
        return Cells(self.stays[kept], self.times[kept], self.channels[kept], self.values[kept])

    def scaled(
        self, loc: Float[np.ndarray, " channel"], scale: Float[np.ndarray, " channel"]
    ) -> "Cells":
        """Return the cells with `(value - loc) / scale` of their channel."""
        values = (self.values - loc[self.channels]) / scale[self.channels]
        return Cells(self.stays, self.times, self.channels, values)

    def minimum(self, num_channels: int) -> Float[np.ndarray, " channel"]:
        """Least value of each channel, infinite where it has none."""
        least = np.full(num_channels, np.inf)
        np.minimum.at(least, self.channels, self.values)
        return least

    def maximum(self, num_channels: int) -> Float[np.ndarray, " channel"]:
        """Greatest value of each channel, minus infinity where it has none."""
        greatest = np.full(num_channels, -np.inf)
        np.maximum.at(greatest, self.channels, self.values)
        return greatest

    def moments(
        self, num_channels: int
    ) -> tuple[Float[np.ndarray, " channel"], Float[np.ndarray, " channel"]]:
        """Mean and (population) standard deviation of each channel, NaN where it has no value."""
        counts = np.bincount(self.channels, minlength=num_channels)
        with np.errstate(invalid="ignore"):
            mean = np.bincount(self.channels, self.values, num_channels) / counts
            squares = np.bincount(
                self.channels, (self.values - mean[self.channels]) ** 2, num_channels
            )
            return mean, np.sqrt(squares / counts)


def mean_of_cells(
    stays: Int[np.ndarray, " line"],
    times: Int[np.ndarray, " line"],
    channels: Int[np.ndarray, " line"],
    values: Float[np.ndarray, " line"],
) -> Cells:
    """Average the lines of one cell."""
    keys, inverse = np.unique(_keys(stays, times, channels), return_inverse=True)
    means = np.bincount(inverse, values) / np.bincount(inverse)
    return _cells(keys, means)


def last_of_cells(
    stays: Int[np.ndarray, " line"],
    times: Int[np.ndarray, " line"],
    channels: Int[np.ndarray, " line"],
    values: Float[np.ndarray, " line"],
) -> Cells:
    """Keep the last line of each cell."""
    # The first of a key in the reversed lines is its last.
    keys, last = np.unique(_keys(stays, times, channels)[::-1], return_index=True)
    return _cells(keys, values[::-1][last])


# More than there are minutes and parameters.
_TIMES, _CHANNELS = 4096, 64


def _keys(
    stays: Int[np.ndarray, " line"],
    times: Int[np.ndarray, " line"],
    channels: Int[np.ndarray, " line"],
) -> Int[np.ndarray, " line"]:
    return (stays * _TIMES + times) * _CHANNELS + channels


def _cells(keys: Int[np.ndarray, " cell"], values: Float[np.ndarray, " cell"]) -> Cells:
    return Cells(keys // (_TIMES * _CHANNELS), keys // _CHANNELS % _TIMES, keys % _CHANNELS, values)


@dataclass(frozen=True)
class Masked:
    """Cells with their masks and true times, ready to be divided into parts."""

    raw: Stays
    cells: Cells
    times_hours: Float[np.ndarray, " cell"]
    context_mask: Bool[np.ndarray, " cell"]
    target_mask: Bool[np.ndarray, " cell"]

    def part(self, stays: Int[np.ndarray, " chosen"]) -> Part:
        """Return some of the stays, in the given order, without those that have no cell."""
        counts = np.bincount(self.cells.stays, minlength=len(self.raw))
        offsets = offsets_from_counts(counts)
        chosen = stays[counts[stays] > 0]
        part = Part(
            Cohort(
                tuple(map(str, self.raw.record_ids.tolist())),
                offsets,
                self.times_hours,
                self.cells.channels,
                self.cells.values,
                self.raw.statics,
            ),
            self.context_mask,
            self.target_mask,
        )
        return part.select(chosen)
