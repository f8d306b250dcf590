"""Laws of the rows that are proposed for names that no catalogue knows."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.data.units import Conversion
from model.data.variables import Kind, Static, Variable
from model.errors import CatalogueError
from tests.training.catalogue.tables import entry_of, long_table, proposed
from training.catalogue.proposing import ProposalRules
from training.catalogue.shapes import log_offset_of, mixture_of, outward, range_of, step_of

RNG = np.random.default_rng(0)


def variable(folder: Path, table: pd.DataFrame) -> Variable:
    [entry] = proposed(folder, table).entries
    assert isinstance(entry.item, Variable)
    return entry.item


@settings(max_examples=50)
@given(
    st.lists(
        st.integers(-(10**9), 10**9).map(lambda number: number / 1000), min_size=30, max_size=200
    ),
    st.booleans(),
)
def test_a_range_holds_nearly_all_values_and_more(values: list[float], is_positive: bool) -> None:
    sample = np.abs(np.array(values)) if is_positive else np.array(values)
    low, high = range_of(sample, log_offset_of(sample) if is_positive else None)
    assert low < high
    assert np.mean((sample >= low) & (sample <= high)) >= 0.99
    assert low >= 0 or not is_positive


@given(st.integers(-(10**9), 10**9).map(lambda number: number / 1000), st.booleans())
def test_rounding_outward_never_goes_inward(value: float, is_up: bool) -> None:
    found = outward(value, is_up=is_up)
    tolerance = 1e-6 * abs(value)
    assert found >= value - tolerance if is_up else found <= value + tolerance
    assert abs(found - value) <= 0.11 * abs(value)


@pytest.mark.parametrize("step", [100.0, 10.0, 1.0, 0.1, 0.01, 0.001])
def test_the_step_is_the_coarsest_decimal_one(step: float) -> None:
    values = np.round(RNG.integers(100, 999, 500) * step, 6)
    assert step_of(values) == step
    assert step_of(np.append(values, [step / 3] * 3)) == step
    assert step_of(RNG.normal(size=500)) is None


def test_a_skewed_positive_variable_is_modeled_on_logarithms(tmp_path: Path) -> None:
    skewed = variable(tmp_path, long_table(RNG.lognormal(1, 1, 500).round(2), units="mg/dL"))
    even = variable(tmp_path, long_table(RNG.normal(100, 10, 500).round(1), units="mg/dL"))
    assert skewed.log_offset == 0.0
    assert skewed.plausible_range[0] > 0
    assert even.log_offset is None
    assert even.resolution == 0.1


def test_volumes_that_are_collected_are_amounts(tmp_path: Path) -> None:
    values = (RNG.lognormal(4, 1, 500) * (RNG.random(500) > 0.2)).round()
    found = variable(tmp_path, long_table(values, name="Chest drain left", units="mL"))
    assert found.kind is Kind.AMOUNT
    assert found.log_offset is not None
    assert found.log_offset > 0
    assert found.plausible_range[0] == 0.0


def test_few_whole_numbers_without_a_unit_are_a_score(tmp_path: Path) -> None:
    score = variable(tmp_path, long_table(RNG.integers(0, 11, 300).tolist(), name="Pain"))
    assert (score.kind, score.resolution, score.unit) == (Kind.ORDINAL, 1.0, "1")
    level = variable(tmp_path, long_table(RNG.integers(0, 11, 300).tolist(), units="cm[H2O]"))
    assert level.kind is Kind.LEVEL


def test_zero_and_one_are_a_state(tmp_path: Path) -> None:
    found = variable(tmp_path, long_table(RNG.integers(0, 2, 300).tolist(), name="Dialysis"))
    assert (found.kind, found.plausible_range) == (Kind.STATE, (0.0, 1.0))


def test_the_unit_is_the_most_frequent_one_and_others_are_converted_or_named(
    tmp_path: Path,
) -> None:
    values = [*RNG.normal(30, 3, 200).round(1), *RNG.normal(300, 30, 60).round(), *[7.0] * 40]
    units = ["g/dL"] * 200 + ["g/L"] * 60 + ["parsec"] * 40
    [entry] = proposed(tmp_path, long_table(values, units=units)).entries
    assert entry.item.unit == "g/dL"
    assert entry.item.plausible_range[1] < 100
    assert any("parsec" in note for note in entry.notes)


def test_a_placeholder_is_named_and_lies_outside_the_range(tmp_path: Path) -> None:
    values = [*RNG.normal(50, 5, 300).round(1), *[9999] * 40]
    [entry] = proposed(tmp_path, long_table(values, units="mmol")).entries
    assert entry.item.plausible_range[1] < 200
    assert any("9999" in note for note in entry.notes)
    assert entry.seen.outside == 40


def test_two_units_in_one_column_are_seen() -> None:
    values = np.append(RNG.normal(37, 0.5, 300), RNG.normal(98.6, 0.9, 60))
    fahrenheit = Conversion(5 / 9, -160 / 9)
    subjects = np.arange(len(values)) % 20
    found = mixture_of(values, subjects, [("[degF]", fahrenheit)], 5)
    assert found is not None
    assert (found.unit, found.low) == ("[degF]", 37)
    assert found.high == pytest.approx(98.6, abs=1)
    assert mixture_of(values, np.zeros_like(subjects), [("[degF]", fahrenheit)], 5) is None
    assert mixture_of(values[:300], subjects[:300], [("[degF]", fahrenheit)], 5) is None
    skewed = RNG.lognormal(1, 1, 1000)
    assert mixture_of(skewed, np.arange(1000), [("x", Conversion(0.1))], 5) is None


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["asleep", "awake"] * 100, "words"),
        ([3.5] * 200, "the same"),
        (list(range(50_000, 50_300)), "identifiers"),
        ([2 * (n // 20) + 5 + (n // 20 % 3) * 0.5 for n in range(300)], "clock"),
    ],
)
def test_what_is_no_variable_is_named_with_its_reason(
    tmp_path: Path, values: list[object], reason: str
) -> None:
    usual = long_table(RNG.normal(size=300), name="Usual")
    [left_out] = proposed(tmp_path, long_table(values), usual).left_out
    assert left_out.name == "Spark"
    assert reason in left_out.reason


def test_a_rare_variable_is_left_out_and_the_limit_cannot_be_lowered(tmp_path: Path) -> None:
    few = long_table(RNG.normal(size=40), num_subjects=4)
    usual = long_table(RNG.normal(size=300), name="Usual")
    proposal = proposed(tmp_path, few, usual)
    assert [entry.item.name for entry in proposal.entries] == ["Usual"]
    assert "fewer than 5" in proposal.left_out[0].reason
    with pytest.raises(CatalogueError, match="5 or more"):
        ProposalRules(min_subjects=1)


def test_the_commonest_variables_are_kept(tmp_path: Path) -> None:
    tables = [
        long_table(RNG.normal(size=10 * size), name=f"V{size}", num_subjects=size)
        for size in (6, 8, 10)
    ]
    proposal = proposed(tmp_path, *tables, rules=ProposalRules(max_variables=2))
    assert [entry.item.name for entry in proposal.entries] == ["V10", "V8"]
    assert [one.name for one in proposal.left_out] == ["V6"]


def test_what_is_said_once_or_at_every_time_is_a_static(tmp_path: Path) -> None:
    usual = long_table(RNG.normal(size=400), name="Usual")
    at_all_times = usual.assign(variable="Ward days", value=usual.subject_id * 1.5)
    switch = usual.assign(variable="Unit1", value=usual.subject_id % 2)
    without_time = usual.drop_duplicates("subject_id").assign(
        variable="Wealth", time=None, value=lambda table: table.subject_id**2 + 0.5
    )
    words = without_time.assign(variable="Blood group", value=["A", "B", "a"] * 6 + ["rare", "AB"])
    proposal = proposed(tmp_path, usual, at_all_times, switch, without_time, words)
    names = ["Ward days", "Unit1", "Wealth", "Blood group"]
    found = [entry_of(proposal, name).item for name in names]
    assert all(isinstance(item, Static) for item in found)
    assert isinstance(found[3], Static)
    assert found[3].categories == ("A", "B")
    assert found[1].plausible_range == (0.0, 1.0)
    assert isinstance(entry_of(proposal, "Usual").item, Variable)


def test_nothing_of_one_patient_is_echoed(tmp_path: Path) -> None:
    """A word, an extreme value and the exact quartiles stay where they are."""
    values = [*RNG.normal(50, 5, 399), 77.123456]
    table = long_table(values, units="mmol")
    words = long_table(["steady"] * 399 + ["Mrs Brown"], name="Word")
    secret = long_table([1.5] * 3, name="Letter of Mrs Brown", num_subjects=1)
    unit = long_table([50.0] * 3, units="Brown", num_subjects=1)
    proposal = proposed(tmp_path, table, words, secret, unit)
    proposal.write(tmp_path / "catalogue.csv")
    text = (tmp_path / "catalogue.csv").read_text() + "\n".join(proposal.lines())
    assert "Brown" not in text
    assert "77.12" not in text
    numbers = re.findall(r"\d+\.\d+", text)
    assert all(len(number.replace(".", "").lstrip("0")) <= 3 for number in numbers)
