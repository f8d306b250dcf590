"""The commands as a user types them."""

import csv
from pathlib import Path

import pyarrow.csv
import pytest
from typer.testing import CliRunner, Result

from model.data.catalogue import shipped_catalogue
from model.data.catalogue_table import read_catalogue
from model.data.reasons import Reason
from model.records.sources.options import SourceFormat, SourceOptions
from tests.hourly_table import STATICS, VARIABLES, hourly_table, write_hourly_csv
from training.__main__ import app
from training.catalogue.from_source import propose_from
from training.datasets.importing import ImportOptions, import_source
from training.datasets.meds import read_cohort

CSV = SourceOptions(format=SourceFormat.CSV)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hourly_csv(tmp_path_factory.mktemp("hourly") / "hourly.csv", 60, seed=3)


def test_a_table_is_proposed_checked_and_shown(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "catalogue.csv"
    told = run("catalogue", "propose", source, "--out", out)
    assert told.exit_code == 0, told.output
    assert f"catalogue check {out}" in told.output
    assert f"import table {source} --catalogue {out}" in told.output
    again = run("catalogue", "propose", source, "--out", out)
    assert again.exit_code == 2
    assert run("catalogue", "check", out).exit_code == 0
    shown = run("catalogue", "show", out)
    assert "Hemoglobin" in shown.output
    one = run("catalogue", "show", out, "--variable", "hgb")
    assert "g/dL" in one.output
    assert "718-7" in run("catalogue", "show", "--variable", "718-7").output
    assert run("catalogue", "show", out, "--variable", "nonsense").exit_code == 1


def test_a_table_with_faults_gives_exit_status_1(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.csv"
    path.write_text("name,unit,low,high\nA,kg,2,1\n")
    told = run("catalogue", "check", path)
    assert told.exit_code == 1
    assert "line 2, low, high" in told.output


def test_every_row_of_a_wide_table_is_used_or_refused_for_a_reason_that_is_not_unknown(
    source: Path, tmp_path: Path
) -> None:
    out, data = tmp_path / "catalogue.csv", tmp_path / "data"
    propose_from(source, CSV).proposal.write(out)
    with out.open(encoding="utf-8-sig") as file:
        names = {row["seen_names"] for row in csv.DictReader(file)}
    table = pyarrow.csv.read_csv(source)
    filled = {name for name in VARIABLES if table.column(name).null_count < table.num_rows}
    assert names == filled | set(STATICS)
    options = ImportOptions(source=CSV, catalogue=read_catalogue(out))
    report = import_source(source, data, options)
    assert report.dropped_for(Reason.UNKNOWN_VARIABLE.code) == 0
    assert report.dropped_for(Reason.IMPLAUSIBLE_VALUE.code) == 0
    assert report.dropped == report.dropped_for(Reason.DUPLICATE.code)


def test_a_proposal_from_the_imported_records_is_the_same(source: Path, tmp_path: Path) -> None:
    first, second, data = tmp_path / "1.csv", tmp_path / "2.csv", tmp_path / "data"
    propose_from(source, CSV).proposal.write(first)
    import_source(source, data, ImportOptions(source=CSV, catalogue=read_catalogue(first)))
    meds = SourceOptions(format=SourceFormat.MEDS)
    propose_from(data, meds).proposal.write(second)
    assert read_catalogue(second) == read_catalogue(first)
    assert {one.name for one in read_cohort(data).catalogue} == {
        one.name for one in read_catalogue(first)
    }


def test_names_that_nobody_knows_survive_the_way_through_an_import(tmp_path: Path) -> None:
    """The same table with all of its names replaced: nothing is taken from the shipped catalogue."""
    table = hourly_table(60, seed=4)
    names = [
        name if name in ("stay_id", "ICULOS") else f"var {name[::-1]}"
        for name in table.column_names
    ]
    source, first, second = tmp_path / "a.csv", tmp_path / "1.csv", tmp_path / "2.csv"
    pyarrow.csv.write_csv(table.rename_columns(names), source)
    propose_from(source, CSV).proposal.write(first)
    own = read_catalogue(first)
    assert not [one.name for one in own if shipped_catalogue().find(one.name) is not None]
    report = import_source(source, tmp_path / "data", ImportOptions(source=CSV, catalogue=own))
    assert report.dropped_for(Reason.IMPLAUSIBLE_VALUE.code) == 0
    unknown = {one.text for one in report.unknown_names}
    left_out = {one.name for one in propose_from(source, CSV).proposal.left_out}
    assert unknown <= left_out
    propose_from(tmp_path / "data", SourceOptions(format=SourceFormat.MEDS)).proposal.write(second)
    assert read_catalogue(second) == own


def test_a_birth_gives_an_age_and_an_empty_column_is_named(tmp_path: Path) -> None:
    rows = ["subject_id,time,HR,Empty,glucose_mg_dl"]
    for subject in range(10):
        rows += [f"{subject},2024-01-0{day}T10:00,{70 + subject},,{100 + day}" for day in (1, 2, 3)]
    source = tmp_path / "a.csv"
    source.write_text("\n".join(rows) + "\n")
    proposal = propose_from(source, CSV).proposal
    assert [one.name for one in proposal.catalogue] == ["Glucose", "HR"]
    assert [one.name for one in proposal.left_out] == ["Empty"]
    long = ["subject_id,time,variable,value"]
    long += [f"{subject},1950-01-01,MEDS_BIRTH," for subject in range(10)]
    long += [f"{subject},2024-01-01T10:00,HR,{70 + subject}" for subject in range(10)]
    source.write_text("\n".join(long) + "\n")
    account = propose_from(source, CSV)
    assert [one.name for one in account.proposal.catalogue.statics] == ["age_years"]
    assert account.num_unread_times == 0


def test_times_that_are_not_understood_make_no_static_and_are_counted(tmp_path: Path) -> None:
    rows = ["subject_id,time,HR"]
    rows += [
        f"{subject},02/03/2024 10:0{minute},{70 + minute}"
        for subject in range(9)
        for minute in (1, 2)
    ]
    source = tmp_path / "a.csv"
    source.write_text("\n".join(rows) + "\n")
    account = propose_from(source, CSV)
    assert account.num_unread_times == 18
    assert [one.name for one in account.proposal.catalogue] == ["HR"]
    assert any("--columns time=" in line for line in account.lines())


def test_a_doubtful_unit_is_left_to_the_user(tmp_path: Path) -> None:
    source, out = tmp_path / "a.csv", tmp_path / "catalogue.csv"
    rows = [f"{n % 9},{n // 9},Temp,{98 + n % 13 / 10}" for n in range(90)]
    source.write_text("\n".join(["subject_id,time,variable,value", *rows]) + "\n")
    told = run("catalogue", "propose", source, "--out", out)
    option = "--accept-suspected 'Temp=[degF]'"
    assert option in told.output
    common = ("import", "table", source, "--catalogue", out, "--out", tmp_path / "data")
    refused = run(*common)
    assert refused.exit_code == 1
    taken = run(*common, "--accept-suspected", "Temp=[degF]")
    assert taken.exit_code == 0, taken.output
    assert len(read_cohort(tmp_path / "data").cohort.values) == 90
