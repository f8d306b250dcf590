"""The balance of an import: what was read, kept, converted, and dropped for which reason.

It holds counts, names and subject ids; no value of a patient is in it.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from model.data.cleaning import Drop


@dataclass(frozen=True)
class UnitCount:
    """Rows of one variable that came in one unit."""

    variable: str
    unit: str
    rows: int


@dataclass(frozen=True)
class CodeCount:
    """Rows of one code of the source."""

    code: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """Counts of rows, unless the name says subjects or files.

    `conversions` are the rows whose value changed with its unit, `unknown_units` those dropped for
    it. `unmapped_codes` are the most frequent codes that the catalogue does not hold; a code that
    only a few subjects have is not listed.
    """

    source: str
    files: int
    subjects_read: int
    subjects_kept: int
    subjects_without_observations: tuple[int, ...]
    rows_read: int
    kept_observations: int
    kept_statics: int
    identifier_rows: int
    rows_without_unit: int
    drops: tuple[Drop, ...]
    conversions: tuple[UnitCount, ...]
    unknown_units: tuple[UnitCount, ...]
    unmapped_codes: tuple[CodeCount, ...]
    seconds: float

    @property
    def dropped(self) -> int:
        """Rows that are not in the data set, merged duplicates among them."""
        return sum(drop.rows for drop in self.drops)

    @property
    def is_balanced(self) -> bool:
        """Whether every row that was read is accounted for."""
        kept = self.kept_observations + self.kept_statics + self.identifier_rows
        return self.rows_read == kept + self.dropped

    def dropped_for(self, reason: str, variable: str | None = None) -> int:
        """Return the rows dropped for a reason, of one variable or of all."""
        return sum(
            drop.rows
            for drop in self.drops
            if drop.reason == reason and variable in (None, drop.variable)
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and dictionaries for `import_report.json`."""
        return {**asdict(self), "dropped": self.dropped, "is_balanced": self.is_balanced}

    def lines(self) -> Iterator[str]:
        """Give the report as text for a terminal."""
        yield f"source {self.source}: {self.files:,} file(s), {self.seconds:.1f} s"
        yield f"subjects  {self.subjects_kept:>11,} of {self.subjects_read:,}"
        absent = len(self.subjects_without_observations)
        if absent:
            yield f"  without any observation, left out: {absent:,} (ids in import_report.json)"
        yield f"rows read {self.rows_read:>11,}"
        yield f"  observations {self.kept_observations:>8,}"
        yield f"  statics      {self.kept_statics:>8,}"
        yield f"  identifiers  {self.identifier_rows:>8,}"
        yield f"  dropped      {self.dropped:>8,}"
        for reason in sorted({drop.reason for drop in self.drops}):
            yield f"    {reason:<24} {self.dropped_for(reason):>9,}  {self._variables(reason)}"
        if self.rows_without_unit:
            yield f"rows without a unit, read in the catalogue's: {self.rows_without_unit:,}"
        for count in self.conversions:
            yield f"converted {count.rows:,} rows of {count.variable} from {count.unit}"
        for count in self.unknown_units:
            yield f"no conversion for {count.rows:,} rows of {count.variable} in {count.unit!r}"
        if self.unmapped_codes:
            yield "most frequent codes that are not in the catalogue (a code map can name them):"
        for code in self.unmapped_codes:
            yield f"  {code.rows:>9,}  {code.code}"

    def _variables(self, reason: str, most: int = 6) -> str:
        """Name the variables that a reason concerns most."""
        concerned = [drop for drop in self.drops if drop.reason == reason and drop.variable]
        concerned.sort(key=lambda drop: (-drop.rows, drop.variable))
        named = [f"{drop.variable} {drop.rows:,}" for drop in concerned[:most]]
        rest = len(concerned) - len(named)
        return ", ".join(named) + (f" and {rest} more" if rest > 0 else "")
