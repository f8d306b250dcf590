"""Other programs' MEDS: columns, codes with units, MIMIC-IV's items, and the real demo."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.catalogues import CHALLENGE
from training.datasets.codes import CodeMap, Target
from training.datasets.errors import SourceFormatError
from training.datasets.external_meds import read_external_meds
from training.datasets.importing import Imported, import_table
from training.datasets.meds import read_cohort
from training.datasets.sources import import_source

DAY = pd.Timestamp("2150-03-01")


def events(*rows: tuple[int, str | None, str, float | None]) -> pd.DataFrame:
    """Rows of (subject_id, time of the day, code, numeric_value)."""
    table = pd.DataFrame(rows, columns=["subject_id", "time", "code", "numeric_value"])
    offsets = pd.to_timedelta(table["time"] + ":00")
    table["time"] = (DAY + offsets).astype("datetime64[us]")
    return table.astype({"numeric_value": "float32", "subject_id": "int64"})


def imported(path: Path, code_map: CodeMap | None = None) -> Imported:
    return import_table(read_external_meds(path, code_map=code_map), catalogue=CHALLENGE)


def written(path: Path, table: pd.DataFrame) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(path)
    return path


def pairs(result: Imported) -> list[tuple[str, float]]:
    values = result.table["numeric_value"].astype(float).round(4)
    return list(zip(result.table["code"], values.tolist(), strict=True))


def test_items_of_mimic_are_known_with_their_units(tmp_path: Path) -> None:
    table = events(
        (1, "01:00", "LAB//220045//bpm", 80),
        (1, "01:00", "LAB//220210//insp/min", 18),
        (1, "01:00", "LAB//223761//°F", 98.6),
        (1, "01:00", "LAB//223835//UNK", 40),
        (1, "01:00", "LAB//50820//units", 7.31),
        (1, "01:00", "LAB//50983//parsec", 140),
        (1, "01:00", "SUBJECT_FLUID_OUTPUT//226559//ml", 75),
    )
    result = imported(written(tmp_path / "events.parquet", table))
    expected = {"FiO2": 0.4, "HR": 80, "RespRate": 18, "Temp": 37, "Urine": 75, "pH": 7.31}
    assert dict(pairs(result)) == pytest.approx(expected)
    assert result.report.dropped_for("unknown_unit", "Na") == 1


def test_the_parts_of_the_coma_scale_become_its_total(tmp_path: Path) -> None:
    table = events(
        (1, "01:00", "LAB//220739//UNK", 4),
        (1, "01:00", "LAB//223900//UNK", 5),
        (1, "01:00", "LAB//223901//UNK", 6),
        (1, "02:00", "LAB//220739//UNK", 1),
        (2, "02:00", "LAB//223900//UNK", 1),
        (2, "02:00", "LAB//223901//UNK", None),
        (2, "03:00", "LAB//220045//bpm", 80),
    )
    result = imported(written(tmp_path / "events.parquet", table))
    assert pairs(result) == [("GCS", 15.0), ("HR", 80.0)]
    report = result.report
    assert report.is_balanced
    assert report.rows_read == len(table)
    assert report.dropped_for("combined_into_score", "GCS") == 2
    assert report.dropped_for("incomplete_score", "GCS") == 2
    assert report.dropped_for("invalid_value", "GCS") == 1


def test_sex_age_and_unit_kind_come_from_their_codes(tmp_path: Path) -> None:
    table = events(
        (1, None, "GENDER//M", None),
        (1, "00:00", "MEDS_BIRTH", None),
        (1, "01:00", "ICU_ADMISSION//Medical Intensive Care Unit (MICU)", None),
        (1, "01:00", "LAB//220045//bpm", 80),
        (2, "00:00", "MEDS_BIRTH", None),
    )
    table.loc[table["code"] == "MEDS_BIRTH", "time"] = DAY - pd.Timedelta(days=365.25 * 40)
    result = imported(written(tmp_path / "events.parquet", table))
    assert pairs(result)[1:] == [("sex", 1.0), ("icu_type", 2.0), ("HR", 80.0)]
    assert dict(pairs(result))["age_years"] == pytest.approx(40.0, abs=1e-3)
    assert result.report.is_balanced


def test_shards_of_a_directory_are_one_table_in_any_order(tmp_path: Path) -> None:
    first = events((1, "01:00", "HR", 80), (1, "02:00", "Temp//C", 37.5))
    second = events((2, "01:00", "HR", 81), (2, "02:00", "8867-4///min", 82))
    for folder, order in (("one", (first, second)), ("two", (second, first))):
        for number, table in enumerate(order):
            written(tmp_path / folder / "data" / "train" / f"{number}.parquet", table)
    one, two = imported(tmp_path / "one"), imported(tmp_path / "two")
    assert one.report.files == 2
    pd.testing.assert_frame_equal(one.table, two.table)


@pytest.mark.parametrize("kind", ["float32", "float64", "int64"])
@pytest.mark.parametrize("number", ["value", "numeric_value"])
def test_the_number_may_have_either_name_and_any_type(
    tmp_path: Path, kind: str, number: str
) -> None:
    table = events((1, "01:00", "HR", 80)).astype({"numeric_value": kind})
    path = written(tmp_path / "events.parquet", table.rename(columns={"numeric_value": number}))
    assert pairs(imported(path)) == [("HR", 80.0)]


def test_times_with_a_zone_are_read_as_utc(tmp_path: Path) -> None:
    table = events((1, "01:00", "HR", 80))
    table["time"] = table["time"].dt.tz_localize("America/New_York")
    result = imported(written(tmp_path / "events.parquet", table))
    assert result.table["time"].tolist() == [DAY + pd.Timedelta(hours=6)]


def test_a_code_map_wins_over_what_is_known_here(tmp_path: Path) -> None:
    table = events((1, "01:00", "LAB//220045//bpm", 80), (1, "01:00", "OWN//7//°F", 98.6))
    path = written(tmp_path / "events.parquet", table)
    code_map = CodeMap({"LAB//220045": Target("RespRate"), "OWN//7": Target("Temp")})
    assert pairs(imported(path, code_map)) == [("RespRate", 80.0), ("Temp", 37.0)]


@pytest.mark.parametrize("column", ["subject_id", "time", "code", "numeric_value"])
def test_a_missing_column_is_named_with_those_found(tmp_path: Path, column: str) -> None:
    table = events((1, "01:00", "HR", 80)).drop(columns=column)
    path = written(tmp_path / "events.parquet", table)
    with pytest.raises(SourceFormatError, match=f"no column '{column}.*found .*[a-z]"):
        read_external_meds(path)


def test_columns_of_another_type_are_refused(tmp_path: Path) -> None:
    table = events((1, "01:00", "HR", 80))
    for number, odd in enumerate(
        (
            table.assign(subject_id="x"),
            table.assign(time="yesterday"),
            table.assign(numeric_value="high"),
        )
    ):
        with pytest.raises(SourceFormatError, match="expected"):
            read_external_meds(written(tmp_path / f"{number}.parquet", odd))


def test_a_source_without_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceFormatError, match="found none"):
        read_external_meds(tmp_path)
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(SourceFormatError, match=r"x\.parquet"):
        read_external_meds(tmp_path)


def test_our_own_data_set_comes_back_as_it_is(tmp_path: Path) -> None:
    table = events(
        (1, "01:00", "TroponinT", 0.005), (1, "01:00", "FiO2", 0.21), (1, None, "sex", 1)
    )
    first, second = tmp_path / "first", tmp_path / "second"
    import_source("meds", written(tmp_path / "events.parquet", table), first)
    report = import_source("meds", first, second)
    assert report.drops == ()
    assert read_cohort(first).sha256 == read_cohort(second).sha256


def test_the_real_demo_balances(data_root: Path, tmp_path: Path) -> None:
    path = data_root / "mimic4-demo-meds" / "events.parquet"
    report = import_source("meds", path, tmp_path / "out")
    assert report.is_balanced
    assert report.rows_read == 916_166
    assert report.subjects_read == 100
    source = pd.read_parquet(path)
    fahrenheit = source["code"].str.startswith("LAB//223761//") & source["value"].notna()
    assert [(c.unit, c.rows) for c in report.conversions if c.variable == "Temp"] == [
        ("°F", int(fahrenheit.sum()))
    ]
    rates = source.loc[source["code"].str.startswith("LAB//220045//"), "value"]
    assert report.dropped_for("implausible_value", "HR") == (rates < 20).sum()
    cohort = read_cohort(tmp_path / "out").cohort
    assert len(cohort.values) == report.kept_observations
    assert (cohort.times_hours[cohort.offsets[:-1]] == 0).all()
    sex = cohort.statics[:, CHALLENGE.static_positions["sex"]]
    assert (np.sum(sex == 0), np.sum(sex == 1)) == (43, 57)
    temperatures = cohort.values[cohort.channels == CHALLENGE.channel("Temp")]
    assert 36.5 < np.median(temperatures) < 37.5
