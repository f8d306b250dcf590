import bz2
import gzip
import lzma
from pathlib import Path

import pytest

from model.records.errors import SourceError
from model.records.sources.dialects import find_dialect
from model.records.sources.encodings import encoding_of
from tests.model.records.sources.reading import read, write

LONG = "subject_id,time,variable,value,note\n1,0.5,HR,80.5,Größe µ\n2,1.5,K,4.1,b\n"
EXCEL = LONG.replace(",", ";").replace("0.5", "0,5").replace("1.5", "1,5").replace("4.1", "4,1")


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8"),
        ("utf-16", "UTF-16-LE"),
        ("utf-16-le", "UTF-16-LE"),
        ("utf-16-be", "UTF-16-BE"),
        ("cp1252", "Windows-1252"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("text", [LONG, EXCEL])
def test_every_encoding_and_end_of_line_gives_the_same_rows(
    tmp_path: Path, encoding: str, name: str, end: str, text: str
) -> None:
    plain = read(write(tmp_path / "plain.csv", LONG))
    path = write(tmp_path / "a.csv", text.replace("\n", end), encoding)
    assert str(find_dialect(path)).startswith(name)
    found = read(path)
    assert found.ignored == {}
    if text == LONG:
        assert found.sorted() == plain.sorted()
    assert found.column("hours") == [0.5, 1.5]
    assert found.column("variable") == ["HR", "K"]


@pytest.mark.parametrize(
    ("delimiter", "name"), [(",", "comma"), (";", "semicolon"), ("\t", "tab"), ("|", "bar")]
)
def test_the_delimiter_is_told_by_the_header(tmp_path: Path, delimiter: str, name: str) -> None:
    path = write(tmp_path / "a.txt", LONG.replace(",", delimiter))
    assert str(find_dialect(path)) == f"UTF-8, {name}"
    assert read(path).sorted() == read(write(tmp_path / "b.csv", LONG)).sorted()


def test_sloppy_quotes_among_proper_ones_lose_no_row(tmp_path: Path) -> None:
    rows = '"1","0","HR","80","he said "fine" to me"\n"1","1","HR","81",""\n'
    found = read(
        write(tmp_path / "a.csv", '"subject_id","time","variable","value","note"\n' + rows)
    )
    assert (found.column("value"), found.ignored) == ([80.0, 81.0], {})


@pytest.mark.parametrize("opener", [gzip.open, bz2.open, lzma.open])
def test_a_compression_is_told_by_its_bytes(tmp_path: Path, opener: object) -> None:
    path = tmp_path / "upload.csv"
    with opener(path, "wb") as opened:  # type: ignore[operator]
        opened.write(LONG.encode())
    assert read(path).table.num_rows == 2


def test_the_decimal_mark_is_a_comma_where_the_numbers_show_it(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.csv", EXCEL.replace("80,5", "1.080,5")))
    assert found.column("value") == [1080.5, 4.1]


def test_a_limit_shows_the_decimal_mark_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "subject_id;time;variable;value\n1;1;TropT;<0,01\n")
    found = read(path)
    assert (found.column("value"), found.column("comparator")) == ([0.01], [-1])


def test_a_decimal_comma_that_comes_late_is_found(tmp_path: Path) -> None:
    rows = "1;1;HR;80\n" * 60_000 + "1;2;K;4,5\n"
    found = read(write(tmp_path / "a.csv", "subject_id;time;variable;value\n" + rows))
    assert found.column("value")[-1] == 4.5


def test_excel_says_its_delimiter_in_a_line_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "sep=;\r\n" + EXCEL.replace("\n", "\r\n"), "utf-16")
    assert read(path).table.num_rows == 2


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.csv", "\n\n" + LONG.replace("\n", "\n\n")))
    assert (found.table.num_rows, found.ignored) == (2, {})


