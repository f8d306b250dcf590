"""The challenge's files imported: the 50 real ones against a reading of them with pandas."""

from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest

from model.data.variables import Kind
from model.records.sources.options import SourceFormat
from tests.catalogues import CHALLENGE
from tests.model.records.sources.test_challenge import stay
from tests.training.datasets.imports import Imported, import_from
from training.datasets.meds import read_cohort

DESCRIPTORS = ("RecordID", "Age", "Gender", "Height", "ICUType")


def imported(source: Path, out: Path) -> Imported:
    return import_from(source, out, SourceFormat.PHYSIONET2012)


@pytest.fixture(scope="module")
def sample(data_root: Path) -> Path:
    return data_root / "physionet2012" / "raw-sample"


@pytest.fixture(scope="module")
def sample_import(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    return imported(sample, tmp_path_factory.mktemp("physionet") / "out")


@pytest.fixture(scope="module")
def sample_rows(sample: Path) -> pd.DataFrame:
    """The same files, read one by one with pandas."""
    frames = [
        pd.read_csv(path).assign(record=int(path.stem))
        for path in sorted((sample / "set-a").glob("*.txt"))
    ]
    return pd.concat(frames, ignore_index=True)


def test_a_stay_becomes_statics_and_observations(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    stay(tmp_path / "in", 132539, "00:07,HR,73", "00:07,Weight,80.6", "47:59,Temp,36.1")
    table = imported(tmp_path / "in", tmp_path / "out").table
    assert table["code"].tolist() == ["age_years", "sex", "icu_type", "HR", "Weight", "Temp"]
    assert table["numeric_value"].tolist() == pytest.approx([54, 0, 3, 73, 80.6, 36.1])
    assert table["unit"].tolist() == ["a", "1", "1", "/min", "kg", "Cel"]
    expected = [None] * 3 + ["2000-01-01 00:07"] * 2 + ["2000-01-02 23:59"]
    pd.testing.assert_series_equal(
        table["time"], pd.Series(pd.to_datetime(expected)), check_names=False, check_dtype=False
    )


def test_what_cannot_be_read_is_counted_by_reason(tmp_path: Path) -> None:
    bad = ["00:10,HR", "00:11,HR,80,90", "00:12,,5", "00:13,HR,high", "00:14,HR,nan"]
    bad += ["xx:15,HR,80", "00:75,HR,80", "00:16,Oddity,1", "00:17,HR,", ",HR,80"]
    (tmp_path / "in").mkdir()
    stay(tmp_path / "in", 1, "00:07,HR,73", *bad, "00:20,HR,74")
    stay(tmp_path / "in", 2, "00:05,HR,", "00:30,HR,60")
    found = imported(tmp_path / "in", tmp_path / "out")
    report = found.report
    assert report.is_balanced
    assert report.dropped_for("identifier") == 2
    assert report.dropped_for("malformed_row") == 2
    assert report.dropped_for("unknown_variable") == 2
    assert report.dropped_for("value_is_text", "HR") == 1
    assert report.dropped_for("missing_value", "HR") == 3
    assert report.dropped_for("invalid_time", "HR") == 2
    assert report.dropped_for("missing_time", "HR") == 1
    # The rows after a malformed one still belong to their own stay.
    kept = found.table[found.table["code"] == "HR"]
    assert list(zip(kept["subject_id"], kept["numeric_value"], strict=True)) == [
        (1, 73.0),
        (1, 74.0),
        (2, 60.0),
    ]


def test_a_file_with_nothing_but_the_header_is_no_subject(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    stay(tmp_path / "in", 1, "00:07,HR,73")
    (tmp_path / "in" / "2.txt").write_text("Time,Parameter,Value\n")
    assert imported(tmp_path / "in", tmp_path / "out").report.subjects_kept == 1


def test_the_order_of_files_and_folders_means_nothing(tmp_path: Path, sample: Path) -> None:
    paths = sorted((sample / "set-a").glob("*.txt"))[:12]
    Random(3).shuffle(paths)
    for number, path in enumerate(paths):
        folder = tmp_path / "sets" / ("set-a" if number % 2 else "set-b")
        folder.mkdir(exist_ok=True, parents=True)
        (folder / path.name).write_bytes(path.read_bytes())
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in reversed(paths):
        (flat / path.name).write_bytes(path.read_bytes())
    one, two = (
        imported(tmp_path / name, tmp_path / f"out-{name}").directory for name in ("sets", "flat")
    )
    assert read_cohort(one).sha256 == read_cohort(two).sha256


def test_the_real_files_balance_and_no_row_is_lost(
    sample_import: Imported, sample_rows: pd.DataFrame
) -> None:
    report = sample_import.report
    assert report.is_balanced
    assert report.subjects_read == report.dropped_for("identifier") == 50
    assert report.rows_read == len(sample_rows)
    assert {"140501", "140936", "141264"} <= set(report.subjects_without_observations)
    assert not report.dropped_for("malformed_row")
    assert not report.dropped_for("unknown_variable")


def _series_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that are no descriptors: the first Weight at 00:00 is one."""
    is_series = ~rows["Parameter"].isin(DESCRIPTORS)
    weights = rows[(rows["Parameter"] == "Weight") & (rows["Time"] == "00:00")]
    is_series.loc[weights.drop_duplicates("record").index] = False
    return rows[is_series]


def test_impossible_real_values_are_dropped_for_the_right_reason(
    sample_import: Imported, sample_rows: pd.DataFrame
) -> None:
    report = sample_import.report
    rows = _series_rows(sample_rows)
    for variable in CHALLENGE:
        values = rows.loc[rows["Parameter"] == variable.name, "Value"]
        low, high = variable.plausible_range
        outside = int(((values < low) | (values > high)).sum())
        reasons = ("implausible_value", "unit_suspected")
        found = sum(report.dropped_for(reason, variable.name) for reason in reasons)
        assert found == outside, variable.name
    # 735 and its like fit no other unit, -17.8 and 0 are no temperatures of anybody.
    assert report.dropped_for("implausible_value", "pH") >= 2
    assert report.dropped_for("implausible_value", "Temp") >= 2
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


def test_real_amounts_of_one_time_add_up(
    sample_import: Imported, sample_rows: pd.DataFrame
) -> None:
    for variable in CHALLENGE:
        if variable.kind is not Kind.AMOUNT:
            continue
        low, high = variable.plausible_range
        rows = sample_rows[sample_rows["Parameter"] == variable.name]
        expected = rows.loc[rows["Value"].between(low, high), "Value"].sum()
        kept = sample_import.table[sample_import.table["code"] == variable.name]
        # A sum beyond the range is dropped whole.
        assert kept["numeric_value"].astype(float).sum() == pytest.approx(expected, rel=1e-6)


def test_real_files_survive_the_way_to_disk_and_back(sample_import: Imported) -> None:
    report = sample_import.report
    cohort = read_cohort(sample_import.directory).cohort
    assert len(cohort) == report.subjects_kept == report.num_series
    assert len(cohort.values) == report.num_observations
    table = sample_import.table
    observed = table[table["time"].notna()]
    np.testing.assert_array_equal(
        cohort.values.astype(np.float32), observed["numeric_value"].to_numpy()
    )
    assert np.sum(~np.isnan(cohort.statics)) == report.num_statics
    assert cohort.times_hours.min() >= 0
    assert cohort.times_hours.max() <= 48
    # Values as they stand in the text, not as float32 widens them.
    assert {36.1, 0.4, 7.35} <= set(cohort.values.tolist())
