"""The observations and statics of one posted series, as the rows that `model.records` reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from model.records.comparators import COMPARATORS, read_value
from model.records.labels import Labels
from model.records.row_columns import RowColumns
from model.records.rows import TimeKind
from model.records.times import Times
from service.inference.errors import Fault, SeriesRefusedError
from service.inference.schemas import ObservationColumns, ObservationRow

_FIELDS = ("time", "variable", "value", "unit", "comparator")


@dataclass(frozen=True)
class Table:
    """Observations as columns, and how to point at one of them."""

    times: Sequence[float | str]
    names: Sequence[str]
    values: Sequence[float | str]
    units: Sequence[str | None]
    comparators: Sequence[str | None]
    at: str
    is_columnar: bool

    def __len__(self) -> int:
        return len(self.times)

    def path(self, row: int, field: str = "") -> str:
        """Return the path of a row, or of one of its fields."""
        if self.is_columnar:
            return f"{self.at}.{field or 'value'}[{row}]"
        return f"{self.at}[{row}]" + (f".{field}" if field else "")

    @classmethod
    def read(cls, observations: list[ObservationRow] | ObservationColumns, *, at: str) -> "Table":
        """Read either wire form.

        Raises
        ------
        SeriesRefusedError
            If columns differ in length.
        """
        if isinstance(observations, list):
            return cls(
                [row["time"] for row in observations],
                [row["variable"] for row in observations],
                [row["value"] for row in observations],
                [row.get("unit") for row in observations],
                [row.get("comparator") for row in observations],
                at,
                is_columnar=False,
            )
        times, names = observations["time"], observations["variable"]
        nothing: list[str | None] = [None] * len(times)
        units, comparators = observations.get("unit"), observations.get("comparator")
        columns = (
            times,
            names,
            observations["value"],
            nothing if units is None else units,
            nothing if comparators is None else comparators,
        )
        if len(set(map(len, columns))) > 1:
            raise SeriesRefusedError(
                Fault.COLUMN_LENGTHS_DIFFER,
                f"the columns {', '.join(f'`{name}`' for name in _FIELDS)} must have one length",
                path=at,
            )
        return cls(*columns, at, is_columnar=True)


@dataclass(frozen=True)
class PostedRows:
    """The rows of a series: first the chosen observations, then the statics.

    `observations` are the positions of the former in the table, `static_names` the names of the
    latter.
    """

    rows: RowColumns
    observations: Int[np.ndarray, " observation"]
    static_names: tuple[str, ...]

    @classmethod
    def of(
        cls,
        table: Table,
        times: Times,
        chosen: Int[np.ndarray, " observation"],
        statics: Mapping[str, float | str | None],
    ) -> "PostedRows":
        """Put the chosen observations and the statics that are given together."""
        given = {name: value for name, value in statics.items() if value is not None}
        num_rows = len(table) + len(given)
        numbers, comparators, texts = _values([*table.values, *given.values()])
        if any(table.comparators):
            sides = [COMPARATORS.get(one or "", 0) for one in table.comparators]
            stated = np.array([*sides, *([0] * len(given))], dtype=np.int8)
            comparators = np.where(stated != 0, stated, comparators)
        missing = np.zeros(len(given), dtype=np.uint8) + TimeKind.MISSING
        whole = RowColumns(
            1,
            np.zeros(num_rows, dtype=np.int64),
            Labels.of_texts([*table.names, *given]),
            numbers,
            comparators,
            texts,
            Labels.of_texts([*table.units, *([None] * len(given))]),
            Times(
                np.concatenate([times.kinds, missing]),
                np.concatenate([times.hours, np.zeros(len(given))]),
                np.concatenate([times.microseconds, np.zeros(len(given), dtype=np.int64)]),
            ),
        )
        if len(chosen) < len(table):
            whole = whole.take(np.concatenate([chosen, np.arange(len(table), num_rows)]))
        return cls(whole, chosen, tuple(given))

    def is_static(self, row: int) -> bool:
        """Whether a row was given as a static."""
        return row >= len(self.observations)

    def path(self, table: Table, row: int, field: str, *, at: str) -> str:
        """Return the path of a row in the request; `at` is that of its series."""
        if self.is_static(row):
            return f"{at}.static.{self.static_names[row - len(self.observations)]}"
        return table.path(int(self.observations[row]), field)


def _values(
    values: Sequence[float | str],
) -> tuple[Float[np.ndarray, " row"], Int[np.ndarray, " row"], Labels]:
    """Return numbers, comparators and words; a list of numbers costs a single call."""
    if str not in set(map(type, values)):
        size = len(values)
        return np.array(values, dtype=float), np.zeros(size, dtype=np.int8), Labels.nothing(size)
    read = [read_value(one) if isinstance(one, str) else (one, 0, None) for one in values]
    numbers, comparators, words = zip(*read, strict=True)
    return (
        np.array(numbers, dtype=float),
        np.array(comparators, dtype=np.int8),
        Labels.of_texts(words),
    )
