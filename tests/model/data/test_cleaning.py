"""Laws of the cleaning: nothing is lost, nothing repaired, and the order of rows means nothing."""

from dataclasses import astuple
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.data.cleaning import Cleaned, Observations, Reason, clean
from model.data.series import AT_OR_ABOVE, AT_OR_BELOW, MEASURED
from model.data.variables import Kind
from tests.catalogues import CHALLENGE

NUMBERS = st.one_of(
    st.sampled_from([np.nan, np.inf, -np.inf, -1.0, 0.0, 0.1, 7.35, 735.0, -17.8, 60.0]),
    st.floats(0.0, 300.0, width=32),
)
SIDES = st.sampled_from([AT_OR_BELOW, MEASURED, MEASURED, AT_OR_ABOVE])
EVERY_KIND = ("Lactate", "HR", "Urine", "GCS", "MechVent")
ROWS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from([0.0, 0.1, 0.5, 47.9, np.nan, np.inf]),
        st.integers(-2, len(CHALLENGE) + 1),
        NUMBERS,
        SIDES,
    ),
    max_size=60,
)
# Few keys and believable values, so that duplicates and conflicts are the rule.
CROWDED = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from([0.0, 1.0]),
        st.sampled_from([CHALLENGE.channel(name) for name in EVERY_KIND]),
        st.sampled_from([0.1, 0.7, 1.0, 3.0, 4.0, 9.0, 33.3, 40.0, 9000.0]),
        SIDES,
    ),
    max_size=60,
)
Row = tuple[int, float, int, float, int]


def table(rows: list[Row]) -> Observations:
    columns = np.array(rows, dtype=float).reshape(-1, 5).T
    series, channels, sides = (columns[place].astype(int) for place in (0, 2, 4))
    return Observations(series, columns[1], channels, columns[3], sides)


def one(name: str, value: float, time: float = 1.0, side: int = 0) -> Reason:
    cleaned = clean(table([(0, time, CHALLENGE.channel(name), value, side)]), CHALLENGE)
    return Reason(cleaned.reasons[0])


def merged(name: str, *values: float | tuple[float, int]) -> tuple[float, int, dict[str, int]]:
    """Return value and side of what rows at one time become, and the rows by reason."""
    pairs = [value if isinstance(value, tuple) else (value, MEASURED) for value in values]
    rows = [(0, 1.0, CHALLENGE.channel(name), value, side) for value, side in pairs]
    cleaned = clean(table(rows), CHALLENGE)
    kept = cleaned.observations
    counts = {drop.reason: drop.rows for drop in cleaned.report.drops}
    return float(kept.values[0]), int(kept.censoring[0]), counts


def assert_equal(left: Observations, right: Observations) -> None:
    for a, b in zip(astuple(left), astuple(right), strict=True):
        np.testing.assert_array_equal(a, b)


@settings(max_examples=40)
@given(st.one_of(ROWS, CROWDED))
def test_every_row_is_accounted_for(rows: list[Row]) -> None:
    cleaned = clean(table(rows), CHALLENGE)
    assert cleaned.report.is_balanced
    assert cleaned.report.read == len(rows) == len(cleaned.reasons)
    assert cleaned.report.kept == len(cleaned.observations) == np.sum(cleaned.reasons == 0)


@settings(max_examples=40)
@given(st.one_of(ROWS, CROWDED))
def test_what_is_kept_is_clean_sorted_and_unique(rows: list[Row]) -> None:
    kept = clean(table(rows), CHALLENGE).observations
    keys = list(
        zip(
            kept.series_indices.tolist(),
            kept.times_hours.tolist(),
            kept.channels.tolist(),
            strict=True,
        )
    )
    assert keys == sorted(set(keys))
    for channel, value in zip(kept.channels, kept.values, strict=True):
        low, high = CHALLENGE[channel].plausible_range
        assert low <= value <= high


