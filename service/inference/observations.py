"""The observations and statics of one posted series, as the rows that `model.records` reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

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
    latter. `flagged` are the rows of numbers whose flag (`1.1*`) was ignored.
    """

    rows: RowColumns
    observations: Int[np.ndarray, " observation"]
    static_names: tuple[str, ...]
    flagged: Int[np.ndarray, " flagged"]

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
        read = _Values.of([*table.values, *given.values()])
        comparators, is_flagged = read.comparators, read.is_flagged
        if any(table.comparators):
            sides = [COMPARATORS.get(one or "", 0) for one in table.comparators]
            stated = np.array([*sides, *([0] * len(given))], dtype=np.int8)
            comparators = np.where(stated != 0, stated, comparators)
        missing = np.zeros(len(given), dtype=np.uint8) + TimeKind.MISSING
        whole = RowColumns(
            1,
            np.zeros(num_rows, dtype=np.int64),
            Labels.of_texts([*table.names, *given]),
            read.numbers,
            comparators,
            read.texts,
            Labels.of_texts([*table.units, *([None] * len(given))]),
            Times(
                np.concatenate([times.kinds, missing]),
                np.concatenate([times.hours, np.zeros(len(given))]),
                np.concatenate([times.microseconds, np.zeros(len(given), dtype=np.int64)]),
            ),
        )
        if len(chosen) < len(table):
            taken = np.concatenate([chosen, np.arange(len(table), num_rows)])
            whole, is_flagged = whole.take(taken), is_flagged[taken]
        return cls(whole, chosen, tuple(given), np.flatnonzero(is_flagged))

    def is_static(self, row: int) -> bool:
        """Whether a row was given as a static."""
        return row >= len(self.observations)

    def path(self, table: Table, row: int, field: str, *, at: str) -> str:
        """Return the path of a row in the request; `at` is that of its series."""
        if self.is_static(row):
            return f"{at}.static.{self.static_names[row - len(self.observations)]}"
        return table.path(int(self.observations[row]), field)


@dataclass(frozen=True)
class _Values:
    """Numbers, comparators and words as in `RowColumns`, and where a flag beside a number was ignored."""

    numbers: Float[np.ndarray, " row"]
    comparators: Int[np.ndarray, " row"]
    texts: Labels
    is_flagged: Bool[np.ndarray, " row"]

    @classmethod
    def of(cls, values: Sequence[float | str]) -> "_Values":
        """Read the texts among the values; mostly there are none."""
        numbers, size = list(values), len(values)
        comparators = np.zeros(size, dtype=np.int8)
        is_flagged = np.zeros(size, dtype=bool)
        codes = np.full(size, -1)
        words: dict[str, int] = {}
        for place in [place for place, kind in enumerate(map(type, values)) if kind is str]:
            read = read_value(str(values[place]))
            numbers[place] = read.number
            comparators[place], is_flagged[place] = read.comparator, read.has_flag
            if read.word is not None:
                codes[place] = words.setdefault(read.word, len(words))
        return cls(
            np.array(numbers, dtype=float), comparators, Labels(codes, tuple(words)), is_flagged
        )
