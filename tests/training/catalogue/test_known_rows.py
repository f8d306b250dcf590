"""Laws of the rows that a proposal takes from the known catalogue."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model.data.catalogue import shipped_catalogue
from model.data.variables import Catalogue, Static, Variable
from tests.training.catalogue.tables import long_table, proposed
from training.catalogue.proposal import Entry
from training.catalogue.proposing import joined

RNG = np.random.default_rng(1)
SHIPPED = shipped_catalogue()


def entry(folder: Path, table: pd.DataFrame) -> Entry:
    [found] = proposed(folder, table, known=SHIPPED).entries
    return found


def variable(folder: Path, table: pd.DataFrame) -> Variable:
    item = entry(folder, table).item
    assert isinstance(item, Variable)
    return item


@pytest.mark.parametrize("name", ["HR", "hr", "Heart_Rate", "8867-4", "LOINC//8867-4", "pulse"])
def test_a_name_a_code_and_an_alias_give_the_known_row(tmp_path: Path, name: str) -> None:
    found = variable(tmp_path, long_table(RNG.normal(80, 9, 300).round(), name=name))
    known = SHIPPED[SHIPPED.channel("HR")]
    assert (found.name, found.codes, found.unit) == (known.name, known.codes, known.unit)
    assert found.typical is not None
    assert found.typical[1] == pytest.approx(80, abs=2)
    assert Catalogue((found,), ()).find(name) == 0


def test_values_in_another_unit_are_measured_in_the_known_one(tmp_path: Path) -> None:
    table = long_table(RNG.normal(7, 1, 300).round(1), name="Glucose", units="mmol/L")
    found = variable(tmp_path, table)
    assert found.unit == "mg/dL"
    assert found.typical is not None
    assert found.typical[1] == pytest.approx(126, rel=0.05)


def test_a_column_that_seems_to_be_in_another_unit_gives_no_typical_values(
    tmp_path: Path,
) -> None:
    """With its own middle as the usual one, an import would believe it."""
    table = long_table(RNG.normal(98.6, 0.7, 300).round(1), name="Temp")
    proposal = proposed(tmp_path, table, known=SHIPPED)
    [found] = proposal.entries
    assert isinstance(found.item, Variable)
    assert found.item.typical == SHIPPED[SHIPPED.channel("Temp")].typical
    assert proposal.accepts == (("Temp", "[degF]"),)
    assert any("--accept-suspected 'Temp=[degF]'" in note for note in found.notes)


def test_two_units_in_one_column_are_noted(tmp_path: Path) -> None:
    values = [*RNG.normal(7, 1, 150).round(1), *RNG.normal(140, 20, 450).round()]
    found = entry(tmp_path, long_table(values, name="Glucose"))
    assert "mmol/L" in found.seen.mixture


def test_a_range_that_leaves_values_out_is_widened_but_no_percentage_beyond_100(
    tmp_path: Path,
) -> None:
    values = np.append(RNG.normal(80, 9, 280), RNG.normal(400, 3, 20)).round()
    found = variable(tmp_path, long_table(values, name="HR"))
    assert found.plausible_range[1] >= values.max() * 0.99
    shares = np.append(RNG.normal(97, 1, 280).clip(0, 100), np.full(20, 104)).round()
    saturation = variable(tmp_path, long_table(shares, name="SpO2"))
    assert saturation.plausible_range[1] == 100


def test_a_known_static_is_a_static(tmp_path: Path) -> None:
    usual = long_table(RNG.normal(80, 9, 300).round(), name="HR")
    ages = usual.assign(variable="Age", value=usual.subject_id + 40)
    sexes = usual.assign(variable="Gender", value=usual.subject_id % 2)
    entries = proposed(tmp_path, usual, ages, sexes, known=SHIPPED).entries
    found = [one.item.name for one in entries if isinstance(one.item, Static)]
    assert found == ["age_years", "sex"]
    assert any("0 is female, 1 is male" in note for one in entries for note in one.notes)


def test_an_own_catalogue_comes_before_the_shipped_one() -> None:
    own = Catalogue(
        (
            Variable(
                name="Pulse", unit="/min", plausible_range=(0.0, 400.0), aliases=("heart rate",)
            ),
        ),
        (Static(name="weight_kg", unit="kg", plausible_range=(0.0, 500.0)),),
    )
    both = joined(own, SHIPPED)
    assert both[both.channel("Heart Rate")].name == "Pulse"
    assert both[both.channel("pulse")].name == "Pulse"
    assert both.find("K") is not None
    assert [one.name for one in both.statics].count("weight_kg") == 1
