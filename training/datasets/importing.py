"""From a source to a data set on disk: read in the one room, written as MEDS, with its account.

What a row means and why one is not used is decided in `model.records`, as for a posted series and a
batch job. Here is what an import adds: the catalogue that the data set carries, the numbers of the
subjects, and the report.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Int

from model.data.catalogue import shipped_catalogue
from model.data.series import AT_OR_ABOVE, AT_OR_BELOW
from model.data.variables import Catalogue, Static, Variable
from model.records.clocks import RELATIVE_ANCHOR
from model.records.errors import SourceError
from model.records.labels import Labels
from model.records.reading import ReadingRules, Records, read_records
from model.records.row_columns import RowColumns
from model.records.rows import SCHEMA, TimeKind
from model.records.sources.describing import describe_source
from model.records.sources.opening import open_source
from model.records.sources.options import SourceOptions
from training.datasets.errors import EmptySourceError, OutputInsideSourceError
from training.datasets.import_report import ImportReport, account
from training.datasets.meds import COLUMNS, COMPARATOR, check_replaceable, write_meds
from training.datasets.subject_numbers import subject_numbers


@dataclass(frozen=True)
class ReadSource:
    """All rows of a source, its subjects in order, and what never became a row, by reason."""

    rows: RowColumns
    subject_ids: tuple[str, ...]
    ignored: Mapping[str, int]
    remarks: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What a user says about a source and its variables.

    `catalogue` is the table of variables that the data set will carry; by default those of the
    shipped one that occur. `accepted_units` are units of suspected columns, by variable.
    """

    source: SourceOptions
    catalogue: Catalogue | None = None
    accepted_units: Mapping[str, str] = field(default_factory=dict)


def import_source(
    source: Path, out: Path, options: ImportOptions, *, name: str | None = None
) -> ImportReport:
    """Turn a source into a data set on disk.

    Parameters
    ----------
    name
        Name of the data set; by default that of the source.

    Raises
    ------
    SourceError
        If the source cannot be read.
    DatasetError
        If the source leaves no observation, or `out` holds something else or lies in the source.

    Examples
    --------
    >>> import tempfile
    >>> from model.records.sources.options import SourceFormat
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.csv").write_text("subject_id,time,variable,value\\n1,0.5,HR,80\\n")
    >>> options = ImportOptions(source=SourceOptions(format=SourceFormat.CSV))
    >>> import_source(folder / "a.csv", folder / "data", options).num_observations
    1
    """
    started = time.perf_counter()
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise OutputInsideSourceError(
            "OUT lies inside the source, so that the next import would read it as input; choose "
            "another OUT"
        )
    check_replaceable(out)
    if not source.exists():
        raise SourceError(f"{source.name}: there is no such file or folder")
    catalogue = shipped_catalogue() if options.catalogue is None else options.catalogue
    read = read_source(source, options.source, catalogue)
    rules = ReadingRules(accepted_units=options.accepted_units)
    records = read_records(read.rows, read.subject_ids, catalogue, rules)
    report = account(
        read,
        records,
        catalogue,
        description=describe_source(source, options.source).lines(),
        source=options.source.format,
        seconds=round(time.perf_counter() - started, 3),
    )
    if records.num_observations == 0:
        raise EmptySourceError("\n".join([f"{source}: no observation is left", *report.lines()]))
    table = _table(read, records, catalogue)
    if options.catalogue is None:
        catalogue = catalogue.only(set(table["code"].unique()))
    is_relative = records.clocks.kind is TimeKind.HOURS
    numbers = subject_numbers(read.subject_ids)
    named = zip(numbers.tolist(), read.subject_ids, strict=True)
    write_meds(
        out,
        table,
        name=name or source.resolve().name.split(".")[0],
        anchor=RELATIVE_ANCHOR if is_relative else None,
        catalogue=catalogue,
        report=report,
        subject_names=tuple((number, text) for number, text in named if text != str(number)),
    )
    return report


def read_source(source: Path, options: SourceOptions, catalogue: Catalogue) -> ReadSource:
    """Read all rows of a source.

    Raises
    ------
    SourceError
        If it cannot be read.
    """
    batches, ignored, remarks = [], Counter[str](), Counter[str]()
    for one in open_source(source, options, catalogue):
        batches.append(one.batch)
        ignored.update(one.ignored)
        remarks.update(one.remarks)
    table = pa.Table.from_batches(batches, SCHEMA)
    found = Labels.of(table.column("subject_id"))
    ids = tuple(sorted(found.names))
    places = {subject_id: place for place, subject_id in enumerate(ids)}
    subjects = np.array([places[name] for name in found.names], dtype=np.int64)[found.codes]
    return ReadSource(RowColumns.of(table, subjects, len(ids)), ids, ignored, remarks)


def _table(read: ReadSource, records: Records, catalogue: Catalogue) -> pd.DataFrame:
    """Lay out one table: by subject, the statics first, then by time and channel."""
    cohort, clocks = records.cohort, records.clocks
    owners = cohort.series_indices
    moments = clocks.microseconds(owners, cohort.times_hours)
    if clocks.kind is TimeKind.HOURS:
        moments = moments + np.datetime64(RELATIVE_ANCHOR.replace(tzinfo=None), "us").astype(int)
    # The first piece of a subject has the descriptors at its first observation.
    _, firsts = np.unique(records.piece_subjects, return_index=True)
    own_statics = cohort.statics[firsts]
    rows, positions = np.nonzero(~np.isnan(own_statics))
    nat = np.full(len(rows), np.iinfo(np.int64).min)
    numbers = subject_numbers(read.subject_ids)
    subjects = np.concatenate(
        [records.piece_subjects[firsts][rows], records.piece_subjects[owners]]
    )
    codes = np.concatenate([positions + len(catalogue), cohort.channels])
    values = np.concatenate([own_statics[rows, positions], cohort.values]).astype(np.float32)
    # Two sorted runs, statics and observations: a stable sort by subject puts one into the other.
    order = np.argsort(numbers[subjects], kind="stable")
    codes = codes[order]
    described: list[Variable | Static] = [*catalogue.variables, *catalogue.statics]
    columns: tuple[object, ...] = (
        numbers[subjects][order],
        np.concatenate([nat, moments])[order].view("datetime64[us]"),
        _texts([item.name for item in described], codes),
        values[order],
        _texts([item.unit for item in described], codes),
    )
    table = pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))
    if cohort.censoring.any():
        sides = np.concatenate([np.zeros(len(rows), dtype=np.int8), cohort.censoring])[order]
        places = np.where(sides == AT_OR_BELOW, 0, np.where(sides == AT_OR_ABOVE, 1, -1))
        table[COMPARATOR] = _texts(["<", ">"], places)
    return table


def _texts(names: Sequence[str], codes: Int[np.ndarray, " row"]) -> pd.Categorical:
    """Return the name of each row, as a column that holds every name once; -1 is none."""
    distinct = list(dict.fromkeys(names))
    places = np.array([*(distinct.index(name) for name in names), -1])
    return pd.Categorical.from_codes(places[codes], distinct)
