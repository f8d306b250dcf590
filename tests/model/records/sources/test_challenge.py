"""The challenge's text files, made here and the 50 real ones."""

import csv
import math
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from model.records.errors import SourceError
from model.records.rows import TimeKind
from model.records.sources.challenge import UNITS, read_challenge
from model.records.sources.options import SourceFormat, SourceOptions
from tests.model.records.sources.fhir_cases import NO_CATALOGUE, Read, gather

HEADER = "Time,Parameter,Value"


def stay(folder: Path, record: int, *lines: str, header: str = HEADER, end: str = "\n") -> Path:
    descriptors = [f"00:00,RecordID,{record}", "00:00,Age,54", "00:00,Gender,0"]
    descriptors += ["00:00,Height,-1", "00:00,ICUType,4", "00:00,Weight,-1"]
    path = folder / f"{record}.txt"
    path.write_bytes((end.join([header, *descriptors, *lines]) + end).encode())
    return path


def _read(folder: Path) -> Read:
    options = SourceOptions(format=SourceFormat.PHYSIONET2012)
    return gather(list(read_challenge(folder, options, NO_CATALOGUE)))


def test_a_stay_is_its_descriptors_and_its_series(tmp_path: Path) -> None:
    stay(tmp_path, 132539, "00:07,HR,73", "00:07,Weight,80.6", "47:59,Temp,36.1")
    found = _read(tmp_path)
    assert [(r["variable"], r["text"] or r["value"], r["unit"]) for r in found.rows] == [
        ("age_years", 54.0, "a"),
        ("sex", "female", "1"),
        ("height_cm", -1.0, "cm"),
        ("icu_type", "surgical", "1"),
        ("weight_kg", -1.0, "kg"),
        ("HR", 73.0, "/min"),
        ("Weight", 80.6, "kg"),
        ("Temp", 36.1, "Cel"),
    ]
    assert {r["subject_id"] for r in found.rows} == {"132539"}
    kinds = [TimeKind(r["time_kind"]) for r in found.rows]
    assert kinds == [TimeKind.MISSING] * 5 + [TimeKind.HOURS] * 3
    assert found.rows[-1]["hours"] == 47 + 59 / 60
    assert found.ignored == {"identifier": 1}


def test_the_first_weight_at_midnight_describes_and_every_other_is_a_series(tmp_path: Path) -> None:
    path = stay(tmp_path, 1, "00:00,Weight,81", "01:00,Weight,82", "02:00,Weight,-1")
    path.write_text(path.read_text().replace("Weight,-1\n", "Weight,80\n", 1))
    found = _read(tmp_path)
    weights = [(r["variable"], r["value"]) for r in found.rows if "eight" in r["variable"]][1:]
    assert weights == [("weight_kg", 80.0), ("Weight", 81.0), ("Weight", 82.0)]
    assert found.ignored == {"identifier": 1, "unknown_sentinel": 1}


def test_what_cannot_be_read_is_counted_or_a_row_without_a_number(tmp_path: Path) -> None:
    bad = ["00:10,HR", "00:11,HR,80,90", "", "00:12,,5", "00:13,HR,high", "00:14,HR,nan"]
    bad += ["xx:15,HR,80", "00:75,HR,80", "00:17,HR,", ",HR,80", '00:18,"HR",80', "00:19,HR,<40"]
    stay(tmp_path, 1, "00:07,HR,73", *bad, "00:20,HR,74*")
    found = _read(tmp_path)
    assert found.ignored == {"identifier": 1, "malformed_row": 3}
    assert len(found.rows) == 5 + 2 + len(bad) - 3
    rates = [r for r in found.rows if r["variable"] == "HR"]
    assert Counter(TimeKind(r["time_kind"]).name for r in rates) == {
        "HOURS": 6,
        "INVALID": 2,
        "MISSING": 1,
    }
    assert [r["text"] for r in rates if r["text"]] == ["high"]
    assert [(r["value"], r["comparator"]) for r in rates if r["comparator"]] == [(40.0, -1)]
    assert found.remarks == {"flag_ignored": 1}


