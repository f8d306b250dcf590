"""Reader of the PhysioNet / Computing in Cardiology Challenge 2012 in its own text files.

One file a stay, `132539.txt`, with the lines `Time,Parameter,Value` and times `HH:MM` since
admission. Silva et al. 2012, Comput Cardiol 39:245-248,
https://physionet.org/content/challenge-2012/1.0.0/. The values of all parameters are in the
catalogue's units; the challenge's page says mmol/L for magnesium, but its values are mg/dL.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from jaxtyping import Bool, Float, Int

from model.data.catalogue import shipped_catalogue
from model.data.cleaning import Drop
from training.datasets.errors import SourceFormatError
from training.datasets.raw_table import Labels, RawTable
from training.datasets.statics import UNKNOWN_SENTINEL

_HEADER = b"Time,Parameter,Value"
_COLUMNS = ("Time", "Parameter", "Value")
_IDENTIFIER = "RecordID"
_WEIGHT = "Weight"
_STATIC_NAMES = {
    "Age": "age_years",
    "Gender": "sex",  # 0 female, 1 male: the order of the catalogue's categories
    "Height": "height_cm",
    "ICUType": "icu_type",  # 1 to 4; the catalogue counts its categories from 0
}
_TIME = re.compile(r"([0-9]{1,3}):([0-5][0-9])")


@dataclass(frozen=True)
class _Lines:
    """The lines of all files that have three fields, in order: the file of each, and its fields."""

    files: Int[np.ndarray, " line"]
    times_hours: Float[np.ndarray, " line"]
    parameters: Labels
    values: Float[np.ndarray, " line"]
    malformed: int


def read_physionet2012(directory: Path) -> RawTable:
    """Read all stays of a folder that holds `set-a` and other sets, or the text files themselves.

    RecordID lines are identifiers. Age, Gender, Height, ICUType and the first Weight at 00:00 of a
    stay become statics; every other Weight belongs to the series.

    Raises
    ------
    SourceFormatError
        If there is no such file, or one is not of this format; the message names the file.
    """
    paths = _stay_files(directory)
    records = np.array([int(path.stem) for path in paths], dtype=np.int64)
    lines = _parse(paths)
    code = {name: position for position, name in enumerate(lines.parameters.names)}
    is_identifier = lines.parameters.codes == code.get(_IDENTIFIER, -2)
    _check_identifiers(lines, is_identifier, records, paths)
    is_weight = lines.parameters.codes == code.get(_WEIGHT, -2)
    is_descriptor = _first_of_stay(lines, is_weight & (lines.times_hours == 0))
    is_unknown = is_weight & ~is_descriptor & (lines.values == UNKNOWN_SENTINEL)
    rows = np.flatnonzero(~is_identifier & ~is_unknown)
    names = _names(lines.parameters, is_descriptor)
    return RawTable(
        source="physionet2012",
        num_files=len(paths),
        subjects=records,
        subject_ids=records[lines.files[rows]],
        times=lines.times_hours[rows],
        names=names.take(rows),
        values=_icu_types_from_zero(lines.values, lines.parameters, code.get("ICUType", -2))[rows],
        units=_units(names).take(rows),
        identifier_rows=int(is_identifier.sum()),
        drops=(
            Drop("malformed_row", "", lines.malformed),
            Drop("unknown_sentinel", _WEIGHT, int(is_unknown.sum())),
        ),
    )


def _stay_files(directory: Path) -> list[Path]:
    """List the text files in the order of their record numbers."""
    folders = sorted(directory.glob("set-[abc]")) or [directory]
    paths = [path for folder in folders for path in folder.glob("*.txt")]
    paths = [path for path in paths if not path.name.startswith("Outcomes")]
    if not paths:
        raise SourceFormatError(
            f"{directory}: no text files of the PhysioNet 2012 challenge; expected folders set-a "
            "or set-b with files such as 132539.txt, or these files"
        )
    seen: dict[int, Path] = {}
    for path in paths:
        if not (path.stem.isascii() and path.stem.isdigit()):
            raise SourceFormatError(f"{path}: expected a record number as file name, as 132539.txt")
        if int(path.stem) in seen:
            raise SourceFormatError(f"{path}: the same record as {seen[int(path.stem)]}")
        seen[int(path.stem)] = path
    return [seen[record] for record in sorted(seen)]


def _parse(paths: Sequence[Path]) -> _Lines:
    """Parse the joined bodies of all files in one pass."""
    bodies = [_body(path) for path in paths]
    counts = np.array([body.count(b"\n") for body in bodies])
    malformed: list[int] = []

    def note(row: pyarrow.csv.InvalidRow) -> str:
        malformed.append(row.number)
        return "skip"

    text = pa.dictionary(pa.int32(), pa.string())
    table = pyarrow.csv.read_csv(
        pa.BufferReader(b"".join([_HEADER, b"\n", *bodies])),
        # Only a reader with one thread numbers the rows that it skips.
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=1 << 24),
        parse_options=pyarrow.csv.ParseOptions(
            quote_char=False, ignore_empty_lines=False, invalid_row_handler=note
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            check_utf8=False, column_types=dict.fromkeys(_COLUMNS, text)
        ),
    )
    # Rows are numbered from 1, and the first is the header.
    line_numbers = np.delete(np.arange(counts.sum()), np.array(malformed, dtype=np.int64) - 2)
    files = np.searchsorted(np.cumsum(counts), line_numbers, side="right")
    times, parameters, values = (Labels.encode(table.column(name)) for name in _COLUMNS)
    filled = (times.codes >= 0) | (parameters.codes >= 0) | (values.codes >= 0)
    return _Lines(
        files[filled],
        _hours(times.take(filled)),
        parameters.take(filled),
        values.take(filled).numbers(),
        len(malformed) + int(np.sum(~filled)),
    )


def _body(path: Path) -> bytes:
    """Return a file without its header, every line ended by one newline."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceFormatError(f"{path}: cannot be read: {error.strerror}") from error
    content = content.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    header, _, body = content.partition(b"\n")
    if header.strip() != _HEADER:
        raise SourceFormatError(
            f"{path}: the first line is not {_HEADER.decode()!r}; "
            "this is no record of the PhysioNet 2012 challenge"
        )
    return body if body.endswith(b"\n") or not body else body + b"\n"


