"""Code maps: which code means which variable, in which unit, and errors that say the line."""

from pathlib import Path

import pytest

from tests.catalogues import CHALLENGE
from training.datasets.codes import CodeMap, Target, read_code_map, resolve, split_unit
from training.datasets.errors import SourceFormatError


def code_map(tmp_path: Path, *lines: str) -> CodeMap:
    path = tmp_path / "map.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_code_map(path)


def test_a_code_is_found_whole_and_before_its_unit(tmp_path: Path) -> None:
    found = code_map(tmp_path, "code,variable,unit", "LAB//1,Na,", "X//y//z,2823-3,mmol/L")
    assert found.find("LAB//1") == Target("Na", None)
    assert found.find("LAB//1//mmol/L") == Target("Na", "mmol/L")
    assert found.find("X//y//z") == Target("K", "mmol/L")
    assert found.find("LAB//2") is None
    assert found.find("LAB") is None


def test_the_unit_of_the_code_wins_over_the_map_and_an_unknown_one_is_not_guessed() -> None:
    stated, open_ended = CodeMap({"T": Target("Temp", "Cel")}), CodeMap({"T": Target("Temp")})
    assert stated.find("T//°F") == Target("Temp", "°F")
    assert stated.find("T//UNK") == Target("Temp", "Cel")
    assert stated.find("T//oral") == Target("Temp", "Cel")
    assert open_ended.find("T//UNK") == Target("Temp", None)
    assert open_ended.find("T//furlong") == Target("Temp", "furlong")


def test_a_unit_that_fits_no_variable_of_that_name_is_passed_on_to_be_refused() -> None:
    assert CodeMap({"T": Target("Temp", "Cel")}).find("T//mmHg") == Target("Temp", "mmHg")


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        ("HR", ("", "")),
        ("HR//bpm", ("HR", "bpm")),
        ("HR///min", ("HR", "/min")),
        ("LAB//1//mEq/L", ("LAB//1", "mEq/L")),
        ("LAB//1//", ("LAB//1", "")),
    ],
)
def test_a_unit_is_split_off(code: str, parts: tuple[str, str]) -> None:
    assert split_unit(code) == parts


def test_the_map_wins_over_the_catalogue() -> None:
    assert resolve("HR", CHALLENGE, CodeMap({"HR": Target("RespRate")})) == Target("RespRate")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("variable,unit", "HR,"), "no column 'code'"),
        (("code,unit", "x,"), "no column 'variable'"),
        (("code,variable,unit", "x,HR,", "y,Pulse,"), "line 3: unknown variable 'Pulse'"),
        (("code,variable,unit", "x,HR,", "x,K,"), "line 3: the code 'x'"),
        (("code,variable,unit", "x"), "line 2: unknown variable"),
        ((), "an empty file|no column"),
    ],
)
def test_a_bad_map_is_refused_with_the_place(
    tmp_path: Path, lines: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SourceFormatError, match=message):
        code_map(tmp_path, *lines)


def test_a_map_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceFormatError, match=r"gone\.csv"):
        read_code_map(tmp_path / "gone.csv")