@settings(max_examples=40)
@given(st.one_of(ROWS, CROWDED))
def test_cleaning_twice_changes_nothing(rows: list[Row]) -> None:
    first = clean(table(rows), CHALLENGE)
    second = clean(first.observations, CHALLENGE)
    assert second.report.drops == ()
    assert_equal(first.observations, second.observations)


@settings(max_examples=40)
@given(st.one_of(ROWS, CROWDED), st.randoms(use_true_random=False))
def test_the_order_of_rows_means_nothing(rows: list[Row], random: Random) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    expected, found = clean(table(rows), CHALLENGE), clean(table(shuffled), CHALLENGE)
    assert expected.report == found.report
    assert_equal(expected.observations, found.observations)


@settings(max_examples=40)
@given(CROWDED, st.randoms(use_true_random=False))
def test_a_row_that_came_twice_weighs_once_unless_it_is_an_amount(
    rows: list[Row], random: Random
) -> None:
    rows = [row for row in rows if CHALLENGE[row[2]].kind is not Kind.AMOUNT]
    again = [row for row in rows if random.random() < 0.5]
    expected, found = clean(table(rows), CHALLENGE), clean(table(rows + again), CHALLENGE)
    assert_equal(expected.observations, found.observations)


@settings(max_examples=40)
@given(ROWS)
def test_a_series_is_cleaned_as_if_it_were_alone(rows: list[Row]) -> None:
    together = clean(table(rows), CHALLENGE).observations
    for series in range(4):
        alone = clean(table([row for row in rows if row[0] == series]), CHALLENGE).observations
        mine = together.series_indices == series
        np.testing.assert_array_equal(together.values[mine], alone.values)
        np.testing.assert_array_equal(together.times_hours[mine], alone.times_hours)


@pytest.mark.parametrize(
    ("name", "value"),
    [("pH", 735.0), ("Temp", -17.8), ("SysABP", 0.0), ("MAP", 0.0), ("HR", -1.0), ("FiO2", 21.0)],
)
def test_an_impossible_value_is_dropped_not_repaired(name: str, value: float) -> None:
    assert one(name, value) is Reason.IMPLAUSIBLE_VALUE


@pytest.mark.parametrize("name", [variable.name for variable in CHALLENGE])
def test_both_ends_of_a_plausible_range_belong_to_it(name: str) -> None:
    low, high = CHALLENGE[CHALLENGE.channel(name)].plausible_range
    assert one(name, low) is one(name, high) is Reason.KEPT
    assert one(name, low - max(1e-5 * abs(low), 1e-9)) is Reason.IMPLAUSIBLE_VALUE
    assert one(name, high + 1e-5 * abs(high)) is Reason.IMPLAUSIBLE_VALUE


@pytest.mark.parametrize("name", [variable.name for variable in CHALLENGE])
def test_an_end_of_the_range_that_went_through_float32_still_belongs_to_it(name: str) -> None:
    for end in CHALLENGE[CHALLENGE.channel(name)].plausible_range:
        assert one(name, float(np.float32(end))) is Reason.KEPT


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_have_a_reason(bad: float) -> None:
    assert one("HR", bad) is Reason.INVALID_VALUE
    assert one("HR", 80.0, time=bad) is Reason.INVALID_TIME
    assert one("HR", bad, time=bad) is Reason.INVALID_TIME  # the first rule that applies


def test_conflicting_rows_become_their_mean_and_equal_ones_are_duplicates() -> None:
    heart_rate = CHALLENGE.channel("HR")
    rows = [(0, 1.0, heart_rate, value, 0) for value in (80.0, 90.0, 80.0, 300.0)]
    cleaned: Cleaned = clean(table(rows), CHALLENGE)
    np.testing.assert_array_equal(cleaned.observations.values, [85.0])
    counts = {drop.reason: drop.rows for drop in cleaned.report.drops}
    assert counts == {"duplicate": 1, "conflict_averaged": 1, "implausible_value": 1}


