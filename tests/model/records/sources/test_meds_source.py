"""MEDS: names by code or item, limits, words beside the number, births and categories."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.data.variables import Catalogue, Static, Variable
from model.records.codes import CodeMap, Target
from model.records.errors import SourceError
from model.records.rows import TimeKind
from model.records.sources.meds import read_meds
from model.records.sources.mimic_codes import ITEMS
from model.records.sources.options import SourceFormat, SourceOptions
from tests.model.records.sources.fhir_cases import NO_CATALOGUE, Read, gather

TEN = datetime(2026, 3, 1, 10)  # noqa: DTZ001  MEDS has times without a zone


def _variable(name: str, code: str) -> Variable:
    return Variable(
        name=name,
        description=name,
        unit="1",
        codes=(code,),
        plausible_range=(0.0, 1.0),
        range_source="test",
    )


def _event(code: str, number: float | str | None = None, **others: Any) -> dict[str, Any]:
    return {"subject_id": 1, "time": TEN, "code": code, "numeric_value": number} | others


def _read(
    folder: Path,
    *events: dict[str, Any],
    catalogue: Catalogue = NO_CATALOGUE,
    codes: CodeMap | None = None,
) -> Read:
    path = folder / "data" / "train"
    path.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(events)), path / "0.parquet")
    options = SourceOptions(format=SourceFormat.MEDS)
    if codes is not None:
        options = SourceOptions(format=SourceFormat.MEDS, codes=codes)
    return gather(list(read_meds(folder, options, catalogue)))


def test_an_item_of_mimic_is_a_variable_with_a_unit(tmp_path: Path) -> None:
    row = _read(tmp_path, _event("LAB//50971//mEq/L", 4.1)).only
    assert (row["subject_id"], row["variable"], row["unit"]) == ("1", "K", "meq/L")
    assert (row["value"], row["comparator"], row["text"]) == (4.1, 0, None)
    assert row["time_kind"] == TimeKind.LOCAL
    assert row["microseconds"] == TEN.replace(tzinfo=UTC).timestamp() * 1e6


@pytest.mark.parametrize(
    ("code", "variable", "unit"),
    [
        ("LAB//220277//%", "SpO2", "%"),
        ("LAB//220050//mmHg", "SysABP", "mm[Hg]"),
        ("LAB//223761//°F", "Temp", "[degF]"),
        ("LAB//228640//UNK", "EtCO2", "mm[Hg]"),
        ("LAB//220339//cmH2O", "PEEP", "cm[H2O]"),
        ("LAB//50820//units", "pH", "[pH]"),
        ("LAB//228096//UNK", "RASS", "{score}"),
        ("LAB//223900//UNK", "9270-0", "{score}"),
        ("LAB//51214//mg/dL", "Fibrinogen", "mg/dL"),
        ("SUBJECT_FLUID_OUTPUT//226559//ml", "Urine", "mL"),
        ("SUBJECT_FLUID_OUTPUT//226588//ml", "ChestTube", "mL"),
        ("SUBJECT_FLUID_OUTPUT//226588", "ChestTube", "mL"),
        ("LOINC//8867-4", "8867-4", None),
        ("LOINC/8867-4", "8867-4", None),
        ("my//thing", "my//thing", None),
    ],
)
def test_a_code_has_a_name_and_perhaps_a_unit(
    tmp_path: Path, code: str, variable: str, unit: str | None
) -> None:
    row = _read(tmp_path, _event(code, 1.0)).only
    assert (row["variable"], row["unit"]) == (variable, unit)


def test_an_item_takes_the_name_that_the_catalogue_has(tmp_path: Path) -> None:
    known = Catalogue((_variable("pulse oximeter", "59408-5"),), ())
    assert (
        _read(tmp_path, _event("LAB//220277//%", 97.0), catalogue=known).only["variable"]
        == "59408-5"
    )


def test_names_of_the_catalogue_need_no_map(tmp_path: Path) -> None:
    height = Static(name="height_cm", description="Height", unit="cm", plausible_range=(0.0, 1.0))
    known = Catalogue((_variable("my//thing", "1-8"),), (height,))
    codes = ["my//thing", "my//thing//mg/dL", "1-8//UNK", "height_cm//cm"]
    found = _read(tmp_path, *(_event(code, 1.0) for code in codes), catalogue=known)
    assert [(row["variable"], row["unit"]) for row in found.rows] == [
        ("my//thing", None),
        ("my//thing", "mg/dL"),
        ("1-8", None),
        ("height_cm", "cm"),
    ]


def test_a_code_map_comes_first(tmp_path: Path) -> None:
    codes = CodeMap({"LAB//220045": Target("pulse")})
    row = _read(tmp_path, _event("LAB//220045//bpm", 80.0), codes=codes).only
    assert row["variable"] == "pulse"


@pytest.mark.parametrize(
    ("number", "text", "value", "comparator", "kept"),
    [
        (1.0, "No Response-ETT", 1.0, 0, "No Response-ETT"),
        (0.01, "<0.01", 0.01, -1, None),
        (None, "<0.01", 0.01, -1, None),
        (None, "GREATER THAN 20", 20.0, 1, None),
        (None, "7.2", 7.2, 0, None),
        (None, "hemolyzed", None, 0, "hemolyzed"),
        (5.0, None, 5.0, 0, None),
        (5.0, "", 5.0, 0, None),
    ],
)
def test_text_stands_beside_or_instead_of_a_number(
    tmp_path: Path,
    number: float | None,
    text: str | None,
    value: float | None,
    comparator: int,
    kept: str | None,
) -> None:
    known = _event("LAB//51003//ng/mL", 9.0, text_value="x")
    row = _read(tmp_path, known, _event("LAB//51003//ng/mL", number, text_value=text)).rows[1]
    assert row["value"] == pytest.approx(value) if value is not None else np.isnan(row["value"])
    assert (row["comparator"], row["text"]) == (comparator, kept)


def test_our_own_columns_say_unit_and_limit(tmp_path: Path) -> None:
    found = _read(
        tmp_path,
        _event("HR", 80.0, unit="/min", comparator=None),
        _event("K", 2.0, unit="mmol/L", comparator="<="),
        _event("K", 2.0, unit="mmol/L", comparator="~"),
        catalogue=Catalogue((_variable("HR", "8867-4"), _variable("K", "2823-3")), ()),
    )
    assert [(row["unit"], row["comparator"]) for row in found.rows] == [("/min", 0), ("mmol/L", -1)]
    assert found.ignored == {"modified_meaning": 1}


def test_births_and_categories_describe_the_subject(tmp_path: Path) -> None:
    born = datetime(1950, 6, 1)  # noqa: DTZ001
    found = _read(
        tmp_path,
        _event("MEDS_BIRTH", time=born),
        _event("GENDER//F", time=None),
        _event("ICU_ADMISSION//Coronary Care Unit (CCU)"),
    )
    birth, sex, icu = found.rows
    assert (birth["variable"], birth["time_kind"]) == ("birth_date", TimeKind.DATE)
    assert birth["microseconds"] == born.replace(tzinfo=UTC).timestamp() * 1e6
    assert (sex["variable"], sex["text"], sex["time_kind"]) == ("sex", "female", TimeKind.MISSING)
    assert (icu["variable"], icu["text"]) == ("icu_type", "coronary")


def test_events_that_are_no_measurement_are_counted(tmp_path: Path) -> None:
    found = _read(tmp_path, _event("HOSPITAL_ADMISSION//URGENT"), _event("LAB//50971//mEq/L"))
    assert found.ignored == {"event_without_value": 1}
    assert np.isnan(found.only["value"])


@pytest.mark.parametrize("column", ["subject_id", "time", "code", "numeric_value"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    event = _event("HR", 1.0)
    del event[column]
    with pytest.raises(SourceError, match=column):
        _read(tmp_path, event)


@pytest.mark.parametrize("column", ["subject_id", "time", "code", "numeric_value"])
def test_a_column_of_lists_is_one_clear_error(tmp_path: Path, column: str) -> None:
    with pytest.raises(SourceError):
        _read(tmp_path, _event("HR", 1.0) | {column: [1, 2]})


def test_a_folder_without_parquet_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "_temporary").mkdir()
    (tmp_path / "_temporary" / "0.parquet").write_bytes(b"PAR1")
    with pytest.raises(SourceError):
        list(read_meds(tmp_path, SourceOptions(format=SourceFormat.MEDS), NO_CATALOGUE))


def test_every_item_has_a_name_a_code_and_a_unit() -> None:
    assert all(len(item.names) == 2 and all(item.names) and item.unit for item in ITEMS.values())


def test_the_demo_of_mimic_is_read_with_counts(data_root: Path) -> None:
    path = data_root / "mimic4-demo-meds"
    if not path.is_dir():
        pytest.skip(f"no MIMIC-IV demo at {path}; set LACUNA_DATA to the folder that holds it")
    num_rows, ignored, names = 0, Counter[str](), Counter[str]()
    for one in read_meds(path, SourceOptions(format=SourceFormat.MEDS), NO_CATALOGUE):
        num_rows += one.batch.num_rows
        ignored.update(one.ignored)
        names.update(one.batch.column("variable").to_pylist())
    assert num_rows + sum(ignored.values()) == 916_166
    assert ignored == {"event_without_value": 509_606}
    assert (names["birth_date"], names["sex"], names["SpO2"]) == (100, 100, 13_540)
    assert sum(count for name, count in names.items() if "//" not in name) > 215_000
