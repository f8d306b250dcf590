import os
from pathlib import Path

import pytest

from model.records.errors import SourceError
from model.records.sources.files import endings_of, list_files, open_bytes, shown, table_format
from model.records.sources.options import SourceFormat
from tests.model.records.sources.reading import read, write

CSV = endings_of(SourceFormat.CSV)


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_what_editors_and_dead_writers_leave_is_passed_over_and_named(tmp_path: Path) -> None:
    hidden = (
        "._a.csv", ".ipynb_checkpoints/a-checkpoint.csv", "_temporary/0/b.csv", "_SUCCESS",
        ".hidden.csv", "part/._c.csv",
    )  # fmt: skip
    _touch(tmp_path, "b.tsv", "a.csv", "part/c.csv.gz", "d.csv.bz2", "e.TXT", "notes.docx", *hidden)
    listing = list_files(tmp_path, CSV, what="CSV")
    names = [str(file.relative_to(tmp_path)) for file in listing.files]
    assert names == ["a.csv", "b.tsv", "d.csv.bz2", "e.TXT", "part/c.csv.gz"]
    assert set(listing.passed_over) == {"notes.docx", *hidden}


def test_a_folder_within_a_hidden_folder_is_data(tmp_path: Path) -> None:
    _touch(tmp_path, ".cache/a.csv")
    assert len(list_files(tmp_path / ".cache", CSV, what="CSV").files) == 1


@pytest.mark.parametrize("name", ["a.xlsx", "A.XLS", "b.ods"])
def test_a_spreadsheet_says_what_to_do(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, "PK")
    with pytest.raises(SourceError, match="save the sheet as CSV"):
        list_files(path, CSV, what="CSV")
    with pytest.raises(SourceError, match=r"holds no CSV file.*save the sheet as CSV"):
        list_files(tmp_path, CSV, what="CSV")


def test_a_spreadsheet_with_the_ending_of_text_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(SourceError, match=r"a\.csv: it is a spreadsheet or a zip archive; save"):
        read(path)


def test_what_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="none: there is no such file or folder"):
        list_files(tmp_path / "none", CSV, what="CSV")
    with pytest.raises(SourceError, match=r"holds no CSV file.*found nothing"):
        list_files(tmp_path, CSV, what="CSV")
    with pytest.raises(SourceError, match="there is no such file"):
        list_files(tmp_path / "a\0b", CSV, what="CSV")
    with pytest.raises(SourceError, match="OSError"):
        list_files(tmp_path / ("a" * 5000), CSV, what="CSV")


def test_names_that_are_no_text_are_escaped(tmp_path: Path) -> None:
    name = os.fsdecode(b"a\xff.csv")
    with pytest.raises(SourceError) as caught:
        list_files(tmp_path / name, CSV, what="CSV")
    assert str(caught.value) == r"a\xff.csv: there is no such file or folder"
    assert shown(tmp_path / "a\nb.csv") == r"a\nb.csv"


def test_a_file_whose_name_is_no_text_is_read(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"a\xff.csv")
    try:
        write(path, "time,HR\n1,80\n")
    except OSError:
        pytest.skip("this file system has names of text alone")
    assert read(path).column("subject_id") == [r"a\xff"]


def test_the_format_of_a_table_is_told_by_endings(tmp_path: Path) -> None:
    _touch(tmp_path, "a.parquet", "_b.csv")
    assert table_format(tmp_path) is SourceFormat.PARQUET
    _touch(tmp_path, "c.jsonl.gz")
    assert table_format(tmp_path / "c.jsonl.gz") is SourceFormat.NDJSON
    with pytest.raises(SourceError, match=r"several formats \(ndjson, parquet\)"):
        table_format(tmp_path)


def test_pipes_and_links_to_nowhere_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "nowhere")
    _touch(tmp_path, "a.csv")
    listing = list_files(tmp_path, CSV, what="CSV")
    assert [file.name for file in listing.files] == ["a.csv"]
    assert listing.passed_over == ("link.csv", "pipe.csv")
    with pytest.raises(SourceError, match=r"pipe\.csv: it is no regular file"):
        list_files(tmp_path / "pipe.csv", CSV, what="CSV")


def test_plain_bytes_are_opened_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "time,HR\n1,80\n")
    with open_bytes(path) as opened:
        assert opened.read(4) == b"time"
