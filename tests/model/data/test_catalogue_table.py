"""A table gives the catalogue that it was written from, and every fault in it is named at once."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.data.catalogue import shipped_catalogue
from model.data.catalogue_table import (
    CatalogueTableError,
    is_loinc,
    read_catalogue,
    write_catalogue,
)
from model.data.variables import AgeRange, Catalogue, Kind, Static, Variable
from model.errors import CatalogueError

SHIPPED = shipped_catalogue()
HEADER = "role,name,unit,low,high,codes,kind,transform,step,molar_mass,conversions,age_ranges\n"


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "catalogue.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def faults(path: Path) -> set[tuple[int, str]]:
    with pytest.raises(CatalogueTableError) as error:
        read_catalogue(path)
    assert all(str(fault) in str(error.value) for fault in error.value.faults)
    return {(fault.line, fault.column) for fault in error.value.faults}


def test_the_shipped_table_is_written_as_it_stands(tmp_path: Path) -> None:
    write_catalogue(tmp_path / "written.csv", SHIPPED)
    assert read_catalogue(tmp_path / "written.csv") == SHIPPED


WORDS = st.text(st.sampled_from("abcXYZ µä09 ,\"'()%/"), min_size=1, max_size=12).map(str.strip)
NAMES = WORDS.filter(bool)
POSITIVE = st.floats(1e-9, 1e9)


@st.composite
def fields_of_variables(draw: st.DrawFn) -> dict[str, Any]:
    low, middle, high = sorted(draw(st.lists(POSITIVE, min_size=3, max_size=3, unique=True)))
    typical = st.none() | st.just((low, middle, high))
    bands = st.just((AgeRange(0.0, 0.5, low / 2, high), AgeRange(0.5, 3.0, low, high)))
    conversions = st.tuples(NAMES, POSITIVE, st.floats(-1e6, 1e6))
    return {
        "name": draw(NAMES),
        "description": draw(WORDS),
        "unit": draw(NAMES),
        "codes": draw(st.sampled_from([(), ("8867-4",), ("8867-4", "SNOMED//1234")])),
        "aliases": tuple(draw(st.lists(NAMES, max_size=1))),
        "plausible_range": (low, high),
        "range_source": draw(WORDS),
        "kind": draw(st.sampled_from([Kind.LEVEL, Kind.AMOUNT, Kind.STATE])),
        "log_offset": draw(st.none() | st.floats(0, 100)),
        "resolution": draw(st.none() | st.just((high - low) / 3)),
        "molar_mass": draw(st.none() | POSITIVE),
        "valence": draw(st.none() | st.integers(1, 4)),
        "conversions": tuple(draw(st.lists(conversions, max_size=2))),
        "age_ranges": draw(st.just(()) | bands),
        "typical": draw(typical),
    }


@given(fields=fields_of_variables(), categories=st.sampled_from([(), ("no", "yes")]))
def test_a_catalogue_survives_its_table(
    fields: dict[str, Any],
    categories: tuple[str, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    variable = Variable(**fields)
    static = Static(
        name=f"{variable.name} static",
        unit="1",
        plausible_range=(0.0, 1.0),
        categories=categories,
        category_aliases=(("n",), ()) if categories else (),
        aliases=("one", "two"),
    )
    path = tmp_path_factory.mktemp("table") / "catalogue.csv"
    catalogue = Catalogue((variable,), (static,))
    write_catalogue(path, catalogue)
    assert read_catalogue(path) == catalogue


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_that_excel_saved_is_read(tmp_path: Path, encoding: str, delimiter: str) -> None:
    text = io.StringIO()
    comma = "," if delimiter != "," else "."
    rows = (
        ("role", "Name", "unit", "low", "high", "aliases", "step", "conversions"),
        ("", "Laktat", "mmol/L", f"0{comma}1", "40", '"Laktat (Ä); lac"', f"0{comma}1", "x=1|0"),
        ("", "", "", "", "", "", "", ""),
    )
    text.write("\r\n".join(delimiter.join(row) for row in rows))
    path = tmp_path / "excel.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    (variable,) = read_catalogue(path).variables
    assert variable.plausible_range == (0.1, 40.0)
    assert variable.resolution == 0.1
    assert variable.aliases == ("Laktat (Ä)", "lac")


def test_little_is_needed(table: Callable[[str], Path]) -> None:
    path = table("name,unit,low,high,seen_rows,note\nHR,/min,20,250,17,mine\n")
    assert read_catalogue(path).variables == (
        Variable(name="HR", unit="/min", plausible_range=(20.0, 250.0)),
    )


def test_a_thousands_comma_is_not_taken_for_a_decimal_one(table: Callable[[str], Path]) -> None:
    assert faults(table('name,unit,low,high\nALT,U/L,1,"25,000"\n')) == {(2, "high")}


def test_categories_need_no_range(table: Callable[[str], Path]) -> None:
    text = "role,name,unit,low,high,categories\n,HR,/min,20,250,\nstatic,ward,1,,,a; b=c|d; e\n"
    (ward,) = read_catalogue(table(text)).statics
    assert ward.plausible_range == (0.0, 2.0)
    assert [ward.category(word) for word in ("A", "d", "e", "f")] == [0, 1, 2, None]


def test_all_faults_of_a_table_are_named_at_once(table: Callable[[str], Path]) -> None:
    text = HEADER + (
        "variable,HR,/min,20,250,8867-4,,,,,,\n"
        "variable,Na,,90,1e3x,Feb 75,sometimes,,,,,\n"
        "thing,K,mmol/L,1,12,,,,,,,\n"
        "variable,HR,/min,250,20,LOINC//8867-4,,,,,,\n"
        "variable,X,1,0,1,8867-5,,sqrt,abc,heavy,mmol,0..1=2\n"
    )
    assert faults(table(text)) == {
        *((3, column) for column in ("unit", "high", "codes", "kind")),
        (4, "role"),
        *((5, column) for column in ("name", "codes", "low, high")),
        *(
            (6, one)
            for one in ("codes", "transform", "step", "molar_mass", "conversions", "age_ranges")
        ),
    }


def test_columns_are_checked(table: Callable[[str], Path]) -> None:
    assert faults(table("name,low,high,molarmass\nHR,20,250,1\n")) == {
        (1, "unit"),
        (1, "molarmass"),
    }
    assert faults(table("name,unit,low,low,high\nHR,/min,2,2,3\n")) == {(1, "low")}
    assert faults(table("name,unit,low,high\n")) == {(1, "role")}
    assert (1, "name") in faults(table(""))


def test_no_cell_of_the_table_is_told(table: Callable[[str], Path]) -> None:
    with pytest.raises(CatalogueError) as error:
        read_catalogue(table("name,unit,low,high\nHR,/min,secret,250\n"))
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("content", [b"PK\x03\x04 xlsx", b'name,unit,low,high\n"HR'])
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "catalogue.csv"
    path.write_bytes(content)
    with pytest.raises(CatalogueError):
        read_catalogue(path)
    with pytest.raises(CatalogueError):
        read_catalogue(tmp_path / "gone.csv")


def test_what_a_table_cannot_hold_is_not_written(tmp_path: Path) -> None:
    odd = Variable(name="HR", unit="/min", plausible_range=(0.0, 1.0), aliases=("a;b",))
    with pytest.raises(CatalogueError):
        write_catalogue(tmp_path / "out.csv", Catalogue((odd,), ()))
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("code", "right"),
    [("8867-4", True), ("8867-5", False), ("2-4", False), ("8867", False), ("", False)],
)
def test_the_check_digit_of_loinc(code: str, right: bool) -> None:
    assert is_loinc(code) is right
