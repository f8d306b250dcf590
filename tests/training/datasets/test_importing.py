"""Laws of the common import: names, units, statics, balance, order."""

from random import Random

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from model.data.decimals import decimal_float64
from model.data.units import accepted_units, conversion
from tests.catalogues import CHALLENGE
from tests.training.datasets.raw import Row, raw_table
from training.datasets.codes import NO_MAP, CodeMap, Target
from training.datasets.importing import Imported, import_table
from training.datasets.raw_table import Labels

ROWS = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.sampled_from([0.0, 1.5, 47.0, None, np.inf, 1e12]),
        st.sampled_from(["HR", "8867-4", "Temp", "K", "sex", "height_cm", "nonsense", None, "MAP"]),
        st.sampled_from([np.nan, -1.0, 0.0, 1.0, 36.6, 80.0, 98.6, 170.0, 1e9]),
        st.sampled_from([None, "", "/min", "[degF]", "cm", "mmol/L", "kPa", "parsec"]),
    ),
    max_size=50,
)


def imported(rows: list[Row], code_map: CodeMap = NO_MAP) -> Imported:
    return import_table(raw_table(rows), catalogue=CHALLENGE, code_map=code_map)


def reasons(result: Imported) -> dict[str, int]:
    return {drop.reason: drop.rows for drop in result.report.drops}


@settings(max_examples=30)
@given(ROWS)
def test_every_row_is_accounted_for(rows: list[Row]) -> None:
    result = imported(rows)
    assert result.report.is_balanced
    assert result.report.rows_read == len(rows)
    assert len(result.table) == result.report.kept_observations + result.report.kept_statics


@settings(max_examples=30)
@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_means_nothing(rows: list[Row], random: Random) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    expected, found = imported(rows), imported(shuffled)
    pd.testing.assert_frame_equal(expected.table, found.table)
    assert expected.report.drops == found.report.drops


@settings(max_examples=30)
@given(ROWS)
def test_importing_what_was_imported_changes_nothing(rows: list[Row]) -> None:
    table = imported(rows).table
    values = decimal_float64(table["numeric_value"].to_numpy())
    moments = [None if pd.isna(time) else time.isoformat() for time in table["time"]]
    again = imported(
        list(zip(table["subject_id"], moments, table["code"], values, table["unit"], strict=True))
    )
    assert again.report.drops == ()
    pd.testing.assert_frame_equal(again.table, table)


@settings(max_examples=30)
@given(ROWS)
def test_the_table_is_sorted_and_holds_each_key_once(rows: list[Row]) -> None:
    table = imported(rows).table
    moments = table["time"].to_numpy("datetime64[us]").astype(np.int64)  # NaT comes first
    order = [*CHALLENGE.channels, *CHALLENGE.static_positions]
    keys = list(
        zip(
            table["subject_id"], moments, [order.index(code) for code in table["code"]], strict=True
        )
    )
    assert keys == sorted(set(keys))


@pytest.mark.parametrize(
    "code", ["HR", "8867-4", "LOINC//8867-4", "LOINC//8867-4///min", "HR//bpm"]
)
def test_a_variable_is_known_by_name_and_by_loinc_code(code: str) -> None:
    table = imported([(1, 0.5, code, 80.0, None)]).table
    assert table["code"].tolist() == ["HR"]


def test_a_code_map_names_what_the_catalogue_does_not_know() -> None:
    code_map = CodeMap({"pulse": Target("HR"), "T": Target("Temp", "[degF]")})
    rows: list[Row] = [(1, 0.5, "pulse", 80.0, None), (1, 0.5, "T", 98.6, None)]
    table = imported(rows, code_map=code_map).table
    assert table["code"].tolist() == ["HR", "Temp"]
    assert table["numeric_value"].tolist() == pytest.approx([80.0, 37.0])


@pytest.mark.parametrize("variable", CHALLENGE.variables, ids=lambda v: v.name)
def test_a_value_is_the_same_in_whichever_unit_it_comes(variable: object) -> None:
    owner = next(v for v in CHALLENGE if v is variable)
    low, high = owner.plausible_range
    value = low + 0.37 * (high - low)
    for unit in accepted_units(owner):
        change = conversion(owner, unit)
        given_value = (value - change.offset) / change.factor
        result = imported([(1, 0.5, owner.name, given_value, unit)])
        assert result.table["numeric_value"].tolist() == pytest.approx([value], rel=1e-6)
        assert result.table["unit"].tolist() == [owner.unit]
        converted = [(c.variable, c.unit, c.rows) for c in result.report.conversions]
        assert converted == ([] if change.is_identity else [(owner.name, unit, 1)])


def test_an_unknown_unit_is_dropped_and_named() -> None:
    result = imported([(1, 0.5, "K", 4.0, "mg/dL"), (1, 0.5, "Na", 140.0, "mmol/L")])
    assert reasons(result) == {"unknown_unit": 1}
    assert [(c.variable, c.unit) for c in result.report.unknown_units] == [("K", "mg/dL")]


