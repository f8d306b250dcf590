"""The reader of the challenge's text files, on files made here and on the 50 real ones."""

from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest

from tests.catalogues import CHALLENGE
from training.datasets.errors import SourceFormatError
from training.datasets.importing import Imported, import_table
from training.datasets.meds import read_cohort
from training.datasets.physionet2012 import read_physionet2012
from training.datasets.sources import import_source

HEADER = "Time,Parameter,Value"
DESCRIPTORS = ("RecordID", "Age", "Gender", "Height", "ICUType")


def stay(folder: Path, record: int, *lines: str, header: str = HEADER, end: str = "\n") -> Path:
    descriptors = [f"00:00,RecordID,{record}", "00:00,Age,54", "00:00,Gender,0"]
    descriptors += ["00:00,Height,-1", "00:00,ICUType,4", "00:00,Weight,-1"]
    path = folder / f"{record}.txt"
    path.write_bytes((end.join([header, *descriptors, *lines]) + end).encode())
    return path


def imported(folder: Path) -> Imported:
    return import_table(read_physionet2012(folder), catalogue=CHALLENGE)


def values_of(result: Imported, code: str) -> list[float]:
    return list(result.table.loc[result.table["code"] == code, "numeric_value"])


@pytest.fixture(scope="module")
def sample(data_root: Path) -> Path:
    return data_root / "physionet2012" / "raw-sample"


@pytest.fixture(scope="module")
def sample_import(sample: Path) -> Imported:
    return imported(sample)


@pytest.fixture(scope="module")
def sample_rows(sample: Path) -> pd.DataFrame:
    """The same files, read one by one with pandas."""
    frames = [
        pd.read_csv(path).assign(record=int(path.stem))
        for path in sorted((sample / "set-a").glob("*.txt"))
    ]
    return pd.concat(frames, ignore_index=True)


def test_a_stay_becomes_statics_and_observations(tmp_path: Path) -> None:
    stay(tmp_path, 132539, "00:07,HR,73", "00:07,Weight,80.6", "47:59,Temp,36.1")
    table = imported(tmp_path).table
    assert table["code"].tolist() == ["age_years", "sex", "icu_type", "HR", "Weight", "Temp"]
    assert table["numeric_value"].tolist() == pytest.approx([54, 0, 3, 73, 80.6, 36.1])
    assert table["unit"].tolist() == ["a", "1", "1", "/min", "kg", "Cel"]
    expected = [None] * 3 + ["2000-01-01 00:07"] * 2 + ["2000-01-02 23:59"]
    pd.testing.assert_series_equal(
        table["time"], pd.Series(pd.to_datetime(expected)), check_names=False, check_dtype=False
    )


def test_the_first_weight_at_midnight_is_the_static_and_every_other_is_a_series(
    tmp_path: Path,
) -> None:
    path = stay(tmp_path, 1, "00:00,Weight,81", "01:00,Weight,82", "02:00,Weight,-1")
    path.write_text(path.read_text().replace("Weight,-1\n", "Weight,80\n", 1))
    result = imported(tmp_path)
    assert values_of(result, "weight_kg") == [80.0]
    assert values_of(result, "Weight") == [81.0, 82.0]
    assert result.report.dropped_for("unknown_sentinel", "Weight") == 1


def test_what_cannot_be_read_is_counted_by_reason(tmp_path: Path) -> None:
    bad = ["00:10,HR", "00:11,HR,80,90", "", "00:12,,5", "00:13,HR,high", "00:14,HR,nan"]
    bad += ["xx:15,HR,80", "00:75,HR,80", "00:16,Oddity,1", "00:17,HR,", ",HR,80", '00:18,"HR",80']
    stay(tmp_path, 1, "00:07,HR,73", *bad, "00:20,HR,74")
    stay(tmp_path, 2, "00:05,HR,", "00:06", "00:30,HR,60")
    result = imported(tmp_path)
    report = result.report
    assert report.is_balanced
    assert report.rows_read == 12 + 2 + len(bad) + 3
    assert report.dropped_for("malformed_row") == 4
    assert report.dropped_for("unknown_variable") == 3
    assert report.dropped_for("invalid_value", "HR") == 4
    assert report.dropped_for("invalid_time", "HR") == 3
    # The rows after a malformed one still belong to their own stay.
    kept = result.table[result.table["code"] == "HR"]
    assert list(zip(kept["subject_id"], kept["numeric_value"], strict=True)) == [
        (1, 73.0),
        (1, 74.0),
        (2, 60.0),
    ]


