"""Opening a source: the reader of its format, the user's code map, and rows that name nobody."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import pyarrow.compute as pc

from model.data.reasons import Reason
from model.data.variables import Catalogue
from model.records.codes import apply_codes
from model.records.rows import RowBatch
from model.records.sources.challenge import read_challenge
from model.records.sources.fhir import read_fhir
from model.records.sources.files import endings_of, list_files, reading, table_format
from model.records.sources.layouts import LongLayout, WideLayout, layout_of
from model.records.sources.long_table import read_long
from model.records.sources.meds import read_meds
from model.records.sources.omop import read_omop
from model.records.sources.options import SourceFormat, SourceOptions
from model.records.sources.tables import Table, open_table
from model.records.sources.wide_table import read_wide

Reader = Callable[[Path, SourceOptions, Catalogue], Iterator[RowBatch]]
MISSING_SUBJECT: Final = Reason.MISSING_SUBJECT.code

_READERS: Final[Mapping[SourceFormat, Reader]] = {
    SourceFormat.FHIR: read_fhir,
    SourceFormat.MEDS: read_meds,
    SourceFormat.OMOP: read_omop,
    SourceFormat.PHYSIONET2012: read_challenge,
}


def open_source(
    path: Path, options: SourceOptions, catalogue: Catalogue, *, is_query: bool = False
) -> Iterator[RowBatch]:
    """Stream the rows of a file or of a folder of files.

    Parameters
    ----------
    is_query
        For a table of query times (`subject_id` and `time`), whatever the format of the records.

    Raises
    ------
    SourceError
        If it cannot be read, or lacks a column.

    Examples
    --------
    >>> import tempfile
    >>> from model.data.variables import Catalogue
    >>> path = Path(tempfile.mkdtemp()) / "a.csv"
    >>> _ = path.write_text("subject_id,time,variable,value\\n1,0.5,HR,80\\n,1,HR,90\\n")
    >>> options = SourceOptions(format=SourceFormat.CSV)
    >>> [(one.batch.num_rows, dict(one.ignored))
    ...  for one in open_source(path, options, Catalogue((), ()))]
    [(1, {'missing_subject': 1})]
    """
    knows = _knows(catalogue)
    for rows in _read(path, options, catalogue, is_query=is_query):
        batch = rows.batch if is_query else apply_codes(rows.batch, options.codes, knows)
        subjects, owned = batch.column("subject_id"), batch
        if subjects.null_count:
            owned = batch.filter(pc.is_valid(subjects))
        missing = Counter({MISSING_SUBJECT: batch.num_rows - owned.num_rows})
        yield RowBatch(owned, dict(+(Counter(rows.ignored) + missing)), rows.remarks)


def _knows(catalogue: Catalogue) -> Callable[[str], bool]:
    # Many files of one source have the same columns.
    return cache(
        lambda name: (
            catalogue.find(name) is not None
            or catalogue.find_static(name) is not None
            or catalogue.find_untrained(name) is not None
        )
    )


def _read_tables(
    path: Path, options: SourceOptions, catalogue: Catalogue, *, is_query: bool
) -> Iterator[RowBatch]:
    listing = list_files(path, endings_of(options.format), what=options.format.label)
    knows = _knows(catalogue)

    @cache
    def layout_of_columns(columns: tuple[str, ...]) -> LongLayout | WideLayout:
        return layout_of(
            columns,
            options,
            is_query=is_query,
            knows=knows,
            is_static=lambda name: catalogue.find_static(name) is not None,
        )

    for file in listing.files:
        with reading(file, options.format.label):
            for table in open_table(file, options):
                yield from _rows_of(table, layout_of_columns(table.columns), options)


def _rows_of(
    table: Table, layout: LongLayout | WideLayout, options: SourceOptions
) -> Iterator[RowBatch]:
    for piece in table.stream(layout.wanted):
        if isinstance(layout, LongLayout):
            yield read_long(piece, layout, options, decimal_mark=table.decimal_mark)
        else:
            yield read_wide(
                piece, layout, options, file=table.file, decimal_mark=table.decimal_mark
            )


def _read(
    path: Path, options: SourceOptions, catalogue: Catalogue, *, is_query: bool
) -> Iterator[RowBatch]:
    if is_query and not options.format.is_table:
        # No record asks for times: a table does.
        options = SourceOptions(
            format=table_format(path), columns=options.columns, time=options.time
        )
    if options.format.is_table:
        return _read_tables(path, options, catalogue, is_query=is_query)
    return _READERS[options.format](path, options, catalogue)
