"""Rows of one series, time and variable become one row; how depends on the kind of the variable.

    level     the mean of the distinct values
    amount    the sum of all, also of equal ones: two voids of 50 mL are 100 mL
    ordinal   the lower median of the distinct values, which is a value that was charted
    state     the largest

A measured value beats a limit. Of limits on one side the tightest is kept. Limits on both sides
leave an interval that one row cannot hold: the tightest upper limit is kept, as laboratories report
far more of these. The result does not depend on the order of the rows.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from model.data.reasons import Reason
from model.data.series import AT_OR_BELOW, MEASURED
from model.data.variables import Catalogue, Kind

_OTHER_VALUE = {
    Kind.LEVEL: Reason.CONFLICT_AVERAGED,
    Kind.AMOUNT: Reason.AMOUNT_ADDED,
    Kind.ORDINAL: Reason.SCORE_SUPERSEDED,
    Kind.STATE: Reason.STATE_SUPERSEDED,
}


@dataclass(frozen=True)
class Rows:
    """Rows to be merged, each of them usable by itself."""

    series_indices: Int[np.ndarray, " row"]
    times_hours: Float[np.ndarray, " row"]
    channels: Int[np.ndarray, " row"]
    values: Float[np.ndarray, " row"]
    censoring: Int[np.ndarray, " row"]

    def take(self, rows: Int[np.ndarray, " chosen"]) -> "Rows":
        """Return some of the rows."""
        return Rows(*(column[rows] for column in vars(self).values()))


@dataclass(frozen=True)
class Merged:
    """What became of rows: one winner for each key, sorted by series, time and channel.

    `winners` is the row of each key that is kept, with its side of `values`; `owners` is the key of
    each row.
    """

    winners: Int[np.ndarray, " key"]
    values: Float[np.ndarray, " key"]
    reasons: Int[np.ndarray, " row"]
    owners: Int[np.ndarray, " row"]


def merge(rows: Rows, catalogue: Catalogue) -> Merged:
    """Merge the rows that share series, time and channel."""
    order = _order(rows, len(catalogue))
    is_first = _is_new(rows.series_indices[order], rows.times_hours[order], rows.channels[order])
    starts = np.flatnonzero(is_first)
    winners = order[starts]
    values = rows.values[winners]
    reasons = np.zeros(len(order), dtype=np.int8)
    owners = np.empty_like(order)
    owners[order] = np.cumsum(is_first) - 1
    if len(starts) < len(order):
        # Mostly a few keys have several rows; these alone are sorted further.
        is_last = np.append(is_first[1:], True)
        crowded = order[~(is_first & is_last)]
        found = _merge_crowded(rows.take(crowded), catalogue)
        keys = np.flatnonzero(~is_last[starts])
        winners[keys], values[keys] = crowded[found.winners], found.values
        reasons[crowded] = found.reasons
    return Merged(winners, values, reasons, owners)


def _order(rows: Rows, num_channels: int) -> Int[np.ndarray, " row"]:
    """Return the order by series, time and channel; equal rows stay as they come."""
    series, times = rows.series_indices, rows.times_hours
    is_same_series = series[1:] == series[:-1]
    is_in_order = np.where(is_same_series, times[1:] >= times[:-1], series[1:] > series[:-1])
    if not is_in_order.all():
        return np.lexsort((rows.channels, times, series))
    # Sources are mostly sorted by subject and time: then only the channels of one time are not.
    moments = np.cumsum(_is_new(series, times))
    return np.argsort(moments * num_channels + rows.channels, kind="stable")


def _is_new(*columns: np.ndarray) -> Bool[np.ndarray, " row"]:
    """Return where a row differs from the one before it."""
    result = np.zeros(len(columns[0]), dtype=bool)
    result[:1] = True
    for column in columns:
        result[1:] |= column[1:] != column[:-1]
    return result


def _merge_crowded(rows: Rows, catalogue: Catalogue) -> Merged:
    """Merge rows of which every one shares its key with another."""
    sides = np.where(rows.censoring == MEASURED, 0, np.where(rows.censoring == AT_OR_BELOW, 1, 2))
    keys = (rows.values, sides, rows.channels, rows.times_hours, rows.series_indices)
    order = np.lexsort(keys)
    return _SortedRows.of(rows.take(order), sides[order]).merge(order, catalogue)


@dataclass(frozen=True)
class _SortedRows:
    """Rows by key; of each key the measured first, then upper limits, then lower ones, by value.

    `usable` are the rows that the kept one is made of: those on the side of the first. `repeated`
    are equal to the row before them.
    """

    rows: Rows
    starts: Int[np.ndarray, " key"]
    owners: Int[np.ndarray, " row"]
    sides: Int[np.ndarray, " row"]
    usable: Bool[np.ndarray, " row"]
    repeated: Bool[np.ndarray, " row"]

    @classmethod
    def of(cls, rows: Rows, sides: Int[np.ndarray, " row"]) -> "_SortedRows":
        is_first = _is_new(rows.series_indices, rows.times_hours, rows.channels)
        starts, owners = np.flatnonzero(is_first), np.cumsum(is_first) - 1
        repeated = ~(is_first | _is_new(rows.values, sides))
        return cls(rows, starts, owners, sides, sides == sides[starts][owners], repeated)

    def merge(self, order: Int[np.ndarray, " row"], catalogue: Catalogue) -> Merged:
        kind = catalogue.kinds[self.rows.channels]
        winners = self._winners(kind)
        values = self._values(winners, kind[self.starts])
        other = np.array([_OTHER_VALUE[one] for one in Kind])[kind]
        is_amount = kind == list(Kind).index(Kind.AMOUNT)
        reasons = np.select(
            [~self.usable & ~self.repeated, self.repeated & ~(is_amount & self._is_measured)],
            [Reason.CENSORED_SUPERSEDED, Reason.DUPLICATE],
            np.where(self._is_measured, other, Reason.CENSORED_SUPERSEDED),
        ).astype(np.int8)
        reasons[winners] = Reason.KEPT
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return Merged(order[winners], values, reasons[back], self.owners[back])

    @property
    def _is_measured(self) -> Bool[np.ndarray, " row"]:
        return self.sides == 0

    @property
    def _distinct(self) -> Bool[np.ndarray, " row"]:
        return self.usable & ~self.repeated

    def _winners(self, kind: Int[np.ndarray, " row"]) -> Int[np.ndarray, " key"]:
        """Return the row of each key that is kept: the first, the middle or the last of its values."""
        counts = np.bincount(self.owners[self._distinct], minlength=len(self.starts))
        side, kind_of_key = self.sides[self.starts], kind[self.starts]
        takes_middle = (side == 0) & (kind_of_key == list(Kind).index(Kind.ORDINAL))
        takes_last = (side == 2) | ((side == 0) & (kind_of_key == list(Kind).index(Kind.STATE)))
        place = np.select([takes_middle, takes_last], [(counts - 1) // 2, counts - 1], 0)
        distinct = np.flatnonzero(self._distinct)
        found: np.ndarray = distinct[np.cumsum(counts) - counts + place]
        return found

    def _values(
        self, winners: Int[np.ndarray, " key"], kind: Int[np.ndarray, " key"]
    ) -> Float[np.ndarray, " key"]:
        """Return the value of each key: that of the winner, a mean or a sum."""
        is_measured = self._is_measured[winners]
        # A row that came twice weighs once, and one value alone stays as it is to the last bit.
        sums, counts = self._sums(self._distinct)
        is_mean = is_measured & (kind == list(Kind).index(Kind.LEVEL)) & (counts > 1)
        totals, entries = self._sums(self.usable)
        is_total = is_measured & (kind == list(Kind).index(Kind.AMOUNT)) & (entries > 1)
        own = self.rows.values[winners]
        return np.select([is_mean, is_total], [sums / np.maximum(counts, 1), totals], own)

    def _sums(
        self, chosen: Bool[np.ndarray, " row"]
    ) -> tuple[Float[np.ndarray, " key"], Int[np.ndarray, " key"]]:
        owners, size = self.owners[chosen], len(self.starts)
        return (
            np.bincount(owners, self.rows.values[chosen], size).astype(float),
            np.bincount(owners, minlength=size),
        )
