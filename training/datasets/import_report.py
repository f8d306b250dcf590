"""The balance of an import: what was read, used, converted and suspected, and what was not used and why.

It holds counts, names and words that many subjects share; no value of a patient is in it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Int

from model.data.cleaning import Drop
from model.data.reasons import Reason
from model.data.variables import Catalogue
from model.records.labels import Labels
from model.records.reading import Records
from model.records.remarks import Remark, RemarkCode

if TYPE_CHECKING:
    from training.datasets.importing import ReadSource

_MAX_LISTED = 20
_MIN_LISTED_SUBJECTS = 5
# What a user has to look at before the data set is used.
_LOUD = (RemarkCode.CLOCK_SUSPECTED, RemarkCode.UNIT_SUSPECTED)


@dataclass(frozen=True)
class TextCount:
    """Rows of one name or word of the source."""

    text: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """Counts of rows, unless the name says subjects.

    `rows_used` gave an observation, a descriptor or a birth; `drops` are all others, by reason and
    variable. `num_observations` are those of the data set, totals of scores among them.
    `unknown_names` are the most frequent names that the catalogue does not hold, `words` the most
    frequent values that are words; a text that only a few subjects have is not listed.
    """

    source: str
    description: tuple[str, ...]
    subjects_read: int
    subjects_kept: int
    subjects_without_observations: tuple[str, ...]
    rows_read: int
    rows_used: int
    num_observations: int
    num_series: int
    num_statics: int
    num_censored: int
    drops: tuple[Drop, ...]
    remarks: tuple[Remark, ...]
    source_remarks: Mapping[str, int]
    unknown_names: tuple[TextCount, ...]
    words: tuple[TextCount, ...]
    seconds: float

    @property
    def dropped(self) -> int:
        """Rows that are not in the data set, merged duplicates among them."""
        return sum(drop.rows for drop in self.drops)

    @property
    def is_balanced(self) -> bool:
        """Whether every row that was read is accounted for."""
        return self.rows_read == self.rows_used + self.dropped

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
        yield f"source {self.source}: {self.seconds:.1f} s"
        yield from (f"  {line}" for line in self.description)
        yield f"subjects  {self.subjects_kept:>11,} of {self.subjects_read:,}"
        absent = len(self.subjects_without_observations)
        if absent:
            yield f"  without any observation, left out: {absent:,} (ids in import_report.json)"
        if self.num_series > self.subjects_kept:
            yield f"  in {self.num_series:,} series: records are cut where nothing was observed for a week"
        yield f"rows read {self.rows_read:>11,}"
        yield f"  used         {self.rows_used:>8,}  ({self.num_observations:,} observations, "
        yield f"               {self.num_statics:,} descriptors; {self.num_censored:,} are limits)"
        yield f"  not used     {self.dropped:>8,}"
        for reason in sorted({drop.reason for drop in self.drops}):
            yield f"    {reason:<28} {self.dropped_for(reason):>9,}  {self._variables(reason)}"
        for code, rows in sorted(self.source_remarks.items()):
            yield f"read all the same: {code} {rows:,}"
        for remark in self.remarks:
            is_loud = remark.code in _LOUD
            yield f"{'WARNING ' if is_loud else ''}{remark.rows:,} rows: {remark.message}"
        yield from _listed(
            "names that are not in the catalogue (a code map can name them)", self.unknown_names
        )
        yield from _listed("values that are words", self.words)

    def _variables(self, reason: str, most: int = 6) -> str:
        """Name the variables that a reason concerns most."""
        concerned = [drop for drop in self.drops if drop.reason == reason and drop.variable]
        concerned.sort(key=lambda drop: (-drop.rows, drop.variable))
        named = [f"{drop.variable} {drop.rows:,}" for drop in concerned[:most]]
        rest = len(concerned) - len(named)
        return ", ".join(named) + (f" and {rest} more" if rest > 0 else "")


def _listed(title: str, counts: Sequence[TextCount]) -> Iterator[str]:
    if counts:
        yield f"most frequent {title}:"
    for count in counts:
        yield f"  {count.rows:>9,}  {count.text}"


def account(
    read: "ReadSource",
    records: Records,
    catalogue: Catalogue,
    *,
    description: Sequence[str],
    source: str,
    seconds: float,
) -> ImportReport:
    """Count what became of every row of a source.

    Raises
    ------
    RuntimeError
        If a row is not accounted for, which is a defect of this program.
    """
    kept_subjects = np.unique(records.piece_subjects)
    is_absent = np.ones(len(read.subject_ids), dtype=bool)
    is_absent[kept_subjects] = False
    is_unknown = records.fates == Reason.UNKNOWN_VARIABLE
    is_word = records.fates == Reason.VALUE_IS_TEXT
    num_rows = len(read.rows)
    report = ImportReport(
        source=source,
        description=tuple(description),
        subjects_read=len(read.subject_ids),
        subjects_kept=len(kept_subjects),
        subjects_without_observations=tuple(np.array(read.subject_ids)[is_absent].tolist()),
        rows_read=num_rows + sum(read.ignored.values()),
        rows_used=int(np.sum(records.fates == Reason.KEPT)),
        num_observations=records.num_observations,
        num_series=len(records.cohort),
        num_statics=int(np.sum((records.fates == Reason.KEPT) & (records.static_positions >= 0))),
        num_censored=int(np.count_nonzero(records.cohort.censoring)),
        drops=_join(read.ignored, records.drops(catalogue)),
        remarks=tuple(one for one in records.remarks if one.code is not RemarkCode.UNIT_ASSUMED)
        + _assumed(records),
        source_remarks=dict(read.remarks),
        unknown_names=_shared(read.rows.names, is_unknown, read.rows.subjects),
        words=_shared(read.rows.texts, is_word, read.rows.subjects),
        seconds=seconds,
    )
    if not report.is_balanced:
        raise RuntimeError(
            "internal error: the rows of the import do not balance; please report it"
        )
    return report


def _assumed(records: Records) -> tuple[Remark, ...]:
    """Join the remarks about rows without a unit: there is one for every variable of a wide table."""
    found = [one for one in records.remarks if one.code is RemarkCode.UNIT_ASSUMED]
    if not found:
        return ()
    names = ", ".join(dict.fromkeys(one.variable for one in found))
    rows = sum(one.rows for one in found)
    message = f"no unit was given; each variable was read in its own unit: {names}"
    return (Remark(RemarkCode.UNIT_ASSUMED, message, rows, found[0].first_row),)


def _shared(
    labels: Labels, chosen: Bool[np.ndarray, " row"], subjects: Int[np.ndarray, " row"]
) -> tuple[TextCount, ...]:
    """List the most frequent texts that at least five subjects have (or all there are).

    Text that one patient alone has may be anything, also something that must not be repeated.
    """
    rows = np.flatnonzero(chosen & (labels.codes >= 0))
    codes, owners = labels.codes[rows], subjects[rows]
    counts = np.bincount(codes, minlength=len(labels.names))
    num_subjects = int(subjects.max(initial=0)) + 1
    pairs = np.unique(codes * num_subjects + owners)
    carriers = np.bincount(pairs // num_subjects, minlength=len(counts))
    least = min(_MIN_LISTED_SUBJECTS, num_subjects)
    listed = [int(code) for code in np.flatnonzero(carriers >= least)]
    listed.sort(key=lambda code: (-counts[code], labels.names[code]))
    return tuple(
        TextCount(labels.names[code][:80], int(counts[code])) for code in listed[:_MAX_LISTED]
    )


def _join(ignored: Mapping[str, int], drops: Sequence[Drop]) -> tuple[Drop, ...]:
    """Add up drops with the same reason and variable."""
    totals: Counter[tuple[str, str]] = Counter()
    for reason, rows in ignored.items():
        totals[reason, ""] += rows
    for drop in drops:
        totals[drop.reason, drop.variable] += drop.rows
    return tuple(Drop(*key, rows) for key, rows in sorted(totals.items()) if rows)