def test_a_number_that_is_no_category_is_not_taken_for_one(tmp_path: Path) -> None:
    path = stay(tmp_path, 1)
    path.write_text(
        path.read_text().replace("ICUType,4", "ICUType,0").replace("Gender,0", "Gender,-1")
    )
    rows = {r["variable"]: r for r in _read(tmp_path).rows}
    assert math.isinf(rows["icu_type"]["value"])
    assert (rows["sex"]["value"], rows["sex"]["text"]) == (-1.0, None)


def test_malformed_lines_move_no_row_to_another_stay(tmp_path: Path) -> None:
    random = Random(5)
    expected = {}
    for record in range(1, 60):
        good = [f"{hour:02d}:00,HR,{record + 20}" for hour in range(random.randrange(1, 9))]
        lines = good + [random.choice(["", "junk", "1,2,3,4"]) for _ in range(random.randrange(6))]
        random.shuffle(lines)
        stay(tmp_path, record, *lines)
        expected[str(record)] = len(good)
    rates = [row for row in _read(tmp_path).rows if row["variable"] == "HR"]
    assert Counter(row["subject_id"] for row in rates) == expected
    assert all(row["value"] == int(row["subject_id"]) + 20 for row in rates)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_a_byte_order_mark_mean_nothing(tmp_path: Path, end: str, mark: str) -> None:
    stay(tmp_path, 1, "00:07,HR,73", header=mark + HEADER, end=end)
    assert _read(tmp_path).rows[-1]["value"] == 73.0


def test_sets_are_read_together_and_other_files_are_not(tmp_path: Path) -> None:
    for name, record in (("set-a", 2), ("set-b", 1)):
        (tmp_path / name).mkdir()
        stay(tmp_path / name, record)
        (tmp_path / name / "._1.txt").write_text("x")
    (tmp_path / "Outcomes-a.txt").write_text("x")
    assert list(dict.fromkeys(r["subject_id"] for r in _read(tmp_path).rows)) == ["1", "2"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", HEADER),
        ("1.txt", "Hour,Parameter,Value\n"),
        ("1.txt", f"{HEADER}\n00:00,RecordID,2\n"),
        ("Outcomes-a.txt", HEADER),
    ],
)
def test_other_files_are_one_clear_error(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(SourceError):
        _read(tmp_path)


def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    path = stay(tmp_path, 1, "00:07,HR,73")
    path.write_bytes(path.read_bytes() + b"00:08,\xffHR,74\n")
    assert _read(tmp_path).rows[-1]["variable"] == "\ufffdHR"


def test_the_real_files_are_read_to_the_last_value(data_root: Path) -> None:
    folder = data_root / "physionet2012" / "raw-sample"
    if not folder.is_dir():
        pytest.skip(f"no files of the challenge at {folder}")
    expected = Counter[tuple[str, str]]()
    for path in (folder / "set-a").glob("*.txt"):
        for row in list(csv.reader(path.read_text().splitlines()))[1:]:
            expected[path.stem, row[1]] += 1
    found = _read(folder)
    assert len(found.rows) + sum(found.ignored.values()) == sum(expected.values())
    assert set(found.ignored) <= {"identifier", "unknown_sentinel"}
    assert all(row["unit"] == UNITS[row["variable"]] for row in found.rows)
    rates = Counter(row["subject_id"] for row in found.rows if row["variable"] == "HR")
    assert rates == {record: n for (record, name), n in expected.items() if name == "HR"}


def test_thousands_of_stays_take_seconds(data_root: Path, tmp_path: Path) -> None:
    sample = sorted((data_root / "physionet2012" / "raw-sample" / "set-a").glob("*.txt"))
    if not sample:
        pytest.skip("no files of the challenge")
    for number in range(2_000):
        text = sample[number % len(sample)].read_text()
        body = text.replace(f"RecordID,{sample[number % len(sample)].stem}", f"RecordID,{number}")
        (tmp_path / f"{number}.txt").write_text(body)
    start = time.perf_counter()
    options = SourceOptions(format=SourceFormat.PHYSIONET2012)
    num_rows = sum(one.batch.num_rows for one in read_challenge(tmp_path, options, NO_CATALOGUE))
    # A quarter of the challenge; far below its 10 seconds, so that a busy machine stays green.
    assert time.perf_counter() - start < 5
    assert num_rows > 500_000
