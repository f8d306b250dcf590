"""Laws of `catalogue check`: all faults with their place, and the warnings."""

from pathlib import Path

import pytest

from model.data.catalogue import shipped_catalogue
from model.data.catalogue_table import write_catalogue
from training.catalogue.checking import CheckedTable, check_catalogue

HEADER = (
    "role,name,unit,codes,aliases,kind,low,high,molar_mass,typical_low,typical_median,typical_high"
)


def checked(folder: Path, *rows: str, header: str = HEADER) -> CheckedTable:
    path = folder / "catalogue.csv"
    path.write_text("\n".join((header, *rows)) + "\n")
    return check_catalogue(path)


def test_all_faults_are_listed_with_line_and_column(tmp_path: Path) -> None:
    found = checked(
        tmp_path,
        ",A,mg/dL,LOINC//8867-5,,level,1,9,,,,",
        ",B,mg/dL,,pulse,level,9,1,,,,",
        ",C,,,pulse,lvl,0,x,,,,",
        ",D,mg/dL,,,level,0,10,,20,30,40",
    )
    text = "\n".join(found.faults)
    for place in ("line 2, codes", "line 3, low, high", "line 4, unit", "line 4, kind"):
        assert place in text
    for place in ("line 4, high", "line 4, aliases", "line 5, typical"):
        assert place in text
    assert "cannot be used" in list(found.lines())[-1]


@pytest.mark.parametrize(
    ("rows", "warning"),
    [
        ([",A,quux,,,level,1,9,,,,"], "the unit quux is not read"),
        ([",A,mmol,,,level,2,9,,2,2,3"], "ends at the typical median"),
        ([",A,mmol,,,level,1,9000,,,,"], "consider the transform log"),
        ([",A,mmol,,b,level,1,9,,,,", ",B,mmol,,,level,1,9,,,,"], "both answer to `b`"),
        ([",A,mmol,,x,level,1,9,,,,", "static,B,kg,,x,,1,9,,,,"], "is a variable and a static"),
        ([",Glucose,mg/dL,,,level,1,900,,,,"], "molar mass is missing"),
        ([",HR,kg,,,level,1,300,,,,"], "of another quantity"),
        ([",HR,/min,,,amount,1,300,,,,"], "the kind is amount"),
        ([",A,1,,,state,0,5,,,,"], "usually 0 or 1"),
    ],
)
def test_what_a_person_may_overlook_is_a_warning(
    tmp_path: Path, rows: list[str], warning: str
) -> None:
    found = checked(tmp_path, *rows)
    assert not found.faults
    assert any(warning in line for line in found.warnings)


def test_the_shipped_catalogue_has_no_fault_and_no_warning(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.csv"
    write_catalogue(path, shipped_catalogue())
    found = check_catalogue(path)
    assert not found.faults
    assert not found.warnings


def test_a_spreadsheet_file_is_one_fault(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.xlsx"
    path.write_bytes(b"PK\x03\x04")
    [fault] = check_catalogue(path).faults
    assert "save the table as CSV" in fault
