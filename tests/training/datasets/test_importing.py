"""Laws of an import: balance, order, disk. What a row means is tested in `tests.model.records`."""

import tempfile
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from model.data.decimals import decimal_float64
from model.data.units import accepted_units, conversion
from model.records.sources.options import SourceFormat
from tests.catalogues import CHALLENGE
from tests.training.datasets.imports import Row, import_from, import_rows
from training.datasets.errors import EmptySourceError
from training.datasets.meds import read_cohort

GOOD: Row = (9, 0.5, "HR", 77.0, "/min")
"""A row in every table, so that something is left."""

ROWS = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 3, "NA"]),
        st.sampled_from([0.0, 1.5, 47.0, 500.0, None, "inf", 1e12, "2026-03-01"]),
        st.sampled_from(
            ["HR", "8867-4", "Temp", "K", "Urine", "sex", "height_cm", "nonsense", None, "MAP"]
        ),
        st.sampled_from(["", -1.0, 0.0, 1.0, 36.6, 80.0, 98.6, 170.0, 1e9, "<4", "> 80", "a word"]),
        st.sampled_from([None, "/min", "[degF]", "cm", "mmol/L", "kPa", "mL", "parsec"]),
    ),
    max_size=40,
).map(lambda rows: [*rows, GOOD])
FEW = settings(max_examples=20)


@FEW
@given(ROWS)
def test_every_row_is_accounted_for(rows: list[Row]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = import_rows(rows, Path(folder))
        report, table = found.report, found.table
    assert report.is_balanced
    assert report.rows_read == len(rows)
    is_static = table["time"].isna()
    assert int((~is_static).sum()) == report.num_observations
    assert int(is_static.sum()) == report.num_statics
    limits = table["comparator"].notna().sum() if "comparator" in table else 0
    assert limits == report.num_censored


@FEW
@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_means_nothing(rows: list[Row], random: Random) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    with tempfile.TemporaryDirectory() as folder:
        expected, found = (
            import_rows(one, Path(folder), name) for one, name in ((rows, "a"), (shuffled, "b"))
        )
        assert read_cohort(expected.directory).sha256 == read_cohort(found.directory).sha256
    assert expected.report.drops == found.report.drops


@FEW
@given(ROWS)
def test_importing_what_was_imported_changes_nothing(rows: list[Row]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first = import_rows(rows, Path(folder))
        again = import_from(first.directory, Path(folder) / "again", SourceFormat.MEDS)
        assert again.report.drops == ()
        assert not [one for one in again.report.remarks if one.code == "unit_converted"]
        pd.testing.assert_frame_equal(again.table, first.table)


@FEW
@given(ROWS)
def test_the_table_is_sorted_and_holds_each_key_once(rows: list[Row]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = import_rows(rows, Path(folder)).table
    moments = table["time"].to_numpy("datetime64[us]").astype(np.int64)  # NaT comes first
    order = [*CHALLENGE.channels, *CHALLENGE.static_positions]
    codes = [order.index(code) for code in table["code"]]
    keys = list(zip(table["subject_id"], moments, codes, strict=True))
    assert keys == sorted(set(keys))


def test_a_value_is_the_same_in_whichever_unit_it_comes(tmp_path: Path) -> None:
    rows: list[Row] = []
    expected = {}
    for variable in CHALLENGE:
        low, high = variable.plausible_range
        value = low + 0.37 * (high - low)
        for unit in accepted_units(variable):
            change = conversion(variable, unit)
            subject = len(rows) + 1
            given_value = (value - change.offset) / change.factor
            rows.append((subject, 0.5, variable.name, repr(given_value), unit))
            expected[subject] = (variable.name, variable.unit, pytest.approx(value, rel=1e-6))
    table = import_rows(rows, tmp_path).table
    columns = (table[name] for name in ("subject_id", "code", "unit", "numeric_value"))
    assert {subject: tuple(one) for subject, *one in zip(*columns, strict=True)} == expected


def test_a_subject_without_observation_is_named_and_left_out(tmp_path: Path) -> None:
    rows: list[Row] = [(1, 0.5, "HR", 80.0), (2, None, "sex", 1.0), (3, 1.0, "HR", 0.0)]
    found = import_rows(rows, tmp_path)
    assert found.report.subjects_without_observations == ("2", "3")
    assert (found.report.subjects_read, found.report.subjects_kept) == (3, 1)
    assert found.reasons == {"implausible_value": 1, "subject_without_observations": 1}
    assert set(found.table["subject_id"]) == {1}


def test_a_source_of_which_nothing_is_left_is_refused_with_its_account(tmp_path: Path) -> None:
    with pytest.raises(EmptySourceError, match="unknown_variable"):
        import_rows([(1, 0.5, "nonsense", 80.0)], tmp_path)
    assert not (tmp_path / "rows").exists()


def test_times_are_exact_to_the_microsecond_over_a_century(tmp_path: Path) -> None:
    moments = ["1950-01-01T00:00:00.000001", "2150-12-31T23:59:59.999999"]
    table = import_rows([(1, moment, "HR", 80.0) for moment in moments], tmp_path).table
    assert table["time"].tolist() == [pd.Timestamp(moment) for moment in moments]


def test_unknown_names_are_listed_unless_a_few_subjects_alone_have_them(tmp_path: Path) -> None:
    rows: list[Row] = [(subject, 0.5, "pulse at night", 80.0) for subject in range(1, 9)]
    rows += [(1, 0.5, "John Doe, born 1950", 80.0)] * 20
    rows += [(subject, 0.5, "K", "see note of John Doe") for subject in (1, 2)]
    rows += [(subject, 0.6, "K", "hemolyzed") for subject in range(1, 9)]
    report = import_rows([*rows, GOOD], tmp_path).report
    assert [(one.text, one.rows) for one in report.unknown_names] == [("pulse at night", 8)]
    assert [(one.text, one.rows) for one in report.words] == [("hemolyzed", 8)]
    assert "John Doe" not in "\n".join(report.lines())


def test_the_report_tells_every_reason_and_no_value(tmp_path: Path) -> None:
    rows: list[Row] = [(1, 0.5, "HR", 271.25), (1, 0.5, "Temp", 98.6125, "[degF]")]
    rows += [(1, 0.5, "K", 4.0625, "parsec"), (1, 0.5, "Glucose", 14.5)]
    text = "\n".join(import_rows(rows, tmp_path).report.lines())
    for reason in ("implausible_value", "unknown_unit"):
        assert reason in text
    assert "Temp was converted from [degF] to Cel" in text
    assert "WARNING 1 rows: Glucose came without a unit" in text
    for value in ("271", "98.6", "4.06", "14.5"):
        assert value not in text


@given(st.floats(-1e7, 1e7).map(lambda value: float(f"{value:.6g}")))
@example(2.33617e-27)
def test_widening_gives_the_decimal_number_that_was_meant(value: float) -> None:
    widened = decimal_float64(np.array([value], dtype=np.float32))[0]
    assert widened == (value if abs(value) > 1e-37 else widened)


@given(st.floats(width=32))
def test_widening_loses_nothing(value: float) -> None:
    narrow = np.array([value], dtype=np.float32)
    np.testing.assert_array_equal(decimal_float64(narrow).astype(np.float32), narrow)
