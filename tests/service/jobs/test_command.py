"""`python -m service impute`: progress and sums on standard error, 0, 1 and 2 as exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from service.registry.registry import Registry
from tests.artifacts import write_version
from tests.service.jobs.tables import (
    observations,
    row,
    write_csv,
    write_meds,
    write_ndjson,
    write_parquet,
)
from tests.service.jobs.test_account import glucose
from tests.service.registry.versions import activate, add

ROWS = observations(5, seed=3, mean_observations=10)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service", "impute", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).resolve().parents[3],
        timeout=120,
    )


def test_a_job_runs_and_says_what_it_did(tiny_artifact: Path, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv", [*ROWS, row("z", 0.0, "nonsense", 1.0)])
    ran = run(
        *(source, tmp_path / "out", "--artifact", tiny_artifact, "--device", "cpu"),
        *("--variables", "HR,MAP", "--quantile-levels", "0.1,0.9", "--chunk-subjects", "2"),
        *("--output-format", "csv", "--max-quarantined-share", "0.5"),
    )
    assert ran.returncode == 0, ran.stderr
    assert "100 %  6/6 subjects" in ran.stderr
    assert "5 of 6 subjects answered" in ran.stderr
    assert "1 subjects quarantined" in ran.stderr
    parts = sorted((tmp_path / "out" / "parts").iterdir())
    assert [part.name for part in parts] == ["000000.csv", "000001.csv", "000002.csv"]
    names = pyarrow.csv.read_csv(parts[0]).column_names
    assert names[5:10] == ["comparator", "value", "standard_deviation", "q0.1", "q0.9"]
    assert not (tmp_path / "out" / "chunks").exists()


def test_a_meds_data_set_is_known_by_its_folder(tiny_artifact: Path, tmp_path: Path) -> None:
    source = write_meds(tmp_path / "in", [one for one in ROWS if one["time"] is not None])
    out = tmp_path / "out"
    ran = run(source, out, "--artifact", tiny_artifact, "--device", "cpu", "--own-times")
    assert ran.returncode == 0, ran.stderr
    assert str(pq.read_schema(out / "parts" / "000000.parquet").field("subject_id").type) == "int64"


def test_the_active_version_of_a_registry_answers(tiny_artifact: Path, tmp_path: Path) -> None:
    registry = Registry.open_or_make(tmp_path / "registry")
    for version in ("1", "2"):
        write_version(tiny_artifact, tmp_path / version, version)
        add(registry, tmp_path / version, version)
    source, out = write_parquet(tmp_path / "in.parquet", ROWS), tmp_path / "out"
    refused = run(source, out, "--artifact", registry.directory)
    assert refused.returncode == 1
    assert "no active version" in refused.stderr
    activate(registry, "1")
    ran = run(source, out, "--artifact", registry.directory, "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    table = pq.read_table(out / "parts" / "000000.parquet")
    assert {one.split()[1] for one in table["model_version"].to_pylist()} == {"1"}


def test_suspicions_are_told_and_accepted(tiny_artifact: Path, tmp_path: Path) -> None:
    source = write_ndjson(tmp_path / "in.ndjson", [glucose(0, 14.2), glucose(1, 11.0)])
    words = ("--artifact", tiny_artifact, "--device", "cpu", "--format", "fhir")
    ran = run(source, tmp_path / "a", *words)
    assert ran.returncode == 0, ran.stderr
    assert "2 input rows, unit_suspected: Glucose came without a unit" in ran.stderr
    ran = run(source, tmp_path / "b", *words, "--accept-suspected", "Glucose=mmol/L")
    assert "2 input rows, unit_accepted: " in ran.stderr
    assert "unit_suspected" not in ran.stderr


def test_a_table_of_another_hospital_is_read_by_its_own_names(
    tiny_artifact: Path, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text(
        "who,charttime,what,valuenum\n1,0,pulse rate,80\n1,60,220052,70\n1,90,T1,99.5\n"
    )
    (tmp_path / "codes.csv").write_text("code,variable,unit\n220052,MAP,mm[Hg]\n")
    (tmp_path / "catalogue.csv").write_text(
        "name,unit,low,high,aliases,codes\n"
        "Pulse,/min,20,300,pulse rate,LOINC//8867-4\n"
        "Temp,[degF],80,120,,ICU//T1\n"
        "Mood,1,0,10,T1,\n"
    )
    ran = run(
        *(tmp_path / "in.csv", tmp_path / "out", "--artifact", tiny_artifact, "--device", "cpu"),
        *("--columns", "subject_id=who,time=charttime,variable=what,value=valuenum"),
        *("--codes", tmp_path / "codes.csv", "--catalogue", tmp_path / "catalogue.csv"),
        *("--time-unit", "minutes", "--own-times"),
    )
    assert ran.returncode == 0, ran.stderr
    table = pq.read_table(tmp_path / "out" / "parts" / "000000.parquet").to_pylist()
    observed = {(one["time"], one["variable"]) for one in table if one["origin"] == "observed"}
    assert observed == {(0.0, "HR"), (1.0, "MAP")}
    assert "1 of 3 input rows not used: unknown_variable" in ran.stderr
    asked = json.loads((tmp_path / "out" / "request.json").read_text())["request"]
    assert asked["codes"]["ICU//T1"] == {"variable": "Temp", "unit": "[degF]"}


@pytest.mark.parametrize(
    "options",
    [
        ["--format", "excel"],
        ["--grid-minutes", "0"],
        ["--quantile-levels", "0.9,0.1"],
        ["--shape", "round"],
        ["--own-times", "--times", __file__],
        ["--max-quarantined-share", "2"],
        ["--columns", "when=charttime"],
        ["--accept-suspected", "Glucose"],
        ["--time-unit", "fortnights"],
    ],
)
def test_wrong_usage_ends_with_2(tiny_artifact: Path, tmp_path: Path, options: list[str]) -> None:
    source = write_parquet(tmp_path / "in.parquet", ROWS)
    ran = run(source, tmp_path / "out", "--artifact", tiny_artifact, *options)
    assert ran.returncode == 2, ran.stderr
    assert not (tmp_path / "out").exists()


def test_failures_end_with_1_and_a_reason(tiny_artifact: Path, tmp_path: Path) -> None:
    source = write_parquet(tmp_path / "in.parquet", [*ROWS, row("z", 0.0, "nonsense", 1.0)])
    failed = run(source, tmp_path / "out", "--artifact", tiny_artifact, "--device", "cpu")
    assert failed.returncode == 1
    assert "error: 1 of 6 subjects have no answer" in failed.stderr
    assert "Traceback" not in failed.stderr
    (tmp_path / "in.csv").write_text("a,b\n1,2\n")
    failed = run(
        tmp_path / "in.csv", tmp_path / "b", "--artifact", tiny_artifact, "--device", "cpu"
    )
    assert failed.returncode == 1
    assert "no column `time`" in failed.stderr


def test_output_inside_the_input_is_refused(tiny_artifact: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_parquet(folder / "0.parquet", ROWS)
    (tmp_path / "link").symlink_to(folder)
    for out in (folder / "out", folder, tmp_path / "link" / "out"):
        ran = run(folder, out, "--artifact", tiny_artifact, "--format", "parquet")
        assert ran.returncode == 2
        assert "OUT lies inside IN" in " ".join(ran.stderr.split()).replace(" │ │ ", " ")
    assert [path.name for path in folder.iterdir()] == ["0.parquet"]


def test_a_name_that_is_no_text_is_one_clear_error(tiny_artifact: Path, tmp_path: Path) -> None:
    good, bad = tmp_path / "in.csv", Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff"))
    write_csv(good, ROWS)
    bad.mkdir()
    write_csv(bad / "in.csv", ROWS)
    for source, out in ((bad / "in.csv", tmp_path / "out"), (good, bad / "out"), (bad, good / "b")):
        ran = run(source, out, "--artifact", tiny_artifact, "--format", "csv")
        assert ran.returncode == 2, ran.stderr
        assert "no UTF-8" in ran.stderr
        assert "Traceback" not in ran.stderr


def test_a_folder_with_anything_else_is_not_touched(tiny_artifact: Path, tmp_path: Path) -> None:
    source = write_parquet(tmp_path / "in.parquet", ROWS)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("dear")
    refused = run(source, mine, "--artifact", tiny_artifact, "--device", "cpu")
    assert refused.returncode == 1
    assert "not empty" in refused.stderr
    assert [file.name for file in mine.iterdir()] == ["thesis.txt"]
