"""The PhysioNet / Computing in Cardiology Challenge 2012 in its own text files.

One file a stay, `132539.txt`, with the lines `Time,Parameter,Value` and times `HH:MM` since
admission. Silva et al. 2012, Comput Cardiol 39:245-248,
https://physionet.org/content/challenge-2012/1.0.0/. The challenge's page says mmol/L for magnesium,
but its values are mg/dL; the units below are those of the values.

`RecordID` identifies. `Age`, `Gender`, `Height`, `ICUType` and the first `Weight` at 00:00 of a stay
describe the patient; every other `Weight` belongs to the series. -1 is "not known".
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from jaxtyping import Bool, Float, Int, Integer

from model.data.variables import Catalogue
from model.records.comparators import FLAG_IGNORED, MEASURED, Values, numbers_in, plain, read_values
from model.records.errors import SourceError
from model.records.labels import Labels
from model.records.persons import FEMALE, MALE, SEX
from model.records.rows import RowBatch, TimeKind, row_batch
from model.records.sources.files import shown
from model.records.sources.not_rows import IDENTIFIER, MALFORMED_ROW, UNKNOWN_SENTINEL
from model.records.sources.options import SourceOptions

_HEADER: Final = b"Time,Parameter,Value"
_COLUMNS: Final = ("Time", "Parameter", "Value")
_RECORD: Final = "RecordID"
_WEIGHT: Final = "Weight"
_SENTINEL: Final = -1.0
_STAYS_PER_BATCH: Final = 1_000
_TIME: Final = re.compile(r"([0-9]{1,3}):([0-5][0-9])")

_STATICS: Final = {"Age": "age_years", "Gender": SEX, "Height": "height_cm", "ICUType": "icu_type"}
_WEIGHT_STATIC: Final = "weight_kg"
_CATEGORIES: Final = {
    "Gender": {0.0: FEMALE, 1.0: MALE},
    "ICUType": {1.0: "coronary", 2.0: "cardiac_surgery", 3.0: "medical", 4.0: "surgical"},
}

# fmt: off
UNITS: Final = MappingProxyType({
    "Albumin": "g/dL", "ALP": "U/L", "ALT": "U/L", "AST": "U/L", "Bilirubin": "mg/dL",
    "BUN": "mg/dL", "Cholesterol": "mg/dL", "Creatinine": "mg/dL", "DiasABP": "mm[Hg]",
    "FiO2": "1", "GCS": "{score}", "Glucose": "mg/dL", "HCO3": "mmol/L", "HCT": "%", "HR": "/min",
    "K": "mmol/L", "Lactate": "mmol/L", "Mg": "mg/dL", "MAP": "mm[Hg]", "MechVent": "1",
    "Na": "mmol/L", "NIDiasABP": "mm[Hg]", "NIMAP": "mm[Hg]", "NISysABP": "mm[Hg]",
    "PaCO2": "mm[Hg]", "PaO2": "mm[Hg]", "pH": "[pH]", "Platelets": "10*3/uL", "RespRate": "/min",
    "SaO2": "%", "SysABP": "mm[Hg]", "Temp": "Cel", "TroponinI": "ug/L", "TroponinT": "ug/L",
    "Urine": "mL", "WBC": "10*3/uL", "Weight": "kg",
    "age_years": "a", SEX: "1", "height_cm": "cm", "icu_type": "1", "weight_kg": "kg",
})
# fmt: on
"""The unit of the values of every variable and static, by name."""


@dataclass(frozen=True)
class Lines:
    """The lines of some files that have three fields, in order: the file of each, and its fields.

    Nothing is judged: a pH of 735 and an unknown height of -1 are among them. The published
    benchmarks of these records begin here.
    """

    files: Int[np.ndarray, " line"]
    kinds: Integer[np.ndarray, " line"]
    hours: Float[np.ndarray, " line"]
    parameters: Labels
    values: Values
    num_malformed: int

    def are(self, parameter: str) -> Bool[np.ndarray, " line"]:
        """Return where a parameter stands."""
        return self.parameters.where(lambda name: name == parameter)


def read_challenge(path: Path, options: SourceOptions, catalogue: Catalogue) -> Iterator[RowBatch]:
    """Read all stays of a folder that holds `set-a` and other sets, or the text files themselves.

    Parameters
    ----------
    options, catalogue
        Of no use here: these files have one form, and their own names.

    Raises
    ------
    SourceError
        If there is no such file, or one is not of this format; the message names the file.

    Examples
    --------
    >>> import tempfile
    >>> from model.records.sources.options import SourceFormat
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "132539.txt").write_text("Time,Parameter,Value\\n00:30,HR,92\\n")
    >>> options = SourceOptions(format=SourceFormat.PHYSIONET2012)
    >>> [read] = read_challenge(folder, options, Catalogue((), ()))
    >>> read.batch.select(["subject_id", "hours", "variable", "value"]).to_pylist()
    [{'subject_id': '132539', 'hours': 0.5, 'variable': 'HR', 'value': 92.0}]
    """
    del options, catalogue
    files = _stay_files(path)
    for start in range(0, len(files), _STAYS_PER_BATCH):
        yield _rows(files[start : start + _STAYS_PER_BATCH])


def read_lines(path: Path) -> tuple[list[int], Lines]:
    """Return the record numbers of all stays, in order, and their lines as they are written.

    Raises
    ------
    SourceError
        As for `read_challenge`.
    """
    files = _stay_files(path)
    return [int(file.stem) for file in files], _parse(files)


def _stay_files(path: Path) -> list[Path]:
    """List the text files in the order of their record numbers."""
    folders = sorted(path.glob("set-[abc]")) or [path]
    files = [path] if path.is_file() else [file for one in folders for file in one.glob("*.txt")]
    files = [file for file in files if not file.name.startswith(("Outcomes", ".", "_"))]
    if not files:
        raise SourceError(
            "no text files of the PhysioNet 2012 challenge; expected folders set-a or set-b with "
            "files such as 132539.txt, or these files",
            name=shown(path),
        )
    seen: dict[int, Path] = {}
    for file in files:
        if not (file.stem.isascii() and file.stem.isdigit() and len(file.stem) < 19):
            raise SourceError(
                "expected a record number as file name, as 132539.txt", name=shown(file)
            )
        if int(file.stem) in seen:
            raise SourceError("the same record stands in two files", name=shown(file))
        seen[int(file.stem)] = file
    return [seen[record] for record in sorted(seen)]


def _rows(files: Sequence[Path]) -> RowBatch:
    lines = _parse(files)
    is_identifier = lines.are(_RECORD)
    _check_identifiers(lines, is_identifier, files)
    is_weight = lines.are(_WEIGHT)
    at_admission = (lines.kinds == TimeKind.HOURS) & (lines.hours == 0)
    is_descriptor = first_of_stay(lines, is_weight & at_admission)
    is_unknown = is_weight & ~is_descriptor & (lines.values.numbers == _SENTINEL)
    is_row = ~is_identifier & ~is_unknown
    names = _names(lines.parameters, is_descriptor)
    is_static = is_descriptor | lines.parameters.where(lambda name: name in _STATICS)
    words, numbers = _categories(lines)
    records = pa.array([str(int(file.stem)) for file in files], pa.string())
    rows = np.flatnonzero(is_row)
    names, words, is_static = names.take(rows), words.take(rows), is_static[rows]
    kinds = np.where(is_static, np.uint8(TimeKind.MISSING), lines.kinds[rows])
    columns = {
        "subject_id": records.take(pa.array(lines.files[rows])),
        "time_kind": pa.array(kinds),
        "hours": pa.array(np.where(is_static, 0.0, lines.hours[rows])),
        "variable": _texts(names, names.names),
        "value": pa.array(numbers[rows]),
        "comparator": pa.array(lines.values.comparators[rows]),
        "text": pc.coalesce(_texts(words, words.names), lines.values.texts.take(pa.array(rows))),
        "unit": _texts(names, [UNITS.get(name) for name in names.names]),
    }
    ignored = Counter(
        {
            IDENTIFIER: int(is_identifier.sum()),
            UNKNOWN_SENTINEL: int(is_unknown.sum()),
            MALFORMED_ROW: lines.num_malformed,
        }
    )
    return row_batch(columns, ignored=ignored, remarks={FLAG_IGNORED: lines.values.num_flags})


def _parse(files: Sequence[Path]) -> Lines:
    """Parse the joined bodies of some files in one pass."""
    bodies = [_body(file) for file in files]
    counts = np.array([body.count(b"\n") for body in bodies])
    malformed: list[int] = []

    def note(row: pyarrow.csv.InvalidRow) -> str:
        malformed.append(row.number)
        return "skip"

    text = pa.dictionary(pa.int32(), pa.binary())
    table = pyarrow.csv.read_csv(
        pa.BufferReader(b"".join([_HEADER, b"\n", *bodies])),
        # Only a reader with one thread numbers the rows that it skips.
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=1 << 24),
        parse_options=pyarrow.csv.ParseOptions(
            quote_char=False, ignore_empty_lines=False, invalid_row_handler=note
        ),
        convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(_COLUMNS, text)),
    )
    # Rows are numbered from 1, and the first is the header.
    line_numbers = np.delete(np.arange(counts.sum()), np.array(malformed, dtype=np.int64) - 2)
    owners = np.searchsorted(np.cumsum(counts), line_numbers, side="right")
    times, parameters, values = (_encoded(table.column(name)) for name in _COLUMNS)
    filled = (times.codes >= 0) | (parameters.codes >= 0) | (values.codes >= 0)
    kinds, hours = _hours(times.take(filled))
    return Lines(
        owners[filled],
        kinds,
        hours,
        parameters.take(filled),
        _values(values.take(filled)),
        len(malformed) + int(np.sum(~filled)),
    )


def _body(file: Path) -> bytes:
    """Return a file without its header, every line ended by one newline."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise SourceError("it cannot be read", name=shown(file)) from error
    content = content.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    header, _, body = content.partition(b"\n")
    if header.strip() != _HEADER:
        raise SourceError(
            f"the first line is not {_HEADER.decode()!r}; this is no record of the PhysioNet 2012 "
            "challenge",
            name=shown(file),
        )
    return body if body.endswith(b"\n") or not body else body + b"\n"


