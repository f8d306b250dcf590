"""From the rows of a chunk to series, by the rules of all doors, and which subjects are refused.

A long record is several series, cut at its silences: the pieces of its subject. What a piece is and
what becomes of a row is said by `model.records.reading`; here is what a job adds: a limit of rows, the
table of query times, and which subjects are refused.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float, Int

from model.data.cleaning import Drop
from model.data.reasons import Reason
from model.data.series import Cohort
from model.data.variables import Catalogue
from model.records.clocks import Clocks
from model.records.explaining import ALLOWED_BY_STRICT, explain
from model.records.placing import place_times
from model.records.reading import ReadingRules, Records, read_records
from model.records.row_columns import RowColumns
from model.records.times import Times
from service.inference.errors import Fault
from service.jobs.account import Account
from service.jobs.filling.refusals import Refusals
from service.jobs.planning import chunks
from service.jobs.planning.chunks import SortedRows
from service.jobs.request import JobRequest

MIN_SUBJECTS_OF_A_NAME = 5
"""Of a chunk: so many must have an unknown variable for it to be named."""

_CODES = frozenset(Fault)


@dataclass(frozen=True)
class AskedTimes:
    """The rows of a table of query times whose subject has a piece: where they lie.

    `outside_hours` is how far a time lies before or after its piece. Hours are NaN, and `faults` not
    `Reason.KEPT`, where there is no usable time.
    """

    subjects: Int[np.ndarray, " asked"]
    pieces: Int[np.ndarray, " asked"]
    hours: Float[np.ndarray, " asked"]
    outside_hours: Float[np.ndarray, " asked"]
    faults: Int[np.ndarray, " asked"]


@dataclass(frozen=True)
class ReadChunk:
    """The pieces of all subjects of a chunk. `pieces` has the number of each piece's subject.

    A subject without a piece is refused.
    """

    subject_ids: pa.Array
    cohort: Cohort
    clocks: Clocks
    pieces: Int[np.ndarray, " piece"]
    asked: AskedTimes
    refusals: Refusals
    account: Account


def read_chunk_rows(rows: SortedRows, request: JobRequest, catalogue: Catalogue) -> ReadChunk:
    """Read every subject of a chunk."""
    subject_ids, subjects = _subjects(rows.table)
    num_subjects = len(subject_ids)
    refusals = Refusals(num_subjects)
    limit = chunks.MAX_ROWS_PER_SUBJECT
    refusals.add(
        np.flatnonzero(np.bincount(subjects, minlength=num_subjects) > limit),
        Fault.TOO_MANY_OBSERVATIONS,
        f"a subject may have {limit} rows; split it",
    )
    is_query = rows.table.column("is_query").to_numpy()
    whole = RowColumns.of(rows.table, subjects, num_subjects)
    told = whole.take(~is_query) if is_query.any() else whole
    rules = ReadingRules(
        accepted_units=request.accepted_units,
        time_kind=rows.whole.time_kind,
        suspected=rows.whole.suspected,
    )
    records = read_records(told, subject_ids.to_pylist(), catalogue, rules)
    is_asked = np.zeros(num_subjects, dtype=bool)
    is_asked[subjects[is_query]] = True
    _refuse_nothing_left(records, told, catalogue, is_asked, refusals)
    if request.strict:
        _refuse_changes(records, told, refusals)
    return ReadChunk(
        subject_ids,
        records.cohort,
        records.clocks,
        records.piece_subjects,
        _asked(whole.times.take(is_query), subjects[is_query], records),
        refusals,
        Account.of_rows(_drops(records, told, catalogue), records.remarks),
    )


def _subjects(table: pa.Table) -> tuple[pa.Array, Int[np.ndarray, " row"]]:
    """Return the distinct subjects of sorted rows, and the number of each row's."""
    subjects = table.column("subject_id").combine_chunks()
    is_new = np.ones(len(subjects), dtype=bool)
    is_new[1:] = pc.not_equal(subjects[1:], subjects[:-1]).to_numpy(zero_copy_only=False)
    return subjects.filter(pa.array(is_new)), np.cumsum(is_new) - 1


