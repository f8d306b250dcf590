from pathlib import Path

import pyarrow as pa
import pytest

from model.records.codes import NO_MAP, CodeMap, Target, apply_codes, read_code_map
from model.records.errors import SourceError
from model.records.rows import row_batch
from tests.model.records.sources.reading import write


def _applied(
    codes: CodeMap, *rows: tuple[str | None, str | None], known: tuple[str, ...] = ()
) -> list[tuple[str | None, str | None]]:
    names, units = zip(*rows, strict=True)
    batch = row_batch(
        {
            "subject_id": pa.array(["1"] * len(rows)),
            "variable": pa.array(names, pa.string()),
            "unit": pa.array(units, pa.string()),
        }
    ).batch
    found = apply_codes(batch, codes, known.__contains__)
    assert found.schema == batch.schema
    return list(
        zip(found.column("variable").to_pylist(), found.column("unit").to_pylist(), strict=True)
    )


def test_a_map_renames_variables_and_supplies_the_unit_where_the_row_has_none() -> None:
    codes = CodeMap.of({"50931": {"variable": "Glucose", "unit": "mg/dL"}})
    found = _applied(codes, ("50931", None), ("50931", "mmol/L"), ("HR", None), (None, None))
    assert found == [("Glucose", "mg/dL"), ("Glucose", "mmol/L"), ("HR", None), (None, None)]


def test_what_programs_write_for_no_unit_is_no_unit() -> None:
    codes = CodeMap.of({"50931": {"variable": "Glucose", "unit": "mg/dL"}})
    assert _applied(codes, ("50931", "NA")) == [("Glucose", "mg/dL")]


@pytest.mark.parametrize(
    ("code", "variable", "unit"),
    [
        ("LAB//50971//mEq/L", "K", "mEq/L"),
        ("LAB//50971//UNK", "K", "mmol/L"),
        ("LAB//50971", "K", "mmol/L"),
        ("LAB//50971//odd words", "K", "mmol/L"),
    ],
)
def test_the_unit_that_a_code_ends_in_wins_over_the_map(
    code: str, variable: str, unit: str
) -> None:
    codes = CodeMap.of({"LAB//50971": {"variable": "K", "unit": "mmol/L"}})
    assert _applied(codes, (code, None)) == [(variable, unit)]


def test_an_unknown_end_is_passed_on_where_the_map_names_no_unit() -> None:
    assert _applied(CodeMap.of({"LAB//1": "K"}), ("LAB//1//odd words", None)) == [
        ("K", "odd words")
    ]


def test_codes_without_a_map_are_split_where_they_end_in_a_unit() -> None:
    found = _applied(
        NO_MAP,
        ("LAB//1//mEq/L", None),
        ("HR///min", None),
        ("LOINC//8867-4", None),
        ("GENDER//F", None),
        ("LAB//2//UNK", None),
    )
    assert found == [
        ("LAB//1", "mEq/L"),
        ("HR", "/min"),
        ("LOINC//8867-4", None),
        ("GENDER//F", None),
        ("LAB//2", None),
    ]


def test_a_name_that_ends_in_a_unit_is_split_where_the_catalogue_knows_what_stands_before() -> None:
    rows = (("glucose_mg_dl", None), ("lactate_mmol_l", None), ("odd_kg", None))
    found = _applied(NO_MAP, *rows, known=("glucose", "lactate_mmol_l"))
    assert found == [("glucose", "mg/dL"), ("lactate_mmol_l", None), ("odd_kg", None)]


def test_a_file_with_semicolons_and_a_mark_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "codes.csv", "code;variable;unit\n1;HR;\n 2 ;K; mmol/L \n", "utf-8-sig")
    assert read_code_map(path).entries == {"1": Target("HR"), "2": Target("K", "mmol/L")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the code map needs the columns code,variable,unit; `code` is missing"),
        ("code,name\n", "`variable` is missing, found code,name"),
        ("code,code,variable\n", "`code` stands there more than once"),
        ("code,variable\n1,HR\n1,K\n", "line 3, column `code`: the code `1` stands there already in line 2"),
        ("code,variable\n1,\n", "line 2, column `variable`: it is empty"),
        ("code,variable\n,HR\n", "line 2, column `code`: it is empty"),
        ("code,variable\n1,HR,/min,more\n", "line 2: it has more fields than the header"),
        ('code,variable\n1,"HR\n', "cannot be read as a CSV file"),
    ],
)  # fmt: skip
def test_a_map_with_a_fault_names_line_and_column(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_code_map(write(tmp_path / "codes.csv", text))
    assert str(caught.value).startswith("codes.csv: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"code,variable\n\xff,HR\n"])
def test_a_map_in_another_encoding_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "codes.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"codes\.csv: "):
        read_code_map(path)


@pytest.mark.parametrize(
    "entry",
    [1, None, [], {}, {"variable": 1}, {"variable": ""}, {"unit": "a"},
     {"variable": "a", "unit": 1}, {"variable": "a", "x": ""}],
)  # fmt: skip
def test_a_mapping_with_a_fault_names_the_code(entry: object) -> None:
    with pytest.raises(SourceError, match="the code map, `c1`: expected the name of a variable"):
        CodeMap.of({"c1": entry})


def test_targets_are_checked_by_the_catalogue(tmp_path: Path) -> None:
    codes = read_code_map(write(tmp_path / "codes.csv", "code,variable\n1,HR\n2,Hr\n"))
    codes.check({"HR", "Hr"}.__contains__)
    with pytest.raises(SourceError, match="line 3, column `variable`: the catalogue has no"):
        codes.check({"HR"}.__contains__)
    with pytest.raises(SourceError, match="`2`: the catalogue has no variable or static `Hr`"):
        CodeMap.of({"2": "Hr"}).check({"HR"}.__contains__)
