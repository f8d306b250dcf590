"""The directory format: what is written is read, in one piece, and nothing else is overwritten."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from model.data.variables import Catalogue, Static, Variable
from model.records.clocks import RELATIVE_ANCHOR
from tests.catalogues import CHALLENGE
from training.datasets import meds
from training.datasets.errors import DatasetError, NotADatasetError, OutputExistsError
from training.datasets.meds import COLUMNS, read_cohort, write_meds

ROWS = [
    (9, 0.25, "HR", 91.0, None),
    (9, 30.0, "Temp", 36.6, None),
    (9, None, "sex", 1.0, None),
    (-3, 2.0, "K", 4.1, None),
    (-3, 2.0, "HR", 60.0, None),
    (-3, -1.5, "FiO2", 0.21, None),
    (-3, None, "age_years", 63.5, None),
]


@pytest.fixture
def table() -> pd.DataFrame:
    frame = pd.DataFrame(ROWS, columns=["subject_id", "hours", "code", "numeric_value", "unit"])
    items: tuple[Variable | Static, ...] = (*CHALLENGE.variables, *CHALLENGE.statics)
    units = {item.name: item.unit for item in items}
    hours = pd.to_timedelta(frame["hours"].astype(float), unit="h")
    return frame.assign(
        time=(pd.Timestamp("2000-01-01") + hours).astype("datetime64[us]"),
        numeric_value=frame["numeric_value"].astype(np.float32),
        unit=frame["code"].map(units),
    )[list(COLUMNS)]


def write(
    directory: Path,
    table: pd.DataFrame,
    *,
    anchor: datetime | None = RELATIVE_ANCHOR,
    catalogue: Catalogue = CHALLENGE,
) -> Path:
    write_meds(directory, table, name="tiny", anchor=anchor, catalogue=catalogue)
    return directory


def test_what_is_written_is_read(tmp_path: Path, table: pd.DataFrame) -> None:
    dataset = read_cohort(write(tmp_path / "out", table))
    cohort = dataset.cohort
    assert dataset.name == "tiny"
    assert cohort.subject_ids == ("-3", "9")
    np.testing.assert_array_equal(cohort.offsets, [0, 3, 5])
    np.testing.assert_array_equal(cohort.times_hours, [-1.5, 2.0, 2.0, 0.25, 30.0])
    names = [CHALLENGE[channel].name for channel in cohort.channels]
    assert names == ["FiO2", "HR", "K", "HR", "Temp"]
    np.testing.assert_array_equal(cohort.values, [0.21, 60.0, 4.1, 91.0, 36.6])
    expected = np.full((2, len(CHALLENGE.statics)), np.nan)
    expected[0, CHALLENGE.static_positions["age_years"]] = 63.5
    expected[1, CHALLENGE.static_positions["sex"]] = 1.0
    np.testing.assert_array_equal(cohort.statics, expected)


def test_without_an_anchor_each_clock_begins_at_the_first_observation(
    tmp_path: Path, table: pd.DataFrame
) -> None:
    cohort = read_cohort(write(tmp_path / "out", table, anchor=None)).cohort
    np.testing.assert_array_equal(cohort.times_hours, [0.0, 3.5, 3.5, 0.0, 29.75])


def test_an_anchor_in_another_zone_is_the_same_moment(tmp_path: Path, table: pd.DataFrame) -> None:
    anchor = datetime.fromisoformat("2000-01-01T02:00:00+02:00")
    here = read_cohort(write(tmp_path / "here", table, anchor=anchor)).cohort
    there = read_cohort(write(tmp_path / "there", table, anchor=datetime(2000, 1, 1, tzinfo=UTC)))
    np.testing.assert_array_equal(here.times_hours, there.cohort.times_hours)


def test_the_order_of_the_table_does_not_reach_the_file(
    tmp_path: Path, table: pd.DataFrame
) -> None:
    shuffled = table.sample(frac=1, random_state=np.random.default_rng(4)).reset_index(drop=True)
    assert not shuffled.equals(table)
    one, two = (read_cohort(write(tmp_path / n, t)) for n, t in (("a", table), ("b", shuffled)))
    assert one.sha256 == two.sha256


def test_the_files_are_meds(tmp_path: Path, table: pd.DataFrame) -> None:
    out = write(tmp_path / "out", table)
    schema = pq.read_schema(out / "data" / "0.parquet")
    assert {field.name: str(field.type) for field in schema} == {
        "subject_id": "int64",
        "time": "timestamp[us]",
        "code": "string",
        "numeric_value": "float",
        "unit": "string",
    }
    codes = pq.read_table(out / "metadata" / "codes.parquet").to_pandas().set_index("code")
    assert codes.loc["HR", "parent_codes"].tolist()[0] == "LOINC//8867-4"
    assert codes.loc["SaO2", "parent_codes"].tolist()[0] == "LOINC//2708-6"
    assert codes.loc["age_years", "unit"] == "a"
    assert set(codes.index) == {v.name for v in CHALLENGE} | {s.name for s in CHALLENGE.statics}
    content = json.loads((out / "metadata" / "dataset.json").read_text())
    assert content["meds_version"] == "0.4"
    assert content["anchor"] == "2000-01-01T00:00:00+00:00"


def test_a_subject_with_statics_alone_is_no_series(tmp_path: Path, table: pd.DataFrame) -> None:
    cohort = read_cohort(
        write(tmp_path / "out", table[table["time"].isna() | (table["subject_id"] == 9)])
    ).cohort
    assert cohort.subject_ids == ("9",)
    assert cohort.statics[0, CHALLENGE.static_positions["sex"]] == 1.0
    assert np.isnan(cohort.statics[0, CHALLENGE.static_positions["age_years"]])


def test_an_empty_table_is_an_empty_cohort(tmp_path: Path, table: pd.DataFrame) -> None:
    assert len(read_cohort(write(tmp_path / "out", table.iloc[:0])).cohort) == 0


def test_a_data_set_carries_its_catalogue(tmp_path: Path, table: pd.DataFrame) -> None:
    own = CHALLENGE.select(("Temp", "HR", "K", "FiO2", "sex", "age_years"))
    dataset = read_cohort(write(tmp_path / "out", table, catalogue=own))
    assert dataset.catalogue == own
    names = [own[channel].name for channel in dataset.cohort.channels]
    assert names == ["FiO2", "HR", "K", "HR", "Temp"]
    assert dataset.cohort.statics[0, own.static_positions["age_years"]] == 63.5


def test_an_edited_catalogue_is_refused_and_is_other_data(
    tmp_path: Path, table: pd.DataFrame
) -> None:
    out = write(tmp_path / "out", table)
    wider = [replace(one, description="edited") for one in CHALLENGE]
    other = write(tmp_path / "other", table, catalogue=Catalogue(tuple(wider), CHALLENGE.statics))
    assert read_cohort(out).sha256 != read_cohort(other).sha256
    (out / "metadata" / "catalogue.csv").write_bytes(
        (other / "metadata" / "catalogue.csv").read_bytes()
    )
    with pytest.raises(NotADatasetError, match=r"catalogue\.csv.*sha256"):
        read_cohort(out)


def test_a_data_set_of_an_older_version_is_refused_and_can_be_replaced(
    tmp_path: Path, table: pd.DataFrame
) -> None:
    out = write(tmp_path / "out", table)
    path = out / "metadata" / "dataset.json"
    content = json.loads(path.read_text())
    del content["files"]
    path.write_text(json.dumps(content))
    with pytest.raises(NotADatasetError, match="older version"):
        read_cohort(out)
    assert len(read_cohort(write(out, table)).cohort) == 2


def test_limits_keep_their_side(tmp_path: Path, table: pd.DataFrame) -> None:
    sides = {("K", -3): "<", ("HR", 9): ">"}
    keys = zip(table["code"], table["subject_id"], strict=True)
    with_limits = table.assign(comparator=[sides.get(key) for key in keys])
    out = write(tmp_path / "out", with_limits)
    assert pq.read_schema(out / "data" / "0.parquet").field("comparator").type == "string"
    cohort = read_cohort(out).cohort
    found = zip(cohort.values.tolist(), cohort.censoring.tolist(), strict=True)
    assert list(found) == [(0.21, 0), (60.0, 0), (4.1, -1), (91.0, 1), (36.6, 0)]
    with pytest.raises(DatasetError, match="comparator"):
        write(tmp_path / "bad", table.assign(comparator="<="))


def test_a_subject_has_the_name_that_the_source_gave_it(
    tmp_path: Path, table: pd.DataFrame
) -> None:
    names = [(-3, 'Bed 1, "left"\nNA')]
    out = tmp_path / "out"
    write_meds(out, table, name="tiny", anchor=None, catalogue=CHALLENGE, subject_names=names)
    assert read_cohort(out).cohort.subject_ids == (names[0][1], "9")


def test_an_older_data_set_is_replaced_whole(tmp_path: Path, table: pd.DataFrame) -> None:
    out = tmp_path / "out"
    names = [(-3, "x"), (9, "y")]
    write_meds(out, table, name="old", anchor=None, catalogue=CHALLENGE, subject_names=names)
    assert (out / "metadata" / "subject_ids.csv").read_text().splitlines()[1:] == [
        '-3,"x"',
        '9,"y"',
    ]
    write(out, table.iloc[:3])
    assert not (out / "metadata" / "subject_ids.csv").exists()
    assert read_cohort(out).name == "tiny"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]  # no leftovers beside it


@pytest.mark.parametrize("content", ["notes.txt", "metadata/dataset.json", "data/0.parquet"])
def test_what_is_no_data_set_of_ours_is_never_overwritten(
    tmp_path: Path, table: pd.DataFrame, content: str
) -> None:
    path = tmp_path / "out" / content
    path.parent.mkdir(parents=True)
    path.write_text('{"etl_name": "somebody else", "sha256": "", "anchor": null}')
    before = path.read_bytes()
    with pytest.raises(OutputExistsError, match="choose another output directory"):
        write(tmp_path / "out", table)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_a_stranger_file_in_our_data_set_is_not_lost(tmp_path: Path, table: pd.DataFrame) -> None:
    out = write(tmp_path / "out", table)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError):
        write(out, table)
    assert (out / "notes.txt").read_text() == "mine"
    companions = frozenset({"notes.txt"})
    write_meds(out, table, name="tiny", anchor=None, catalogue=CHALLENGE, companions=companions)
    assert not (out / "notes.txt").exists()


def test_a_file_in_the_way_is_refused(tmp_path: Path, table: pd.DataFrame) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputExistsError, match="is a file"):
        write(tmp_path / "out", table)


def test_a_failed_write_leaves_the_older_data_set_and_nothing_else(
    tmp_path: Path, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = write(tmp_path / "out", table)
    digest = read_cohort(out).sha256

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(meds, "write_metadata", fail)
    with pytest.raises(OSError, match="No space"):
        write(out, table.iloc[:2])
    assert read_cohort(out).sha256 == digest
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_altered_data_are_refused(tmp_path: Path, table: pd.DataFrame) -> None:
    out = write(tmp_path / "out", table)
    path = out / "data" / "0.parquet"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(NotADatasetError, match="sha256"):
        read_cohort(out)


@pytest.mark.parametrize("content", [None, "", "[]", "null", '{"etl_name": "other"}', "\0"])
def test_another_directory_is_refused_with_what_to_do(tmp_path: Path, content: str | None) -> None:
    (tmp_path / "metadata").mkdir()
    if content is not None:
        (tmp_path / "metadata" / "dataset.json").write_text(content)
    with pytest.raises(NotADatasetError, match="python -m training import"):
        read_cohort(tmp_path)


def test_missing_data_are_named(tmp_path: Path, table: pd.DataFrame) -> None:
    out = write(tmp_path / "out", table)
    (out / "data" / "0.parquet").unlink()
    with pytest.raises(NotADatasetError, match=r"0\.parquet"):
        read_cohort(out)


def test_tables_that_make_no_sense_are_refused(tmp_path: Path, table: pd.DataFrame) -> None:
    strange = [
        table.drop(columns="unit"),
        table.assign(code="Nonsense"),
        table.assign(time=pd.NaT),
        table.assign(time=pd.Timestamp("2020-01-01")),
    ]
    for number, one in enumerate(strange):
        with pytest.raises(DatasetError):
            write(tmp_path / str(number), one)
    assert list(tmp_path.iterdir()) == []