def _hours(times: Labels) -> Float[np.ndarray, " line"]:
    """Read HH:MM, once for each distinct text; NaN where it is something else."""
    matches = [_TIME.fullmatch(name) for name in times.names]
    hours = [int(m[1]) + int(m[2]) / 60 if m else np.nan for m in matches]
    return np.asarray(np.array([*hours, np.nan])[times.codes])


def _check_identifiers(
    lines: _Lines,
    is_identifier: Bool[np.ndarray, " line"],
    records: Int[np.ndarray, " file"],
    paths: Sequence[Path],
) -> None:
    files = lines.files[is_identifier]
    wrong = np.flatnonzero(lines.values[is_identifier] != records[files])
    if len(wrong):
        raise SourceFormatError(
            f"{paths[files[wrong[0]]]}: its {_IDENTIFIER} is not the number in the file name"
        )


def _first_of_stay(lines: _Lines, chosen: Bool[np.ndarray, " line"]) -> Bool[np.ndarray, " line"]:
    """Return where the first chosen line of each file is."""
    rows = np.flatnonzero(chosen)
    _, first = np.unique(lines.files[rows], return_index=True)
    is_first = np.zeros(len(chosen), dtype=bool)
    is_first[rows[first]] = True
    return is_first


def _names(parameters: Labels, is_descriptor: Bool[np.ndarray, " line"]) -> Labels:
    """Name the statics as the catalogue does, the descriptor Weight among them."""
    names = [*(_STATIC_NAMES.get(name, name) for name in parameters.names), "weight_kg"]
    codes = np.where(is_descriptor, len(names) - 1, parameters.codes)
    return Labels(codes, tuple(names))


def _units(names: Labels) -> Labels:
    catalogue = shipped_catalogue()
    known = {variable.name: variable.unit for variable in catalogue}
    known |= {static.name: static.unit for static in catalogue.statics}
    return names.rename([known.get(name) for name in names.names])


def _icu_types_from_zero(
    values: Float[np.ndarray, " line"], parameters: Labels, icu_code: int
) -> Float[np.ndarray, " line"]:
    shifted = np.where(
        values >= 1, values - 1, np.where(values == UNKNOWN_SENTINEL, values, np.nan)
    )
    return np.where(parameters.codes == icu_code, shifted, values)