def _encoded(column: pa.ChunkedArray) -> Labels:
    """Return a column of few distinct texts; blanks around them are none of it."""
    encoded = column.unify_dictionaries().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0) if encoded.num_chunks else column.type
    texts = [text and text.strip() for text in plain(encoded.dictionary).to_pylist()]
    distinct = {text: code for code, text in enumerate(dict.fromkeys(t for t in texts if t))}
    recode = np.array([distinct.get(text, -1) for text in texts] + [-1], dtype=np.int64)
    codes = pc.fill_null(encoded.indices, len(texts)).to_numpy(zero_copy_only=False)
    return Labels(recode[codes], tuple(distinct))


def _hours(times: Labels) -> tuple[Integer[np.ndarray, " line"], Float[np.ndarray, " line"]]:
    """Read HH:MM, once for each distinct text."""
    matches = [_TIME.fullmatch(name) for name in times.names]
    hours = [int(m[1]) + int(m[2]) / 60 if m else 0.0 for m in matches]
    kinds = [TimeKind.HOURS if m else TimeKind.INVALID for m in matches]
    return (
        np.array([*kinds, TimeKind.MISSING], dtype=np.uint8)[times.codes],
        np.array([*hours, 0.0])[times.codes],
    )


def _values(labels: Labels) -> Values:
    """Read each distinct text once."""
    distinct = pa.array(labels.names, pa.string())
    read = read_values(distinct)
    is_flagged = ~np.isnan(read.numbers) & (read.comparators == MEASURED)
    is_flagged &= np.isnan(numbers_in(distinct))
    num_flags = int(np.array([*is_flagged, False])[labels.codes].sum())
    texts = read.texts.take(pa.array(labels.codes, mask=labels.codes < 0))
    numbers = np.array([*read.numbers, np.nan])[labels.codes]
    sides = np.array([*read.comparators, 0], dtype=np.int8)[labels.codes]
    return Values(numbers, sides, texts, num_flags)


