import pytest

from model.records.unit_texts import (
    is_no_unit,
    looks_like_unit,
    split_bracket,
    split_code,
    split_suffix,
)

UNITS = (
    "mg/dL gm/dL µmol/l μmol/L 10^9/l 10*9/L ng/l G/L Kg mval/l Percent % mmHg mm[Hg] /min U/L "
    "mL/kg/h [degF] °C Cel K/uL cmH2O mOsm/kg 1 {score} mL/min/1.73m2 mL/min/{1.73_m2}"
)


def test_units_look_like_units() -> None:
    assert [unit for unit in UNITS.split() if not looks_like_unit(unit)] == []


@pytest.mark.parametrize("text", ["", "total", "left arm", "8867-4", "50971", "arterial", "a/b c"])
def test_words_do_not(text: str) -> None:
    assert not looks_like_unit(text)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("HR [bpm]", ("HR", "bpm")),
        ("Temp (°C)", ("Temp", "°C")),
        ("MAP [mm[Hg]]", ("MAP", "mm[Hg]")),
        ("BP (systolic)", ("BP (systolic)", None)),
        ("[mg/dL]", ("[mg/dL]", None)),
        (" HR ", ("HR", None)),
        ("odd]", ("odd]", None)),
    ],
)
def test_brackets_say_the_unit(header: str, found: tuple[str, str | None]) -> None:
    assert split_bracket(header) == found


def test_ends_say_the_unit() -> None:
    assert split_suffix("K_mmol_L") == ("K", "mmol/L")
    assert split_suffix("_kg") == ("_kg", None)


def test_codes_say_the_unit() -> None:
    assert split_code("A//B//mg/dL") == ("A//B", "mg/dL")
    assert is_no_unit(" N/A ")