def _refuse_nothing_left(
    records: Records,
    rows: RowColumns,
    catalogue: Catalogue,
    is_asked: Bool[np.ndarray, " subject"],
    refusals: Refusals,
) -> None:
    """Refuse the subjects without a piece, each for the reason of its first row, as a posted series.

    A subject of whom there are descriptors alone, such as a FHIR Patient that nobody observed, has
    nothing to fill: it is no failure, unless times of it were asked.
    """
    is_empty = np.ones(rows.num_subjects, dtype=bool)
    is_empty[records.piece_subjects] = False
    is_descriptor = (records.static_positions >= 0) | records.meanings.is_birth
    own = np.flatnonzero(is_empty[rows.subjects] & ~is_descriptor)
    subjects, firsts = np.unique(rows.subjects[own], return_index=True)
    for subject, row in zip(subjects.tolist(), own[firsts].tolist(), strict=True):
        reason, channel = Reason(int(records.fates[row])), int(records.channels[row])
        code = Fault(reason.code) if reason.code in _CODES else Fault.NO_OBSERVATIONS
        sentence = explain(reason, catalogue[channel] if channel >= 0 else None)
        refusals.add(np.array([subject]), code, f"no observation is left; {sentence}")
    refusals.add(
        np.flatnonzero(is_empty & is_asked),
        Fault.NO_OBSERVATIONS,
        "times were asked, and there is no observation",
    )


def _refuse_changes(records: Records, rows: RowColumns, refusals: Refusals) -> None:
    """Refuse the subjects with a row that `strict` does not allow, and name what became of them."""
    is_allowed: Bool[np.ndarray, " row"] = np.isin(records.fates, list(ALLOWED_BY_STRICT))
    found: dict[int, Counter[str]] = {}
    own = np.flatnonzero(~is_allowed)
    for subject, fate in zip(rows.subjects[own].tolist(), records.fates[own].tolist(), strict=True):
        found.setdefault(subject, Counter())[Reason(fate).code] += 1
    for subject, counts in found.items():
        summary = ", ".join(f"{code}: {count}" for code, count in sorted(counts.items()))
        refusals.add(
            np.array([subject]),
            Fault.REFUSED_BY_STRICT,
            f"`strict` refuses what would not be used as it was given ({summary})",
        )


def _drops(records: Records, rows: RowColumns, catalogue: Catalogue) -> Iterator[Drop]:
    """Count the rows that were not used, those of unknown variables by their names.

    A name that few subjects have may be anything, even a patient's: it is not told.
    """
    yield from (
        one for one in records.drops(catalogue) if one.reason != Reason.UNKNOWN_VARIABLE.code
    )
    own = np.flatnonzero(records.fates == Reason.UNKNOWN_VARIABLE)
    width = rows.num_subjects
    pairs, counts = np.unique(
        rows.names.codes[own] * width + rows.subjects[own], return_counts=True
    )
    codes = pairs // width
    for code in np.unique(codes).tolist():
        is_common = code >= 0 and np.sum(codes == code) >= MIN_SUBJECTS_OF_A_NAME
        name = rows.names.names[code] if is_common else ""
        yield Drop(Reason.UNKNOWN_VARIABLE.code, name, int(counts[codes == code].sum()))


def _asked(times: Times, subjects: Int[np.ndarray, " asked"], records: Records) -> AskedTimes:
    placed = place_times(times, subjects, records.cohort, records.clocks, records.piece_subjects)
    has_piece = placed.pieces >= 0
    return AskedTimes(
        subjects[has_piece],
        placed.pieces[has_piece],
        placed.hours[has_piece],
        placed.outside_hours[has_piece],
        placed.faults[has_piece],
    )
