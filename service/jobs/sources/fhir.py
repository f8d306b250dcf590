"""FHIR R4 Observations in NDJSON, one resource a line. No model of FHIR: the few fields that matter.

    status                                   final, amended or corrected
    subject.reference                        the subject, as it stands
    effectiveDateTime, effectiveInstant,     with an offset from UTC
      or effectivePeriod.start
    code.coding, component[].code.coding     the first LOINC code that the catalogue has
    valueQuantity, component[].valueQuantity value, and the UCUM code or else the unit

Whatever else there is, is counted by reason. Everything after the parser is columnar.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int

from model.data.variables import Catalogue
from service.jobs.reading.columns import Moments, Told, read_moments, to_rows
from service.jobs.reading.rows import Rows, TimeKind
from service.jobs.sources.lines import objects_of, reading
from service.jobs.sources.tables import list_files

_USABLE_STATUSES = pa.array(["final", "amended", "corrected"])
_FORMAT = "NDJSON of FHIR resources"
_LOINC = "http://loinc.org"
_CONCEPT = pa.struct(
    [("coding", pa.list_(pa.struct([("system", pa.string()), ("code", pa.string())])))]
)
_QUANTITY = pa.struct([("value", pa.float64()), ("unit", pa.string()), ("code", pa.string())])
_MEASURED = [("code", _CONCEPT), ("valueQuantity", _QUANTITY)]
_SCHEMA = pa.schema(
    [
        ("resourceType", pa.string()),
        ("status", pa.string()),
        ("subject", pa.struct([("reference", pa.string())])),
        ("effectiveDateTime", pa.string()),
        ("effectiveInstant", pa.string()),
        ("effectivePeriod", pa.struct([("start", pa.string())])),
        *_MEASURED,
        ("component", pa.list_(pa.struct(_MEASURED))),
    ]
)


def read_fhir(path: Path, catalogue: Catalogue) -> Iterator[Rows]:
    """Read a file, or every NDJSON file of a folder.

    Raises
    ------
    JobInputError
        If a line is not JSON, or a field that is named above has another type than FHIR gives it.
    """
    known = pa.array(list(catalogue.channels))
    for file in list_files(path, ".ndjson", ".ndjson.gz"):
        for resources in objects_of(file, _FORMAT):
            with reading(_FORMAT):
                table = pa.array(resources, pa.struct(list(_SCHEMA)))
            yield _rows(pa.RecordBatch.from_struct_array(table), known)


@dataclass(frozen=True)
class _Measured:
    """Codes and quantities, and the resource that each belongs to."""

    codes: pa.Array
    quantities: pa.Array
    owners: Int[np.ndarray, " row"]


def _rows(batch: pa.RecordBatch, known: pa.Array) -> Rows:
    ignored: Counter[str] = Counter()
    batch = _usable_resources(batch, ignored)
    rows = _measured(batch, known)
    moments = _moments(batch)
    is_told = pc.and_(
        pc.is_valid(rows.codes), pc.is_valid(pc.struct_field(rows.quantities, "value"))
    )
    is_told = is_told.to_numpy(zero_copy_only=False)
    has_time = (moments.kinds == TimeKind.INSTANT)[rows.owners]
    ignored["no_known_code_or_quantity"] += int(np.sum(~is_told))
    ignored["no_time_with_offset"] += int(np.sum(is_told & ~has_time))
    chosen = is_told & has_time
    owners, mask = rows.owners[chosen], pa.array(chosen)
    quantities = rows.quantities.filter(mask)
    nothing = pa.nulls(len(owners), pa.string())
    told = Told(
        rows.codes.filter(mask),
        pc.struct_field(quantities, "value"),
        nothing,
        pc.coalesce(pc.struct_field(quantities, "code"), pc.struct_field(quantities, "unit")),
    )
    subjects = pc.struct_field(batch.column("subject"), "reference").take(pa.array(owners))
    return Rows(to_rows(subjects, _take(moments, owners), told), +ignored)


def _usable_resources(batch: pa.RecordBatch, ignored: Counter[str]) -> pa.RecordBatch:
    for column, wanted, reason in (
        ("resourceType", pa.array(["Observation"]), "other_resource"),
        ("status", _USABLE_STATUSES, "status_not_final"),
    ):
        kept = pc.is_in(batch.column(column), value_set=wanted)
        size = batch.num_rows
        batch = batch.filter(kept)
        ignored[reason] += size - batch.num_rows
    return batch


def _measured(batch: pa.RecordBatch, known: pa.Array) -> _Measured:
    """Return the resources' own values, then those of their components.

    A resource that has components and no value of its own is no row.
    """
    own = np.arange(batch.num_rows)
    components = batch.column("component")
    has_components = pc.greater(pc.fill_null(pc.list_value_length(components), 0), 0)
    has_value = pc.is_valid(batch.column("valueQuantity"))
    is_row = pc.or_(has_value, pc.invert(has_components)).to_numpy(zero_copy_only=False)
    parents = pc.list_parent_indices(components).to_numpy()
    parts = pc.list_flatten(components)
    codes = [
        _loinc(batch.column("code"), known).filter(pa.array(is_row)),
        _loinc(pc.struct_field(parts, "code"), known),
    ]
    quantities = [
        batch.column("valueQuantity").filter(pa.array(is_row)),
        pc.struct_field(parts, "valueQuantity"),
    ]
    owners = np.concatenate([own[is_row], parents]).astype(np.int64)
    return _Measured(pa.concat_arrays(codes), pa.concat_arrays(quantities), owners)


def _loinc(concepts: pa.Array, known: pa.Array) -> pa.Array:
    """Return the first known LOINC code of every concept, null where there is none."""
    codings = pc.struct_field(concepts, "coding")
    owners = pc.list_parent_indices(codings).to_numpy()
    codings = pc.list_flatten(codings)
    codes = pc.struct_field(codings, "code")
    is_known: Bool[np.ndarray, " coding"] = pc.and_(
        pc.fill_null(pc.equal(pc.struct_field(codings, "system"), _LOINC), fill_value=False),
        pc.is_in(codes, value_set=known),
    ).to_numpy(zero_copy_only=False)
    places = np.flatnonzero(is_known)
    having, first = np.unique(owners[places], return_index=True)
    found = np.zeros(len(concepts), dtype=np.int64)
    found[having] = places[first]
    is_missing = np.ones(len(concepts), dtype=bool)
    is_missing[having] = False
    return codes.take(pa.array(found, mask=is_missing))


def _moments(batch: pa.RecordBatch) -> Moments:
    return read_moments(
        pc.coalesce(
            batch.column("effectiveDateTime"),
            batch.column("effectiveInstant"),
            pc.struct_field(batch.column("effectivePeriod"), "start"),
        )
    )


def _take(moments: Moments, rows: Int[np.ndarray, " row"]) -> Moments:
    return Moments(moments.kinds[rows], moments.hours[rows], moments.microseconds[rows])
