"""From rows to series: every row has one fate, and nothing depends on its place or on its neighbors."""

from collections import Counter
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.data.catalogue import shipped_catalogue
from model.data.reasons import Reason
from model.records.labels import Labels
from model.records.reading import ReadingRules, Records, read_records
from model.records.remarks import RemarkCode
from model.records.row_columns import Revisions
from tests.catalogues import CHALLENGE
from tests.model.records.rows import Row, columns_of, read

VALUES = st.sampled_from(
    [92, 88.5, 40, 7.4, 0.3, -1, 735, "<0.01", "> 100", "1.1*", "hemolyzed", "", None, "female", 15]
)
TIMES = st.sampled_from([0, 0.5, 1, 500, 2000, "2026-03-01T10:05:00Z", "2026-03-01", "bad", None])
NAMES = st.sampled_from(
    [
        *("HR", "hr", "8867-4", "Urine", "GCS", "GCS_eye", "GCS_verbal", "GCS_motor", "MechVent"),
        *("Glucose", "Temp", "age_years", "sex", "birth_date", "nonsense", "TroponinT"),
    ]
)
UNITS = st.sampled_from([None, "bpm", "mg/dL", "mmol/L", "Cel", "[degF]", "mL", "furlong"])
ROWS = st.lists(st.tuples(st.sampled_from("abc"), TIMES, NAMES, VALUES, UNITS), max_size=30)


def fates(records: Records) -> list[str]:
    return [Reason(fate).code for fate in records.fates]


def series(records: Records) -> list[tuple[object, ...]]:
    cohort = records.cohort
    return [
        (
            one.subject_id,
            *(column.tolist() for column in (one.times_hours, one.channels, one.values)),
            one.censoring.tolist(),
            np.nan_to_num(one.statics, nan=-9).tolist(),
        )
        for one in cohort
    ]


@given(ROWS)
def test_every_row_has_one_fate_and_the_balance_holds(rows: list[Row]) -> None:
    records = read(rows)
    kept = int(np.sum(records.fates == Reason.KEPT))
    assert kept + sum(drop.rows for drop in records.drops(CHALLENGE)) == len(rows)
    counts = np.bincount(records.fates, minlength=40)
    # An observation of the data set is a kept row, or a total of kept parts.
    assert records.num_observations <= kept + counts[Reason.COMBINED_INTO_SCORE]


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_means_nothing(rows: list[Row], random: Random) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    first, second = read(rows), read(shuffled)
    assert series(first) == series(second)
    assert Counter(fates(first)) == Counter(fates(second))


@given(ROWS, ROWS)
@settings(max_examples=40)
def test_a_subject_does_not_depend_on_the_others(rows: list[Row], others: list[Row]) -> None:
    rows = [("a", *row[1:]) for row in rows]
    others = [("z", *row[1:]) for row in others]
    kind = read(rows).clocks.kind
    rules = ReadingRules(time_kind=kind)
    alone, together = read(rows, rules=rules), read([*rows, *others], rules=rules)
    assert [one for one in series(together) if one[0] == "a"] == series(alone)


@pytest.mark.parametrize(
    ("row", "fate"),
    [
        (("a", 1, "HR", 80, "bpm"), "kept"),
        (("a", 1, "hr", 80, "/min"), "kept"),
        (("a", 1, "LOINC//8867-4", 80), "kept"),
        (("a", 1, "heart rate", 80), "kept"),
        (("a", 1, "nonsense", 80), "unknown_variable"),
        (("a", 1, None, 80), "unknown_variable"),
        (("a", 1, "HR", 80, "furlong"), "unknown_unit"),
        (("a", None, "HR", 80), "missing_time"),
        (("a", "yesterday", "HR", 80), "invalid_time"),
        (("a", "2026-03-01", "HR", 80), "date_without_time"),
        (("a", "2026-03-01T10:00:00Z", "HR", 80), "mixed_time_kinds"),
        (("a", 2e6, "HR", 80), "time_out_of_range"),
        (("a", 1, "HR", None), "missing_value"),
        (("a", 1, "HR", "hemolyzed"), "value_is_text"),
        (("a", 1, "HR", "1e999"), "invalid_value"),
        (("a", 1, "HR", 735), "implausible_value"),
        (("a", 1, "Temp", 97.2, "Cel"), "unit_suspected"),
        (("a", 1, "FiO2", 40), "unit_suspected"),
        (("a", 1, "FiO2", 20.9, "%"), "kept"),
        (("a", 1, "Creatinine", 180), "unit_suspected"),
        (("a", 1, "TroponinT", "<0.01", "ng/mL"), "kept"),
        (("a", 1, "TroponinT", "1.1*", "ug/L"), "kept"),
    ],
)
def test_a_row_has_the_fate_that_its_fault_gives(row: Row, fate: str) -> None:
    others = [("b", hour, "HR", 80) for hour in range(3)]
    assert fates(read([row, *others]))[0] == fate


