"""Every kind of source by its name on the command line: read, clean, write, report."""

import time
from pathlib import Path

from model.data.catalogue import shipped_catalogue
from model.data.variables import Catalogue
from training.datasets.codes import NO_MAP, CodeMap, read_code_map
from training.datasets.errors import DatasetError, EmptySourceError, SourceFormatError
from training.datasets.external_meds import read_external_meds
from training.datasets.import_report import ImportReport
from training.datasets.importing import import_table
from training.datasets.meds import check_replaceable, write_meds
from training.datasets.physionet2012 import read_physionet2012
from training.datasets.raw_table import RELATIVE_ANCHOR, RawTable
from training.datasets.table import DEFAULT_COLUMNS, TableColumns, TimeFormat, read_table

KINDS = ("physionet2012", "meds", "table")


def import_source(
    kind: str,
    source: Path,
    out: Path,
    *,
    name: str | None = None,
    code_map: Path | None = None,
    columns: TableColumns = DEFAULT_COLUMNS,
    time_format: TimeFormat = TimeFormat.AUTO,
    catalogue: Catalogue | None = None,
) -> ImportReport:
    """Turn a source into a data set on disk.

    Parameters
    ----------
    kind
        One of `KINDS`.
    name
        Name of the data set; by default that of the source.
    code_map
        CSV file `code,variable,unit` for codes that the catalogue does not know.
    columns, time_format
        For kind `table`.

    Raises
    ------
    DatasetError
        If the source cannot be read, leaves no observation, or `out` holds something else.
    """
    catalogue = shipped_catalogue() if catalogue is None else catalogue
    started = time.perf_counter()
    check_replaceable(out)
    if not source.exists():
        raise SourceFormatError(f"{source}: there is no such file or folder")
    mapped = NO_MAP if code_map is None else read_code_map(code_map, catalogue)
    raw = _read(kind, source, mapped, columns, TimeFormat(time_format), catalogue)
    imported = import_table(raw, catalogue=catalogue, code_map=mapped, started=started)
    report = imported.report
    if report.kept_observations == 0:
        raise EmptySourceError("\n".join([f"{source}: no observation is left", *report.lines()]))
    named = zip(raw.subjects.tolist(), raw.subject_names or (), strict=False)
    write_meds(
        out,
        imported.table,
        name=name or source.resolve().name.split(".")[0],
        anchor=RELATIVE_ANCHOR if raw.is_relative else None,
        report=report,
        subject_names=tuple((number, name) for number, name in named if name != str(number)),
        catalogue=catalogue,
    )
    return report


def _read(
    kind: str,
    source: Path,
    code_map: CodeMap,
    columns: TableColumns,
    time_format: TimeFormat,
    catalogue: Catalogue,
) -> RawTable:
    match kind:
        case "physionet2012":
            return read_physionet2012(source)
        case "meds":
            return read_external_meds(source, code_map=code_map, catalogue=catalogue)
        case "table":
            return read_table(
                source,
                columns=columns,
                time_format=time_format,
                catalogue=catalogue,
                code_map=code_map,
            )
    raise DatasetError(f"unknown kind of source {kind!r}; expected one of: {', '.join(KINDS)}")