def _check_identifiers(
    lines: Lines, is_identifier: Bool[np.ndarray, " line"], files: Sequence[Path]
) -> None:
    records = np.array([float(file.stem) for file in files])
    owners = lines.files[is_identifier]
    wrong = np.flatnonzero(lines.values.numbers[is_identifier] != records[owners])
    if len(wrong):
        raise SourceError(
            f"its {_RECORD} is not the number in the file name", name=shown(files[owners[wrong[0]]])
        )


def first_of_stay(lines: Lines, chosen: Bool[np.ndarray, " line"]) -> Bool[np.ndarray, " line"]:
    """Return where the first chosen line of each file is."""
    rows = np.flatnonzero(chosen)
    _, first = np.unique(lines.files[rows], return_index=True)
    is_first = np.zeros(len(chosen), dtype=bool)
    is_first[rows[first]] = True
    return is_first


def _names(parameters: Labels, is_descriptor: Bool[np.ndarray, " line"]) -> Labels:
    """Name the statics as the shipped catalogue does, the descriptor Weight among them."""
    names = [*(_STATICS.get(name, name) for name in parameters.names), _WEIGHT_STATIC]
    return Labels(np.where(is_descriptor, len(names) - 1, parameters.codes), tuple(names))


def _categories(lines: Lines) -> tuple[Labels, Float[np.ndarray, " line"]]:
    """Return the word of a category, nothing elsewhere; and the values without its number.

    A number that is no category is infinite, so that it is not taken for the position of one.
    """
    codes, names = np.full(len(lines.files), -1), list[str]()
    numbers = lines.values.numbers.copy()
    for parameter, known in _CATEGORIES.items():
        rows = np.flatnonzero(lines.are(parameter) & ~np.isnan(numbers))
        own = lines.values.numbers[rows]
        numbers[rows[own != _SENTINEL]] = np.inf
        for number, word in known.items():
            is_this = rows[own == number]
            codes[is_this], numbers[is_this] = len(names), np.nan
            names.append(word)
    return Labels(codes, tuple(names)), numbers


def _texts(labels: Labels, found: Sequence[str | None]) -> pa.Array:
    return pa.array(found, pa.string()).take(pa.array(labels.codes, mask=labels.codes < 0))