def test_clocks_of_two_kinds_in_a_column_are_counted_and_never_mixed() -> None:
    moments = ["2026-03-01T02:30:00+02:00", "2026-03-01T02:30:00", "2026-03-01T01:30:00Z"]
    records = read([("a", moment, "HR", 80 + at) for at, moment in enumerate(moments)])
    assert fates(records) == ["kept", "time_without_offset", "kept"]
    assert records.cohort.times_hours.tolist() == [0.0, 1.0]


def test_dates_may_be_shifted_anywhere_between_1800_and_2300() -> None:
    rows = [
        ("a", "1800-01-01T00:00:00Z", "HR", 80),
        ("a", "2300-12-31T23:59:00Z", "HR", 81),
        ("a", "1799-12-31T23:59:00Z", "HR", 82),
        ("a", "2301-01-01T00:00:00Z", "HR", 83),
    ]
    assert fates(read(rows)) == ["kept", "kept", "time_out_of_range", "time_out_of_range"]


def test_amounts_of_one_time_add_up_also_equal_ones() -> None:
    records = read([("a", 1, "Urine", volume, "mL") for volume in (100, 50, 50)])
    assert records.cohort.values.tolist() == [200.0]
    assert Counter(fates(records)) == {"kept": 1, "amount_added": 2}


def test_a_score_that_is_charted_twice_stays_a_score_that_was_charted() -> None:
    records = read([("a", 1, "GCS", score) for score in (3, 15)])
    assert records.cohort.values.tolist() == [3.0]
    assert Counter(fates(records)) == {"kept": 1, "score_superseded": 1}


def test_a_limit_is_an_interval_with_its_side() -> None:
    records = read([("a", 1, "TroponinT", "<0.01", "ng/mL"), ("a", 2, "Lactate", "> 15", "mmol/L")])
    assert records.cohort.censoring.tolist() == [-1, 1]


def test_the_oldest_are_ninety() -> None:
    records = read([("a", None, "age_years", "> 89"), ("a", 1, "HR", 80)])
    assert records.cohort.statics[0, 0] == 90.0


@pytest.mark.parametrize(("word", "index"), [("f", 0), ("F", 0), ("Female", 0), ("M", 1), ("1", 1)])
def test_a_sex_is_known_in_every_usual_word(word: str, index: int) -> None:
    records = read([("a", None, "sex", word), ("a", 1, "HR", 80)])
    assert records.cohort.statics[0, CHALLENGE.static_positions["sex"]] == index


def test_a_height_in_inches_is_one_in_centimeters() -> None:
    records = read([("a", None, "height_cm", 70, "in"), ("a", 1, "HR", 80)])
    assert records.cohort.statics[0, CHALLENGE.static_positions["height_cm"]] == pytest.approx(
        177.8
    )


def test_statics_that_disagree_are_averaged_or_unknown() -> None:
    rows: list[Row] = [("a", None, "weight_kg", 80), ("a", None, "weight_kg", 82)]
    rows += [("a", 1, "HR", 80)]
    rows += [("a", None, "sex", "f"), ("a", None, "sex", "M")]
    records = read(rows)
    statics = records.cohort.statics[0]
    assert statics[CHALLENGE.static_positions["weight_kg"]] == 81.0
    assert np.isnan(statics[CHALLENGE.static_positions["sex"]])
    assert Counter(fates(records)) == {
        "kept": 2,
        "conflict_averaged": 1,
        "conflicting_category": 2,
    }


def test_a_descriptor_of_somebody_without_observations_is_counted() -> None:
    records = read([("a", None, "age_years", 60), ("b", 1, "HR", 80)])
    assert fates(records) == ["subject_without_observations", "kept"]


def test_the_age_follows_from_the_birth_and_grows_from_piece_to_piece() -> None:
    rows = [
        ("a", "1950-06-01", "birth_date", None),
        ("a", "2000-06-01T00:00:00Z", "HR", 80),
        ("a", "2010-06-01T00:00:00Z", "HR", 90),
    ]
    ages = read(rows).cohort.statics[:, 0]
    assert ages == pytest.approx([50.0, 60.0], abs=0.01)


def test_a_record_is_cut_where_nothing_was_observed_for_a_week() -> None:
    hours = [0, 1, 100, 300, 301]
    records = read([("a", hour, "HR", 80 + at) for at, hour in enumerate(hours)])
    assert records.cohort.subject_ids == ("a", "a")
    assert [len(piece) for piece in records.cohort] == [3, 2]


def test_parts_of_the_coma_scale_make_a_total_where_all_are_testable() -> None:
    parts = [("GCS_eye", 4), ("GCS_verbal", 5), ("GCS_motor", 6)]
    records = read([("a", 1, name, value) for name, value in parts])
    assert records.cohort.values.tolist() == [15.0]
    assert set(fates(records)) == {"combined_into_score"}
    assert fates(read([("a", 1, "GCS_eye", 4)])) == ["incomplete_score"]


