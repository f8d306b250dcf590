"""The shipped table holds what it promises, and a catalogue finds what tables call its variables."""

import copy
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.data.catalogue import shipped_catalogue
from model.data.catalogue_table import is_loinc
from model.data.variables import AgeRange, Catalogue, InvalidFieldsError, Static, Variable, folded
from model.errors import UnknownVariableError
from tests.catalogues import CHALLENGE

SHIPPED = shipped_catalogue()

# What the hourly table of the sepsis challenge of 2019 calls its columns, and other usual names.
NAMES = {
    "O2Sat": "SpO2",
    "SBP": "NISysABP",
    "DBP": "NIDiasABP",
    "MAP": "MAP",
    "Resp": "RespRate",
    "EtCO2": "EtCO2",
    "BaseExcess": "BaseExcess",
    "HCO3": "HCO3",
    "FiO2": "FiO2",
    "pH": "pH",
    "ph": "pH",
    "PaCO2": "PaCO2",
    "SaO2": "SaO2",
    "AST": "AST",
    "Alkalinephos": "ALP",
    "Calcium": "Calcium",
    "Chloride": "Chloride",
    "Creatinine": "Creatinine",
    "Bilirubin_direct": "BilirubinDirect",
    "Glucose": "Glucose",
    "Lactate": "Lactate",
    "Magnesium": "Mg",
    "Phosphate": "Phosphate",
    "Potassium": "K",
    "Bilirubin_total": "Bilirubin",
    "TroponinI": "TroponinI",
    "Hct": "HCT",
    "Hgb": "Hemoglobin",
    "PTT": "aPTT",
    "WBC": "WBC",
    "Fibrinogen": "Fibrinogen",
    "Platelets": "Platelets",
    "Temp": "Temp",
    "BUN": "BUN",
    "hr": "HR",
    "heart_rate": "HR",
    "Heart Rate": "HR",
    "pulse": "HR",
    "respiratory rate": "RespRate",
    "temperature": "Temp",
    "spo2": "SpO2",
    "sodium": "Na",
    "potassium": "K",
    "mbp": "NIMAP",
    "map": "MAP",
    "8480-6": "NISysABP",
    "8462-4": "NIDiasABP",
    "8478-0": "NIMAP",
    "76215-3": "SysABP",
    "76213-8": "DiasABP",
    "76214-6": "MAP",
    "59408-5": "SpO2",
    "LOINC//2708-6": "SaO2",
    "41653-7": "GlucoseFinger",
    "SNOMED//457441000124102": "RASS",
}


def test_the_challenge_comes_first_and_in_its_order() -> None:
    assert SHIPPED.variables[: len(CHALLENGE)] == CHALLENGE.variables
    assert SHIPPED.statics == CHALLENGE.statics
    assert len(CHALLENGE) == 37
    assert len(SHIPPED) > 130


def test_every_code_is_one_of_loinc_and_stands_once() -> None:
    items: tuple[Variable | Static, ...] = (*SHIPPED.variables, *SHIPPED.statics)
    codes = [code for item in items for code in item.codes]
    assert len(set(codes)) == len(codes)
    assert all(is_loinc(code) or "//" in code for code in codes)


def test_no_name_answers_for_two_variables() -> None:
    for items in (SHIPPED.variables, SHIPPED.statics):
        owners: dict[str, str] = {}
        for item in items:
            for word in {folded(one) for one in (item.name, *item.aliases)}:
                assert owners.setdefault(word, item.name) == item.name


def test_a_static_and_a_variable_share_no_name() -> None:
    for static in SHIPPED.statics:
        for word in (static.name, *static.aliases, *static.codes):
            assert SHIPPED.find(word) is None


@pytest.mark.parametrize("variable", SHIPPED.variables, ids=lambda one: one.name)
def test_a_variable_is_described_in_full(variable: Variable) -> None:
    assert variable.description
    assert variable.range_source
    assert variable.typical is not None or not variable.is_queryable


@pytest.mark.parametrize(("written", "name"), NAMES.items())
def test_what_tables_call_a_variable_is_found(written: str, name: str) -> None:
    channel = SHIPPED.find(written)
    assert channel is not None
    assert SHIPPED[channel].name == name
    assert SHIPPED.channel(written) == channel


@pytest.mark.parametrize(
    ("written", "name"),
    [("Age", "age_years"), ("gender", "sex"), ("Height", "height_cm"), ("8302-2", "height_cm")],
)
def test_what_tables_call_a_static_is_found(written: str, name: str) -> None:
    position = SHIPPED.find_static(written)
    assert position is not None
    assert SHIPPED.statics[position].name == name


def test_an_unknown_name_is_not_found() -> None:
    assert SHIPPED.find("furlongs") is None
    assert SHIPPED.find("") is None
    assert SHIPPED.find_static("HR") is None
    with pytest.raises(UnknownVariableError, match="TroponinI"):
        SHIPPED.channel("furlongs")