def test_many_equal_rows_keep_their_value_to_the_last_bit() -> None:
    rows = [(0, 1.0, CHALLENGE.channel("Lactate"), 0.1, 0)] * 6
    assert clean(table(rows), CHALLENGE).observations.values[0] == 0.1


def test_no_row_at_all_is_no_special_case() -> None:
    cleaned = clean(table([]), CHALLENGE)
    assert len(cleaned.observations) == 0
    assert cleaned.report.is_balanced


def test_amounts_at_one_time_add_up_also_equal_ones() -> None:
    assert merged("Urine", 100.0, 50.0, 50.0) == (200.0, MEASURED, {"amount_added": 2})


def test_amounts_that_are_not_believable_together_are_all_dropped() -> None:
    highest = CHALLENGE[CHALLENGE.channel("Urine")].plausible_range[1]
    rows = [(0, 1.0, CHALLENGE.channel("Urine"), 0.9 * highest, 0)] * 2
    cleaned = clean(table(rows), CHALLENGE)
    assert len(cleaned.observations) == 0
    np.testing.assert_array_equal(cleaned.reasons, [Reason.IMPLAUSIBLE_VALUE] * 2)


def test_of_scores_the_lower_median_is_kept_and_it_was_charted() -> None:
    assert merged("GCS", 15.0, 3.0, 7.0, 15.0, 9.0) == (
        7.0,
        MEASURED,
        {"duplicate": 1, "score_superseded": 3},
    )


def test_a_state_that_holds_beats_one_that_does_not() -> None:
    low, high = CHALLENGE[CHALLENGE.channel("MechVent")].plausible_range
    expected = (high, MEASURED, {"state_superseded": 1} if low < high else {})
    assert merged("MechVent", low, high) == expected


@pytest.mark.parametrize("name", EVERY_KIND)
@pytest.mark.parametrize("side", [AT_OR_BELOW, AT_OR_ABOVE])
def test_a_measured_value_beats_a_limit(name: str, side: int) -> None:
    value = CHALLENGE[CHALLENGE.channel(name)].plausible_range[1]
    expected = (value, MEASURED, {"censored_superseded": 1})
    assert merged(name, (value, side), value) == expected


def test_of_limits_the_tightest_is_kept() -> None:
    assert merged("Lactate", (2.0, -1), (1.0, -1), (1.0, -1)) == (
        1.0,
        AT_OR_BELOW,
        {"duplicate": 1, "censored_superseded": 1},
    )
    assert merged("Lactate", (2.0, 1), (4.0, 1)) == (4.0, AT_OR_ABOVE, {"censored_superseded": 1})
    assert merged("Lactate", (2.0, 1), (4.0, -1)) == (4.0, AT_OR_BELOW, {"censored_superseded": 1})


def test_a_limit_beyond_the_plausible_range_is_moved_to_its_end() -> None:
    low, high = CHALLENGE[CHALLENGE.channel("Na")].plausible_range
    assert merged("Na", (low - 1, AT_OR_BELOW))[:2] == (low, AT_OR_BELOW)
    assert merged("Na", (high + 1, AT_OR_ABOVE))[:2] == (high, AT_OR_ABOVE)
    assert merged("Na", (low - 1, AT_OR_ABOVE))[:2] == (low, AT_OR_ABOVE)
    far = 2 * (high - low)
    assert one("Na", low - far, side=AT_OR_BELOW) is Reason.IMPLAUSIBLE_VALUE
    assert one("Na", high + far, side=AT_OR_ABOVE) is Reason.IMPLAUSIBLE_VALUE
    assert one("Na", high + far, side=AT_OR_BELOW) is Reason.KEPT


def test_rows_can_be_judged_by_ranges_of_their_own() -> None:
    rows = table([(0, 1.0, CHALLENGE.channel("HR"), 190.0, 0)] * 2)
    ranges = np.array([[100.0, 0.0], [200.0, 180.0]])
    reasons = clean(rows, CHALLENGE, ranges).reasons
    np.testing.assert_array_equal(reasons, [Reason.KEPT, Reason.IMPLAUSIBLE_VALUE])