def test_an_intubated_patient_has_no_verbal_score() -> None:
    columns, ids = columns_of(
        [("a", 1, "GCS_eye", 4), ("a", 1, "GCS_verbal", 1), ("a", 1, "GCS_motor", 6)]
    )
    columns = replace(columns, texts=Labels.of_texts([None, "No Response-ETT", None]))
    records = read_records(columns, ids, CHALLENGE)
    assert fates(records) == ["incomplete_score", "not_testable", "incomplete_score"]


def test_a_correction_wins_and_a_withdrawal_takes_back() -> None:
    subjects = np.zeros(5, dtype=np.int64)
    revisions = Revisions(
        Labels.of_texts(["g", "g", "s", "s", None]),
        np.array([1, 2, 1, 2, 0]),
        np.array([False, False, False, True, False]),
    )
    found = [Reason(one).code for one in revisions.fates(subjects)]
    assert found == ["superseded", "kept", "withdrawn", "withdrawn", "kept"]


def test_a_neonate_is_judged_by_the_ranges_of_its_age() -> None:
    catalogue = shipped_catalogue()
    rows: list[Row] = [("a", 1, "HR", 190), ("a", 1, "Weight", 1.2, "kg")]
    adult = read([*rows, ("a", None, "age_years", 60)], catalogue)
    newborn = read([*rows, ("a", None, "age_years", 0.01)], catalogue)
    assert fates(newborn) == ["kept"] * 3
    assert fates(adult)[1] != "kept"


def test_what_is_plausible_of_a_newborn_alone_is_suspected_of_an_adult() -> None:
    catalogue = shipped_catalogue()
    rows: list[Row] = [("a", 1, "Glucose", 5.4)]
    assert fates(read(rows, catalogue)) == ["unit_suspected"]
    newborn = read([*rows, ("a", None, "age_years", 0.01)], catalogue)
    assert fates(newborn)[0] == "kept"


@pytest.mark.parametrize(
    ("name", "value", "unit"),
    [
        ("Temp", 97.2, "[degF]"),
        ("Creatinine", 180.0, "umol/L"),
        ("FiO2", 40.0, "%"),
        ("Glucose", 6.9, "mmol/L"),
        ("Albumin", 31.0, "g/L"),
        ("PaCO2", 5.3, "kPa"),
    ],
)
def test_the_likeliest_other_unit_is_named(name: str, value: float, unit: str) -> None:
    records = read([("a", 1, name, value)], shipped_catalogue())
    found = [one.unit for one in records.remarks if one.code is RemarkCode.UNIT_SUSPECTED]
    assert found == [unit]


def test_no_unit_makes_nonsense_plausible() -> None:
    records = read([("a", 1, "HR", 1e9)], shipped_catalogue())
    assert fates(records) == ["implausible_value"]


def test_a_suspected_column_is_named_kept_and_can_be_accepted() -> None:
    catalogue = shipped_catalogue()
    rows = [("a", hour, "Glucose", 14.2) for hour in range(6)]
    found = {remark.code: remark for remark in read(rows, catalogue).remarks}
    assert found[RemarkCode.UNIT_SUSPECTED].unit == "mmol/L"
    rules = ReadingRules(accepted_units={"Glucose": "mmol/L"})
    accepted = read(rows, catalogue, rules)
    assert accepted.cohort.values == pytest.approx([14.2 * 18.016] * 6)
    assert [remark.code for remark in accepted.remarks] == [RemarkCode.UNIT_ACCEPTED]


def test_what_the_unit_says_is_believed_of_a_single_value() -> None:
    records = read([("a", 1, "Glucose", 22, "mg/dL")], shipped_catalogue())
    assert not records.remarks


def test_minutes_given_as_hours_are_suspected() -> None:
    rows = [("a", 60 * hour, "HR", 80 + hour % 5) for hour in range(48)]
    codes = [remark.code for remark in read(rows).remarks]
    assert RemarkCode.CLOCK_SUSPECTED in codes
    rows = [("a", hour, "HR", 80 + hour % 5) for hour in range(48)]
    assert RemarkCode.CLOCK_SUSPECTED not in [remark.code for remark in read(rows).remarks]


@pytest.mark.parametrize(
    ("name", "given", "unit", "value"),
    [
        ("Albumin", 3.1, "gm/dL", 3.1),
        ("Creatinine", 88.4, "µmol/l", 1.0),
        ("Platelets", 250, "10^9/l", 250),
        ("TroponinT", 14, "ng/l", 0.014),
        ("Glucose", 100, "MG/DL", 100),
        ("Albumin", 31, "G/L", 3.1),
        ("Weight", 70, "Kg", 70),
        ("Na", 140, "mval/l", 140),
        ("FiO2", 40, "Percent", 0.4),
    ],
)
def test_spellings_of_laboratories_are_units(
    name: str, given: float, unit: str, value: float
) -> None:
    records = read([("a", 1, name, given, unit)])
    assert records.cohort.values == pytest.approx([value], rel=1e-3)