def test_malformed_lines_move_no_row_to_another_stay(tmp_path: Path) -> None:
    random = Random(5)
    expected = {}
    for record in range(1, 60):
        good = [f"{hour:02d}:00,HR,{record + 20}" for hour in range(random.randrange(1, 9))]
        lines = good + [random.choice(["", "junk", "1,2,3,4"]) for _ in range(random.randrange(6))]
        random.shuffle(lines)
        stay(tmp_path, record, *lines)
        expected[record] = len(good)
    table = imported(tmp_path).table
    rates = table[table["code"] == "HR"]
    assert rates.groupby("subject_id").size().to_dict() == expected
    assert (rates["numeric_value"] == rates["subject_id"] + 20).all()


def test_line_ends_and_a_byte_order_mark_mean_nothing(tmp_path: Path) -> None:
    tables = []
    for number, (end, mark) in enumerate([("\n", ""), ("\r\n", "\ufeff"), ("\r", "")]):
        folder = tmp_path / str(number)
        folder.mkdir()
        stay(folder, 7, "00:07,HR,73", header=mark + HEADER, end=end)
        tables.append(imported(folder).table)
    pd.testing.assert_frame_equal(tables[0], tables[1])
    pd.testing.assert_frame_equal(tables[0], tables[2])


def test_a_last_line_without_its_end_is_read(tmp_path: Path) -> None:
    path = stay(tmp_path, 7, "00:07,HR,73")
    stay(tmp_path, 8, "00:09,HR,75")
    path.write_text(path.read_text().rstrip("\n"))
    assert values_of(imported(tmp_path), "HR") == [73.0, 75.0]


def test_bytes_that_are_no_text_are_an_unknown_variable(tmp_path: Path) -> None:
    path = stay(tmp_path, 7, "00:07,HR,73")
    path.write_bytes(path.read_bytes() + b"00:08,\xff\xfe,1\n")
    assert imported(tmp_path).report.dropped_for("unknown_variable") == 1


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "Time;Parameter;Value\n", "\x00\x01"])
def test_a_file_of_another_format_is_named(tmp_path: Path, content: str) -> None:
    stay(tmp_path, 1, "00:07,HR,73")
    (tmp_path / "2.txt").write_text(content)
    with pytest.raises(SourceFormatError, match=r"2\.txt: the first line"):
        read_physionet2012(tmp_path)


def test_a_record_under_another_number_is_named(tmp_path: Path) -> None:
    stay(tmp_path, 1, "00:07,HR,73").rename(tmp_path / "2.txt")
    with pytest.raises(SourceFormatError, match=r"2\.txt: its RecordID"):
        read_physionet2012(tmp_path)


@pytest.mark.parametrize("name", ["notes.txt", "1a.txt"])
def test_a_file_name_that_is_no_record_is_named(tmp_path: Path, name: str) -> None:
    stay(tmp_path, 1, "00:07,HR,73").rename(tmp_path / name)
    with pytest.raises(SourceFormatError, match=name):
        read_physionet2012(tmp_path)


def test_the_same_record_in_two_sets_is_refused(tmp_path: Path) -> None:
    for name in ("set-a", "set-b"):
        (tmp_path / name).mkdir()
        stay(tmp_path / name, 1, "00:07,HR,73")
    with pytest.raises(SourceFormatError, match="same record"):
        read_physionet2012(tmp_path)


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Outcomes-a.txt").write_text("RecordID\n")
    with pytest.raises(SourceFormatError, match="expected folders set-a"):
        read_physionet2012(tmp_path)


def test_a_file_with_nothing_but_the_header_is_a_subject_without_observation(
    tmp_path: Path,
) -> None:
    stay(tmp_path, 1, "00:07,HR,73")
    (tmp_path / "2.txt").write_text(HEADER + "\n")
    assert imported(tmp_path).report.subjects_without_observations == (2,)