def test_a_name_that_two_variables_answer_to_is_nobodys() -> None:
    bounds = (0.0, 1.0)
    one = Variable(name="Na", unit="1", plausible_range=bounds, aliases=("salt",))
    two = Variable(name="NA", unit="1", plausible_range=bounds, aliases=("Salt", "both"))
    catalogue = Catalogue((one, two), ())
    assert (catalogue.find("Na"), catalogue.find("NA")) == (0, 1)
    assert catalogue.find("na") is None
    assert catalogue.find("salt") is None
    assert catalogue.find("BOTH") == 1


def test_select_keeps_the_order_of_the_names() -> None:
    few = SHIPPED.select(["WBC", "age_years", "hr"])
    assert [variable.name for variable in few] == ["WBC", "HR"]
    assert [static.name for static in few.statics] == ["age_years"]
    with pytest.raises(UnknownVariableError):
        SHIPPED.select(["furlongs"])


@pytest.mark.parametrize("word", ["male", "M", "m", "Man"])
def test_a_category_has_other_words(word: str) -> None:
    sex = SHIPPED.statics[SHIPPED.static_positions["sex"]]
    assert sex.category(word) == 1
    assert sex.category("unknown") is None


def test_json_gives_the_same_catalogue_again() -> None:
    assert Catalogue.from_json(json.loads(json.dumps(SHIPPED.to_json()))) == SHIPPED


def test_json_of_the_first_artifacts_is_read() -> None:
    old = {
        "name": "HR",
        "description": "Heart rate",
        "unit": "/min",
        "loinc": "8867-4",
        "also_loinc": ["8889-8"],
        "plausible_range": [20.0, 250.0],
        "range_source": "",
        "kind": "level",
        "log_offset": None,
        "resolution": 1.0,
    }
    static = {"name": "age_years", "unit": "a", "plausible_range": [0.0, 120.0], "categories": []}
    catalogue = Catalogue.from_json({"variables": [old], "statics": [static]})
    assert catalogue[0].codes == ("8867-4", "8889-8")
    assert catalogue[0].loinc == "8867-4"
    assert catalogue[0].aliases == ()


def test_a_newborn_of_1200_g_is_plausible_and_an_adult_is_not() -> None:
    weight = SHIPPED[SHIPPED.channel("Weight")]
    static = SHIPPED.statics[SHIPPED.static_positions["weight_kg"]]
    for item in (weight, static):
        low, high = item.plausible_range_at(0.01)
        assert low <= 1.2 <= high
        assert item.plausible_range_at(40.0) == item.plausible_range
        assert item.plausible_range_at(None) == item.plausible_range
    assert weight.widest_range[0] <= 1.2


def test_room_air_is_plausible() -> None:
    assert SHIPPED[SHIPPED.channel("FiO2")].plausible_range[0] <= 0.209


@given(ages=st.lists(st.floats(0, 120) | st.just(math.nan), max_size=6))
def test_ranges_of_many_subjects_are_those_of_each(ages: list[float]) -> None:
    ranges = SHIPPED.plausible_ranges_at(np.array(ages))
    assert ranges.shape == (2, len(ages), len(SHIPPED))
    for row, age in enumerate(ages):
        known = None if math.isnan(age) else age
        for channel in (SHIPPED.channel("Weight"), SHIPPED.channel("HR"), SHIPPED.channel("Na")):
            expected = SHIPPED[channel].plausible_range_at(known)
            assert tuple(ranges[:, row, channel]) == expected


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"plausible_range": (5.0, 1.0)}, "plausible_range"),
        ({"plausible_range": (0.0, math.inf)}, "plausible_range"),
        ({"log_offset": 0.0}, "log_offset"),
        ({"molar_mass": 0.0}, "molar_mass"),
        ({"valence": 0}, "valence"),
        ({"conversions": (("x", 0.0, 0.0),)}, "conversions"),
        ({"age_ranges": (AgeRange(2.0, 1.0, 0.0, 1.0),)}, "age_ranges"),
        ({"typical": (1.0, 3.0, 2.0)}, "typical"),
        ({"typical": (1.0, 3.0, 200.0)}, "typical"),
    ],
)
def test_fields_that_contradict_are_refused(change: dict[str, object], field: str) -> None:
    fields: dict[str, object] = {"name": "x", "unit": "1", "plausible_range": (0.0, 100.0)}
    with pytest.raises(InvalidFieldsError) as error:
        Variable(**fields | change)  # type: ignore[arg-type]
    assert {fault.field for fault in error.value.faults} == {field}


def test_categories_are_distinct() -> None:
    with pytest.raises(InvalidFieldsError, match="distinct"):
        Static(
            name="x",
            unit="1",
            plausible_range=(0.0, 1.0),
            categories=("female", "male"),
            category_aliases=(("m",), ("M",)),
        )


def test_a_catalogue_travels_without_what_was_derived_from_it() -> None:
    catalogue = shipped_catalogue().select(["HR", "age_years"])
    catalogue.derived[lambda: None] = "what no other process could make again"
    # What is sent to another process goes the same way as a copy.
    copied = copy.copy(catalogue)
    assert copied == catalogue
    assert not copied.derived