def test_quoted_names_hold_delimiters_and_ends_of_line(tmp_path: Path) -> None:
    header = 'subject_id,time,"K,\nserum"\n'
    found = read(write(tmp_path / "a.csv", header + "1,0,4\n"))
    assert found.column("variable") == ["K,\nserum"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_quoted_ends_of_line_make_no_rows(tmp_path: Path, end: str) -> None:
    lines = [f'{i % 50},{i / 4},HR,80,"stable, {"x" * 40}"' for i in range(30_000)]
    lines[20_000] = f'7,1.5,HR,80,"a note{end}7,2.5,HR,200,that nobody wrote"'
    path = tmp_path / "a.csv"
    write(path, end.join(["subject_id,time,variable,value,note", *lines]))
    assert path.stat().st_size > 2**20
    found = read(path)
    assert (found.table.num_rows, found.ignored) == (30_000, {})
    assert set(found.column("value")) == {80.0}


@pytest.mark.parametrize(
    "note",
    [
        'said "fine" and left',
        '"fine" he said',
        "5'11\" tall",
        '"" empty',
        "two ''quotes''",
    ],
)
def test_plain_notes_with_quotes_are_read(tmp_path: Path, note: str) -> None:
    rows = f"1,0,HR,80,{note}\n2,1,HR,81,b\n"
    found = read(write(tmp_path / "a.csv", "subject_id,time,variable,value,note\n" + rows))
    assert (found.column("value"), found.ignored) == ([80.0, 81.0], {})


def test_quotes_that_never_close_are_letters_of_a_note(tmp_path: Path) -> None:
    rows = '1\t0\tHR\t80\t"left\n2\t1\tHR\t81\tb\n' * 3 + '3\t0\tHR\t82\t"odd\n'
    path = write(tmp_path / "a.tsv", "subject_id\ttime\tvariable\tvalue\tnote\n" + rows)
    assert str(find_dialect(path)) == "UTF-8, tab, without quoting"
    assert (read(path).table.num_rows, read(path).ignored) == (7, {})


def test_rows_with_another_number_of_fields_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", LONG + "1,2\n1,2,HR,80,note,more\n" + "3,3,HR,70,c\n")
    found = read(path)
    assert (found.table.num_rows, found.ignored) == (3, {"malformed_row": 2})


def test_malformed_rows_at_the_end_of_a_large_file_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", LONG + "1,1,HR,80,note\n" * 200_000 + "1,2\n" * 5)
    assert read(path).ignored == {"malformed_row": 5}


def test_a_table_of_which_no_row_fits_its_header_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "subject_id,time,variable,value\n" + "r1,1,0,HR,80\n" * 3)
    with pytest.raises(SourceError, match="none of the 3 rows has the 4 fields of the header"):
        read(path)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b"\xff\xfe", b"   "])
def test_an_empty_file_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.csv: "):
        read(path)


def test_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.csv", "subject_id,time,variable,value")).table.num_rows == 0


def test_a_letter_of_windows_far_behind_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = b"1,1,HR,80,note\n" * 100_000 + b"2,1,K,4,\xb5 \x80 \x81\n"
    path.write_bytes(b"subject_id,time,variable,value,text_value\n" + rows)
    assert read(path).column("text")[-1] == "µ € \x81"


def test_encodings_are_told_by_their_bytes() -> None:
    assert encoding_of(b"") == "UTF-8"
    assert encoding_of("grö".encode()[:-1]) == "UTF-8"
    assert encoding_of("time,value".encode("utf-16-be")) == "UTF-16-BE"


def test_a_field_that_does_not_end_is_one_clear_error(tmp_path: Path) -> None:
    rows = "1,1,HR,80,note\n" * 100_000 + '1,1,HR,80,"note\n' + "1,1,HR,80,note\n" * 300_000
    path = write(tmp_path / "a.csv", "subject_id,time,variable,value,note\n" + rows)
    with pytest.raises(SourceError, match=r"a\.csv: .*a quoted field does not end"):
        read(path)
