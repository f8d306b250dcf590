"""The commands of the pages that need a model or a server, run as they stand there, on less data."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import REPOSITORY
from tests.documentation.pages import CONTRIBUTING, SCRIPTS, Page, all_pages
from tests.end_to_end.commands import free_port, succeed
from tests.service.jobs.csv_tables import csv_table

README, OWN_RECORDS, JOBS, REGISTRY, SERVING, INTERFACE, RESULTS = (
    Page.read(name)
    for name in (
        "README.md",
        "docs/own-records.md",
        "docs/jobs.md",
        "docs/registry.md",
        "docs/serving.md",
        "docs/interface.md",
        "docs/results-overview.md",
    )
)
START_SECONDS = 240.0

# What each test of this file runs. `tests/documentation` runs whole pages.
RUN_HERE = (README, OWN_RECORDS, JOBS, REGISTRY, SERVING, INTERFACE, RESULTS)
# `docker` has no engine here; tests/test_container.py builds the same Dockerfile and runs its image.
NOT_RUN = ("docker ",)


def test_every_command_of_every_page_is_run_by_a_test() -> None:
    run_here = {page.name for page in RUN_HERE}
    for page in all_pages():
        commands = [one for one in page.commands() if not one.startswith(NOT_RUN)]
        if page.name not in (*run_here, *SCRIPTS, CONTRIBUTING):
            assert not commands, f"{page.name}: no test runs {commands[0]}"
    counts = {page.name: len(page.commands()) for page in RUN_HERE}
    assert counts == {
        "README.md": 8,
        "docs/own-records.md": 6,
        "docs/jobs.md": 5,
        "docs/registry.md": 3,
        "docs/serving.md": 3,
        "docs/interface.md": 1,
        "docs/results-overview.md": 5,
    }


def test_the_readme_is_short_and_shows_the_same_way_as_the_page() -> None:
    assert len(README.text.splitlines()) <= 150
    assert README.commands("Your own records") == OWN_RECORDS.commands()
    *_, serve = OWN_RECORDS.commands()
    assert SERVING.commands("Serving") == [serve]


def _wait_until_ready(address: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health/ready"):
                return
        except (urllib.error.URLError, ConnectionError):
            continue
    pytest.fail(f"no server at {address}")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """`make demo`, still serving: the folder that it wrote into, and its port."""
    if not (REPOSITORY / ".venv" / "bin" / "python").exists():
        pytest.skip("no .venv; `make test` makes it")
    command, _ = README.commands("Two commands")
    folder, port = tmp_path_factory.mktemp("readme"), free_port()
    with subprocess.Popen(
        [*shlex.split(command), f"DEMO={folder / 'demo'}", f"PORT={port}"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}", process)
            yield folder, port
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate(timeout=30)


def _shape(answer: Any) -> Any:
    """Return the structure of an answer: numbers and identities become the names of their types."""
    if isinstance(answer, dict):
        return {key: _shape(value) for key, value in answer.items()}
    if isinstance(answer, list):
        return [_shape(value) for value in answer]
    return type(answer).__name__


def test_the_curl_command_gets_an_answer_like_the_one_shown(demo: tuple[Path, int]) -> None:
    folder, port = demo
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    _, curl = README.commands("Two commands")
    words = shlex.split(curl.replace(":8000/", f":{port}/"))
    answer = json.loads(subprocess.run(words, cwd=folder, capture_output=True, check=True).stdout)
    shown = json.loads(README.shown("Two commands", "json"))
    assert _shape(answer) == _shape(shown)


def _write_table(path: Path, cohort: Path) -> None:
    """Write a long table such as a user has, from a simulated cohort."""
    table = pd.read_parquet(cohort / "data" / "0.parquet")
    columns = {"code": "variable", "numeric_value": "value"}
    table.rename(columns=columns).to_csv(path, index=False)


def _less_work(command: str) -> list[str]:
    words = shlex.split(command)
    is_fit = words[:4] == ["python", "-m", "training", "fit"]
    return words[2:] + (["--preset", "quick", "--set", "epochs=1"] if is_fit else [])


def test_the_commands_for_your_own_records_work(tmp_path: Path) -> None:
    succeed("training", "simulate", "--subjects", "80", "--out", "cohort", cwd=tmp_path)
    _write_table(tmp_path / "measurements.csv", tmp_path / "cohort")
    *prepare, serve = OWN_RECORDS.commands()
    for command in prepare:
        succeed(*_less_work(command), cwd=tmp_path)
    _serve(serve, cwd=tmp_path)


def _serve(command: str, *, cwd: Path) -> None:
    """Run a command that serves, until it is ready; then stop it."""
    port = free_port()
    words = [sys.executable, *shlex.split(command)[1:], "--port", str(port)]
    with subprocess.Popen(words, cwd=cwd, stderr=subprocess.PIPE) as process:
        _wait_until_ready(f"http://127.0.0.1:{port}", process)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_the_commands_for_another_version_work(tiny_artifact: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_artifact, tmp_path / "artifacts" / "icu")
    add, activate, serve = REGISTRY.commands()
    for command in (add, activate):
        succeed(*shlex.split(command)[2:], cwd=tmp_path)
    _serve(serve, cwd=tmp_path)


@pytest.fixture
def jobs_folder(tiny_artifact: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_artifact, tmp_path / "artifacts" / "icu")
    (tmp_path / "measurements.csv").write_bytes(csv_table(20))
    return tmp_path


def test_the_command_of_a_job_works(jobs_folder: Path) -> None:
    [impute] = JOBS.commands("Without a server")
    succeed(*shlex.split(impute)[2:], cwd=jobs_folder)
    table = pd.read_parquet(jobs_folder / "filled" / "parts")
    assert table["subject_id"].nunique() == 20


def test_a_job_is_submitted_watched_and_downloaded_and_a_request_asked_by_curl(
    jobs_folder: Path,
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    serve, submit, watch, download = JOBS.commands("As a service")
    port = free_port()

    def curl(command: str, job: str = "") -> str:
        words = shlex.split(command.replace(":8000/", f":{port}/").replace("$JOB", job))
        return subprocess.run(
            words, cwd=jobs_folder, capture_output=True, check=True, text=True
        ).stdout

    words = [sys.executable, *shlex.split(serve)[1:], "--port", str(port)]
    with subprocess.Popen(words, cwd=jobs_folder, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}", process)
            job = json.loads(curl(submit))["id"]
            *_, last = [line for line in curl(watch, job).splitlines() if line.startswith("data")]
            assert json.loads(last.removeprefix("data: "))["state"] == "succeeded"
            curl(download, job)
            (jobs_folder / "request.json").write_text(INTERFACE.shown("A request", "json"))
            [ask] = INTERFACE.commands()
            _check_the_example(json.loads(curl(ask)))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
    assert pd.read_parquet(jobs_folder / "filled.parquet")["subject_id"].nunique() == 20


def _check_the_example(answer: Any) -> None:
    """The example of the interface page is answered, and warned of as the page says."""
    [series] = answer["series"]
    assert list(series["variables"]) == ["HR", "MAP"]
    assert "unknown_variable" in {warning["code"] for warning in series["warnings"]}


def test_the_commands_behind_the_figures_work(data_root: Path, tmp_path: Path) -> None:
    source = data_root / "physionet2012" / "raw-sample" / "set-a"
    if not source.is_dir():
        pytest.skip(f"no raw PhysioNet 2012 files at {source}")
    for name in ("set-a", "set-b"):
        shutil.copytree(source, tmp_path / name)
    for command in RESULTS.commands():
        succeed(*_less_work(command), cwd=tmp_path)
    assert (tmp_path / "reports" / "imputation" / "report.html").is_file()
