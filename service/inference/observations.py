"""The observations of one series: from either wire form to channels, hours and canonical values.

One pass over the rows; everything that depends on a variable or a unit is done once for each
distinct pair of the two.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from model.data.units import Conversion, conversion
from model.data.variables import Catalogue, Variable
from model.errors import UnitError, UnknownVariableError
from service.inference.answers import Remark, RemarkCode
from service.inference.errors import Fault, SeriesRefusedError
from service.inference.schemas import ObservationColumns, ObservationRow


@dataclass(frozen=True)
class Table:
    """Observations as columns, and how to point at one of them."""

    times: Sequence[float | str]
    names: Sequence[str]
    values: Sequence[float]
    units: Sequence[str | None]
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
                at,
                is_columnar=False,
            )
        times, names = observations["time"], observations["variable"]
        values = observations["value"]
        units = observations.get("unit")
        if units is None:
            units = [None] * len(times)
        if not len(times) == len(names) == len(values) == len(units):
            raise SeriesRefusedError(
                Fault.COLUMN_LENGTHS_DIFFER,
                "the columns `time`, `variable`, `value` and `unit` must have one length",
                path=at,
            )
        return cls(times, names, values, units, at, is_columnar=True)


@dataclass(frozen=True)
class CanonicalValues:
    """Channel and value in canonical units of each row, and what was converted or assumed.

    The channel is -1 for a variable that the model was not trained on; such a row is not used.
    """

    channels: Int[np.ndarray, " row"]
    values: Float[np.ndarray, " row"]
    remarks: tuple[Remark, ...]


@dataclass(frozen=True)
class _Pair:
    """A variable in one unit, as it occurs in a table."""

    variable: Variable
    channel: int
    unit: str | None
    conversion: Conversion
    count: int
    first_row: int


@dataclass(frozen=True)
class _Untrained:
    """A variable that the model was not trained on, as it occurs in a table in one unit."""

    variable: Variable
    count: int
    first_row: int


def canonical_values(table: Table, catalogue: Catalogue) -> CanonicalValues:
    """Look up every variable and convert every value.

    Raises
    ------
    SeriesRefusedError
        At the first row with an unknown variable, or a unit that has no conversion.
    """
    numbers: dict[tuple[str, str | None], int] = {}
    keys = zip(table.names, table.units, strict=True)
    codes = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
    counts = np.bincount(codes)
    # Pairs are numbered as they come: a new one is beyond all before it.
    first_rows = np.flatnonzero(np.diff(np.maximum.accumulate(codes), prepend=-1))
    pairs, untrained = [], []
    channels, factors = np.full(len(counts), -1), np.ones(len(counts))
    offsets = np.zeros(len(counts))
    for place, (row, count) in enumerate(zip(first_rows.tolist(), counts.tolist(), strict=True)):
        variable = find_untrained(catalogue, table.names[row])
        if variable is not None:
            untrained.append(_Untrained(variable, count, row))
            continue
        pair = _look_up(table, catalogue, row, count)
        pairs.append(pair)
        channels[place] = pair.channel
        factors[place], offsets[place] = pair.conversion.factor, pair.conversion.offset
    with np.errstate(over="ignore"):
        values = np.array(table.values, dtype=float) * factors[codes] + offsets[codes]
    remarks = (
        *_converted(table, pairs),
        *_assumed(table, pairs),
        *_not_trained(table, untrained),
    )
    return CanonicalValues(channels[codes], values, remarks)


def find_channel(catalogue: Catalogue, name: str, *, path: str) -> int:
    """Return the channel of a name or LOINC code, or refuse the series with the choices."""
    variable = find_untrained(catalogue, name)
    if variable is not None:
        raise SeriesRefusedError(
            Fault.VARIABLE_NOT_TRAINED,
            f"{variable.name} is never estimated: the training data of this model hold too few values "
            "of it; /v1/variables lists what can be asked",
            path=path,
        )
    try:
        return catalogue.channel(name)
    except UnknownVariableError as error:
        raise SeriesRefusedError(Fault.UNKNOWN_VARIABLE, str(error), path=path) from None


def find_untrained(catalogue: Catalogue, name: str) -> Variable | None:
    """Return the variable of a name or LOINC code that the model was not trained on, if it is one."""
    return None if catalogue.find(name) is not None else catalogue.find_untrained(name)


def find_conversion(variable: Variable, unit: str | None, *, path: str) -> Conversion:
    """Return the conversion to the canonical unit, or refuse the series with the choices."""
    try:
        return conversion(variable, unit)
    except UnitError as error:
        raise SeriesRefusedError(Fault.UNKNOWN_UNIT, str(error), path=path) from None


def _look_up(table: Table, catalogue: Catalogue, row: int, count: int) -> _Pair:
    channel = find_channel(catalogue, table.names[row], path=table.path(row, "variable"))
    variable, unit = catalogue[channel], table.units[row]
    change = find_conversion(variable, unit, path=table.path(row, "unit"))
    return _Pair(variable, channel, unit, change, count, row)


def _converted(table: Table, pairs: Sequence[_Pair]) -> Iterator[Remark]:
    for pair in pairs:
        change, variable = pair.conversion, pair.variable
        if change.is_identity:
            continue
        shift = f", plus {change.offset:.8g}" if change.offset else ""
        yield Remark(
            RemarkCode.UNIT_CONVERTED,
            table.path(pair.first_row),
            f"{variable.name} was converted from {pair.unit} to {variable.unit}: "
            f"times {change.factor:.8g}{shift}",
            pair.count,
        )


def _not_trained(table: Table, untrained: Sequence[_Untrained]) -> Iterator[Remark]:
    """Give one remark for each variable."""
    for name in dict.fromkeys(one.variable.name for one in untrained):
        rows = [one for one in untrained if one.variable.name == name]
        yield Remark(
            RemarkCode.VARIABLE_NOT_TRAINED,
            table.path(min(one.first_row for one in rows), "variable"),
            f"{name} is not used: the training data of this model hold too few values of it",
            sum(one.count for one in rows),
        )


def _assumed(table: Table, pairs: Sequence[_Pair]) -> Iterator[Remark]:
    """Give one remark for all rows without a unit."""
    without = [pair for pair in pairs if pair.unit is None]
    if without:
        units = sorted({f"{pair.variable.name} in {pair.variable.unit}" for pair in without})
        yield Remark(
            RemarkCode.UNIT_ASSUMED,
            table.path(min(pair.first_row for pair in without)),
            f"no unit was given; assumed {', '.join(units)}",
            sum(pair.count for pair in without),
        )
