"""The rows of some subjects as arrays, as `model.records.reading` judges them."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float, Int, Shaped

from model.data.reasons import Reason
from model.records.labels import Labels
from model.records.times import Times


@dataclass(frozen=True)
class Revisions:
    """Which row a source has corrected or taken back; see `model.records.rows.SCHEMA`."""

    record_ids: Labels
    versions: Int[np.ndarray, " row"]
    is_withdrawn: Bool[np.ndarray, " row"]

    def take(self, rows: Shaped[np.ndarray, " chosen"]) -> "Revisions":
        """Return some of the rows."""
        return Revisions(self.record_ids.take(rows), self.versions[rows], self.is_withdrawn[rows])

    def fates(self, subjects: Int[np.ndarray, " row"]) -> Int[np.ndarray, " row"]:
        """Return `SUPERSEDED` for older versions, `WITHDRAWN` for what was taken back, else `KEPT`.

        Of one subject and record the highest version counts; a withdrawal beats a value of its own
        version. Equal versions are left to the rules of cleaning.
        """
        fates = np.zeros(len(subjects), dtype=np.int8)
        fates[self.is_withdrawn] = Reason.WITHDRAWN
        rows = np.flatnonzero(self.record_ids.codes >= 0)
        if not len(rows):
            return fates
        width = max(len(self.record_ids.names), 1)
        keys = subjects[rows] * width + self.record_ids.codes[rows]
        _, owners = np.unique(keys, return_inverse=True)
        latest = np.full(int(owners.max()) + 1, np.iinfo(np.int64).min)
        np.maximum.at(latest, owners, self.versions[rows])
        is_latest = self.versions[rows] == latest[owners]
        ends_withdrawn = np.zeros(len(latest), dtype=bool)
        np.logical_or.at(ends_withdrawn, owners, is_latest & self.is_withdrawn[rows])
        own = np.where(is_latest, Reason.KEPT, Reason.SUPERSEDED)
        own[ends_withdrawn[owners]] = Reason.WITHDRAWN
        own[self.is_withdrawn[rows]] = Reason.WITHDRAWN
        fates[rows] = own
        return fates


@dataclass(frozen=True)
class RowColumns:
    """Rows of `num_subjects` subjects, in any order.

    `numbers` are as the source gives them, in `units`, NaN where there is none. `comparators` is
    -1, 0 or +1 (`model.records.comparators`). `texts` are words instead of a number, or beside it.
    """

    num_subjects: int
    subjects: Int[np.ndarray, " row"]
    names: Labels
    numbers: Float[np.ndarray, " row"]
    comparators: Int[np.ndarray, " row"]
    texts: Labels
    units: Labels
    times: Times
    revisions: Revisions | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    @classmethod
    def of(
        cls, table: pa.Table | pa.RecordBatch, subjects: Int[np.ndarray, " row"], num_subjects: int
    ) -> "RowColumns":
        """Take rows in `model.records.rows.SCHEMA`; `subjects` numbers the subject of each."""
        column = table.column
        has_revisions = column("record_id").null_count < len(subjects)
        has_withdrawn = bool(pc.any(column("is_withdrawn")).as_py())
        revisions = None
        if has_revisions or has_withdrawn:
            revisions = Revisions(
                Labels.of(column("record_id")),
                pc.fill_null(column("version"), 0).to_numpy(),
                _array(column("is_withdrawn")),
            )
        return cls(
            num_subjects,
            subjects,
            Labels.of(column("variable")),
            _array(pc.fill_null(column("value"), np.nan)),
            _array(column("comparator")),
            Labels.of(column("text")),
            Labels.of(column("unit")),
            Times(
                _array(column("time_kind")),
                _array(column("hours")),
                _array(column("microseconds")),
            ),
            revisions,
        )

    def repeated(self) -> Bool[np.ndarray, " row"]:
        """Return where a version of a record says again what a row before says.

        Files of one export may overlap. Two amounts of one time add up, but one that is there twice
        does not.
        """
        found = np.zeros(len(self), dtype=bool)
        if self.revisions is None:
            return found
        records = self.revisions.record_ids.codes
        owners = (self.subjects, records, self.revisions.versions)
        rows = np.flatnonzero(records >= 0)
        rows = rows[np.lexsort(tuple(column[rows] for column in owners))]
        rows = rows[_same_as_a_neighbor(owners, rows)]
        said = (
            *owners,
            *(self.names.codes, self.comparators, self.texts.codes, self.units.codes),
            *(self.times.kinds, self.times.hours, self.times.microseconds),
            # NaN is equal to NaN as a pattern of bits.
            np.ascontiguousarray(self.numbers).view(np.int64),
        )
        # The position comes first, which is the last to be asked: the first of equal rows stays.
        rows = rows[np.lexsort((rows, *(column[rows] for column in said)))]
        found[rows[1:]] = _equal_to_previous(said, rows)
        return found

    def take(self, rows: Shaped[np.ndarray, " chosen"]) -> "RowColumns":
        """Return some of the rows (positions or a boolean mask) of the same subjects."""
        return RowColumns(
            self.num_subjects,
            self.subjects[rows],
            self.names.take(rows),
            self.numbers[rows],
            self.comparators[rows],
            self.texts.take(rows),
            self.units.take(rows),
            self.times.take(rows),
            None if self.revisions is None else self.revisions.take(rows),
        )


def _array(column: pa.ChunkedArray | pa.Array) -> Shaped[np.ndarray, " row"]:
    if isinstance(column, pa.ChunkedArray):
        return column.to_numpy()
    return column.to_numpy(zero_copy_only=False)


def _equal_to_previous(
    columns: tuple[Shaped[np.ndarray, " row"], ...], rows: Int[np.ndarray, " chosen"]
) -> Bool[np.ndarray, " others"]:
    equal = np.ones(max(len(rows) - 1, 0), dtype=bool)
    for column in columns:
        equal &= column[rows[1:]] == column[rows[:-1]]
    return equal


def _same_as_a_neighbor(
    columns: tuple[Shaped[np.ndarray, " row"], ...], rows: Int[np.ndarray, " chosen"]
) -> Bool[np.ndarray, " chosen"]:
    equal = _equal_to_previous(columns, rows)
    found = np.zeros(len(rows), dtype=bool)
    found[1:] = equal
    found[:-1] |= equal
    return found