def test_statics_are_converted_and_checked() -> None:
    rows: list[Row] = [
        (1, 0.5, "HR", 80.0, None),
        (1, None, "height_cm", 1.7, "m"),
        (1, None, "weight_kg", 100.0, "[lb_av]"),
        (1, None, "age_years", -1.0, None),
        (1, None, "icu_type", 1.5, None),
        (1, 0.0, "sex", 1.0, None),
    ]
    result = imported(rows)
    assert result.table["code"].tolist() == ["sex", "height_cm", "weight_kg", "HR"]
    assert result.table["numeric_value"].tolist() == pytest.approx([1, 170, 45.359237, 80])
    assert result.table["time"].isna().tolist() == [True, True, True, False]
    assert reasons(result) == {"unknown_sentinel": 1, "implausible_value": 1}


def test_repeated_statics_are_averaged_and_conflicting_categories_are_unknown() -> None:
    rows: list[Row] = [
        (1, 0.5, "HR", 80.0, None),
        (1, None, "height_cm", 170.0, None),
        (1, None, "height_cm", 172.0, None),
        (1, None, "sex", 1.0, None),
        (1, None, "sex", 0.0, None),
        (1, None, "icu_type", 2.0, None),
        (1, None, "icu_type", 2.0, None),
    ]
    result = imported(rows)
    statics = result.table[result.table["time"].isna()]
    assert dict(zip(statics["code"], statics["numeric_value"], strict=True)) == {
        "height_cm": 171.0,
        "icu_type": 2.0,
    }
    assert reasons(result) == {"conflict_averaged": 1, "conflicting_category": 2, "duplicate": 1}


def test_a_subject_without_observation_is_named_and_left_out() -> None:
    rows: list[Row] = [(1, 0.5, "HR", 80.0, None), (2, None, "sex", 1.0, None)]
    rows += [(3, 1.0, "HR", 0.0, None)]
    result = import_table(raw_table(rows, subjects=[4]), catalogue=CHALLENGE)
    assert result.report.subjects_without_observations == (2, 3, 4)
    assert result.report.subjects_read == 4
    assert result.report.subjects_kept == 1
    assert reasons(result) == {"implausible_value": 1, "subject_without_observations": 1}
    assert set(result.table["subject_id"]) == {1}


@pytest.mark.parametrize("moment", ["1899-12-31T23:59", "2500-01-01", None])
def test_a_time_out_of_this_world_is_dropped(moment: str | None) -> None:
    rows: list[Row] = [(1, moment, "HR", 80.0, None), (1, "2020-05-05T10:00", "HR", 81.0, None)]
    assert reasons(imported(rows)) == {"invalid_time": 1}


def test_times_are_exact_to_the_microsecond_over_a_century() -> None:
    moments = ["1950-01-01T00:00:00.000001", "2150-12-31T23:59:59.999999"]
    table = imported([(1, moment, "HR", 80.0, None) for moment in moments]).table
    assert table["time"].tolist() == [pd.Timestamp(moment) for moment in moments]


def test_unknown_codes_are_listed_unless_a_few_subjects_alone_have_them() -> None:
    rows: list[Row] = [(subject, 0.5, "pulse", 80.0, None) for subject in range(1, 9)]
    rows += [(1, 0.5, "John Doe, born 1950", 80.0, None)] * 20
    report = imported(rows).report
    assert [(count.code, count.rows) for count in report.unmapped_codes] == [("pulse", 8)]
    assert "John Doe" not in "\n".join(report.lines())


def test_the_report_tells_every_reason_and_no_value() -> None:
    rows: list[Row] = [(1, 0.5, "HR", 271.25, None), (1, 0.5, "Temp", 98.6125, "[degF]")]
    text = "\n".join(imported(rows).report.lines())
    assert "implausible_value" in text
    assert "converted 1 rows of Temp from [degF]" in text
    assert "271" not in text
    assert "98.6" not in text


@given(st.floats(-1e7, 1e7).map(lambda value: float(f"{value:.6g}")))
@example(2.33617e-27)
def test_widening_gives_the_decimal_number_that_was_meant(value: float) -> None:
    widened = decimal_float64(np.array([value], dtype=np.float32))[0]
    assert widened == (value if abs(value) > 1e-37 else widened)


@given(st.floats(width=32))
def test_widening_loses_nothing(value: float) -> None:
    narrow = np.array([value], dtype=np.float32)
    np.testing.assert_array_equal(decimal_float64(narrow).astype(np.float32), narrow)


@given(st.lists(st.one_of(st.none(), st.sampled_from(["", " ", "a", " a ", "b", "NaN", "1_0"]))))
def test_labels_keep_the_text_of_every_row(texts: list[str | None]) -> None:

    labels = Labels.encode(pa.array(texts, pa.string()))
    found = [labels.names[code] if code >= 0 else "" for code in labels.codes]
    assert found == [(text or "").strip() for text in texts]
    assert np.isnan(labels.numbers()).all()
