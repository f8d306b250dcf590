"""A proposed table of variables, with what was seen of each, and what was left out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.data.catalogue_table import write_catalogue
from model.data.variables import Catalogue, Static, Variable, folded
from training.catalogue.sample import LEAST_SUBJECTS

_MAX_UNITS = 5
_MAX_LISTED = 8


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was seen of a variable or static: counts, and rounded figures of at least five subjects.

    `quartiles` are in the unit of the row. `outside` are values beyond the range that is proposed.
    """

    rows: int
    subjects: int
    names: tuple[str, ...]
    units: tuple[tuple[str, int], ...]
    quartiles: tuple[float, float, float] | None = None
    interval_hours: float | None = None
    text_share: float = 0.0
    limit_share: float = 0.0
    outside: int = 0
    mixture: str = ""

    def cells(self) -> dict[str, str]:
        """Return the columns that are for the reader's eyes."""
        units = [f"{unit or '(none)'} {rows}" for unit, rows in self.units[:_MAX_UNITS]]
        low, median, high = self.quartiles or ("", "", "")
        interval = "" if self.interval_hours is None else f"{self.interval_hours:.2g}"
        return {
            "seen_rows": str(self.rows),
            "seen_subjects": str(self.subjects),
            "seen_names": "; ".join(self.names),
            "seen_units": "; ".join(units),
            "seen_low": _cell(low),
            "seen_median": _cell(median),
            "seen_high": _cell(high),
            "seen_interval_hours": interval,
            "seen_text_share": f"{self.text_share:.3f}" if self.text_share else "",
            "seen_limit_share": f"{self.limit_share:.3f}" if self.limit_share else "",
            "seen_outside": str(self.outside) if self.outside else "",
            "seen_mixture": self.mixture,
        }


@dataclass(frozen=True)
class Entry:
    """One proposed row. `is_known` says that the known catalogue has it."""

    item: Variable | Static
    seen: Seen
    notes: tuple[str, ...]
    is_known: bool

    def cells(self) -> dict[str, str]:
        """Return the columns that `read_catalogue` passes over."""
        return {**self.seen.cells(), "note": "; ".join(self.notes)}


@dataclass(frozen=True)
class LeftOut:
    """A name of the source that is no variable, and why; `subjects` have a row of it.

    A name that few subjects have may be anything, and is counted only. That of a column is shown.
    """

    name: str
    reason: str
    subjects: int = 0
    is_column: bool = False

    @property
    def can_be_shown(self) -> bool:
        """Whether the name is no text that may belong to one patient."""
        return self.is_column or self.subjects >= LEAST_SUBJECTS


@dataclass(frozen=True)
class Proposal:
    """The rows, known ones first, and the names that were left out.

    `accepts` are the units that whole columns without one seem to be in, by variable.
    """

    entries: tuple[Entry, ...]
    left_out: tuple[LeftOut, ...]
    accepts: tuple[tuple[str, str], ...] = ()

    @property
    def catalogue(self) -> Catalogue:
        """The variables and statics."""
        items = [entry.item for entry in self.entries]
        return Catalogue(
            tuple(item for item in items if isinstance(item, Variable)),
            tuple(item for item in items if isinstance(item, Static)),
        )

    def write(self, path: Path) -> None:
        """Write the table.

        Raises
        ------
        CatalogueError
            If there is no variable.
        """
        write_catalogue(
            path, self.catalogue, {entry.item.name: entry.cells() for entry in self.entries}
        )

    def lines(self) -> Iterator[str]:
        """Give an account for a terminal."""
        known = sum(entry.is_known for entry in self.entries)
        catalogue = self.catalogue
        yield (
            f"{len(catalogue)} variables and {len(catalogue.statics)} statics: "
            f"{known} known, {len(self.entries) - known} proposed from the values"
        )
        renamed = [
            f"{entry.seen.names[0]} is {entry.item.name}"
            for entry in self.entries
            if entry.seen.names and folded(entry.seen.names[0]) != folded(entry.item.name)
        ]
        if renamed:
            yield f"known by another name: {', '.join(renamed)}"
        yield from self._notes()
        yield from self._left_out()

    def _notes(self, most: int = 30) -> Iterator[str]:
        """Give the notes, each with the names that it stands at."""
        by_note: dict[str, list[str]] = {}
        for entry in self.entries:
            for note in entry.notes:
                by_note.setdefault(note, []).append(entry.item.name)
        for note, names in list(by_note.items())[:most]:
            yield f"  {_listed(names)}: {note}"
        if len(by_note) > most:
            yield f"  and {len(by_note) - most} more notes, in the column note"

    def _left_out(self) -> Iterator[str]:
        by_reason: dict[str, list[LeftOut]] = {}
        for one in self.left_out:
            by_reason.setdefault(one.reason, []).append(one)
        for reason, names in sorted(by_reason.items(), key=lambda pair: -len(pair[1])):
            shown = [one.name for one in names if one.can_be_shown]
            hidden = len(names) - len(shown)
            few = (
                [f"{hidden} names that fewer than {LEAST_SUBJECTS} subjects have"] if hidden else []
            )
            yield f"left out, {reason}: {'; '.join([*filter(None, [_listed(shown)]), *few])}"


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _MAX_LISTED
    more = f" and {rest} more" if rest > 0 else ""
    return ", ".join(names[:_MAX_LISTED]) + more


def _cell(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