def test_the_order_of_files_and_folders_means_nothing(tmp_path: Path, sample: Path) -> None:
    paths = sorted((sample / "set-a").glob("*.txt"))[:12]
    Random(3).shuffle(paths)
    for number, path in enumerate(paths):
        folder = tmp_path / ("set-a" if number % 2 else "set-b")
        folder.mkdir(exist_ok=True)
        (folder / path.name).write_bytes(path.read_bytes())
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in reversed(paths):
        (flat / path.name).write_bytes(path.read_bytes())
    pd.testing.assert_frame_equal(imported(tmp_path).table, imported(flat).table)


def test_the_real_files_balance_and_no_row_is_lost(
    sample_import: Imported, sample_rows: pd.DataFrame
) -> None:
    report = sample_import.report
    assert report.is_balanced
    assert report.files == report.subjects_read == report.identifier_rows == 50
    assert report.rows_read == len(sample_rows)
    assert {140501, 140936, 141264} <= set(report.subjects_without_observations)
    assert not report.dropped_for("malformed_row")
    assert not report.dropped_for("unknown_variable")


def test_impossible_real_values_are_dropped_for_the_right_reason(
    sample_import: Imported, sample_rows: pd.DataFrame
) -> None:
    is_series = ~sample_rows["Parameter"].isin(DESCRIPTORS)
    # The first Weight at 00:00 is the descriptor.
    weights = sample_rows[(sample_rows["Parameter"] == "Weight") & (sample_rows["Time"] == "00:00")]
    is_series.loc[weights.drop_duplicates("record").index] = False
    for variable in CHALLENGE:
        values = sample_rows.loc[is_series & (sample_rows["Parameter"] == variable.name), "Value"]
        low, high = variable.plausible_range
        outside = int(((values < low) | (values > high)).sum())
        dropped = sample_import.report.dropped_for("implausible_value", variable.name)
        assert dropped == outside, variable.name
    report = sample_import.report
    assert report.dropped_for("implausible_value", "pH") >= 2  # 735 and its like
    assert report.dropped_for("implausible_value", "Temp") >= 2  # -17.8 and 0
    assert report.dropped_for("unknown_sentinel", "sex") == 2
    unknown_heights = ((sample_rows["Parameter"] == "Height") & (sample_rows["Value"] == -1)).sum()
    assert report.dropped_for("unknown_sentinel", "height_cm") == unknown_heights


def test_the_kept_values_are_those_of_the_files(
    sample_import: Imported, sample_rows: pd.DataFrame
) -> None:
    """Wherever a record has one sodium at a time, that very number comes out."""
    rows = sample_rows[sample_rows["Parameter"] == "Na"]
    rows = rows[~rows.duplicated(["record", "Time"], keep=False)]
    clock = rows["Time"].str.split(":", expand=True).astype(int)
    moments = pd.Timestamp("2000-01-01") + pd.to_timedelta(clock[0] * 60 + clock[1], unit="min")
    expected = dict(zip(zip(rows["record"], moments, strict=True), rows["Value"], strict=True))
    kept = sample_import.table[sample_import.table["code"] == "Na"]
    found = dict(
        zip(zip(kept["subject_id"], kept["time"], strict=True), kept["numeric_value"], strict=True)
    )
    assert len(expected) > 50
    assert {key: found[key] for key in expected} == expected


def test_real_files_survive_the_way_to_disk_and_back(
    tmp_path: Path, sample: Path, sample_import: Imported
) -> None:
    report = import_source("physionet2012", sample, tmp_path / "out")
    cohort = read_cohort(tmp_path / "out").cohort
    assert len(cohort) == report.subjects_kept
    assert len(cohort.values) == report.kept_observations
    observed = sample_import.table[sample_import.table["time"].notna()]
    np.testing.assert_array_equal(
        cohort.values.astype(np.float32), observed["numeric_value"].to_numpy()
    )
    assert np.sum(~np.isnan(cohort.statics)) == report.kept_statics
    assert cohort.times_hours.min() >= 0
    assert cohort.times_hours.max() <= 48
    # Values as they stand in the text, not as float32 widens them.
    assert {36.1, 0.4, 7.35} <= set(cohort.values.tolist())
