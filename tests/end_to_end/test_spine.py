"""The whole path by its public commands: simulate, fit, evaluate, serve, ask."""

import json
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

import pytest

from tests.end_to_end.commands import free_port, run, succeed

START_SECONDS = 60.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small cohort and an artifact that was fitted on it."""
    root = tmp_path_factory.mktemp("spine")
    succeed("training", "simulate", "--subjects", "120", "--out", "cohort", cwd=root)
    fit = ("training", "fit", "cohort", "--out", "icu", "--preset", "quick", "--set", "epochs=3")
    printed = succeed(*fit, cwd=root)
    assert "epoch   3/3" in printed
    assert "graph: on " in printed
    assert (root / "icu" / "model.onnx").is_file()
    assert (root / "icu" / "golden.json").is_file()
    return root


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    """The address of a server in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "service", "serve", "--artifact", "icu", "--port", str(port)]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE)
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health/ready"):
                break
        except (urllib.error.URLError, ConnectionError):
            continue
    try:
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
        assert process.returncode == 0, log.decode()


def _post(address: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def test_the_server_answers_the_example_request(folder: Path, server: str) -> None:
    body = json.loads((folder / "cohort" / "example_request.json").read_text())
    answer = _post(server, "/v1/forecast", body)
    assert answer["model"]["name"] == "icu"
    for variable in answer["series"][0]["variables"].values():
        low, middle, high = (variable["quantiles"][level] for level in ("0.05", "0.5", "0.95"))
        assert all(a <= b <= c for a, b, c in zip(low, middle, high, strict=True))
    assert {"queue", "predict"} <= answer["timings_ms"].keys()


def test_a_shown_request_is_answered_by_the_demo_command(folder: Path) -> None:
    demo = ("service", "demo", "--artifact", "icu", "--request", "cohort/example_request.json")
    assert "answer for" in succeed(*demo, "--port", "0", "--exit", cwd=folder)


@pytest.mark.parametrize("task", ["forecast", "imputation"])
def test_evaluate_writes_figures_and_a_report(folder: Path, task: str) -> None:
    out = f"report-{task}"
    printed = succeed(
        "training", "evaluate", "icu", "cohort", "--task", task, "--out", out, cwd=folder
    )
    assert "carry" in printed.lower()
    metrics = json.loads((folder / out / "metrics.json").read_text())
    assert "that training or tuning saw are left out" in metrics["provenance"]["subjects"]
    assert "<html" in (folder / out / "report.html").read_text()


def test_a_killed_fit_resumes_to_the_same_artifact(folder: Path) -> None:
    quick = ("--preset", "quick", "--set", "epochs=3", "--no-export")
    fit = ("training", "fit", "cohort", "--out", "killed", *quick)
    with subprocess.Popen(
        [sys.executable, "-u", "-m", *fit], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch   1/3"):
                process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "killed").exists()
    printed = succeed(*fit, "--resume", cwd=folder)
    assert "epoch   3/3" in printed
    assert "epoch   1/3" not in printed
    whole, resumed = (folder / name / "weights.safetensors" for name in ("icu", "killed"))
    assert whole.read_bytes() == resumed.read_bytes()
    assert not (folder / "killed" / "model.onnx").exists()
    golden, same = (folder / name / "golden.json" for name in ("icu", "killed"))
    assert golden.read_bytes() == same.read_bytes()


def test_truth_is_kept_beside_the_simulated_cohort(folder: Path) -> None:
    assert (folder / "cohort" / "truth" / "0.parquet").is_file()
    assert (folder / "cohort" / "data" / "0.parquet").is_file()


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (("training", "fit", "nowhere", "--out", "x"), 2, "nowhere"),
        (
            ("training", "fit", "cohort", "--out", "x", "--preset", "huge"),
            1,
            "quick, default, best",
        ),
        (("training", "fit", "cohort", "--out", "x", "--set", "epoch=1"), 1, "a key of"),
        (("training", "fit", "cohort", "--out", "cohort"), 1, "is not an artifact"),
        (("training", "fit", "cohort", "--out", "x", "--folds", "5"), 1, "--fold I"),
        (
            ("training", "fit", "cohort", "--out", "x", "--split", "cohort/metadata/catalogue.csv"),
            1,
            "subject_id,part",
        ),
        (("training", "evaluate", "icu", "cohort", "--task", "dream", "--out", "x"), 1, "forecast"),
        (
            ("training", "evaluate", "cohort", "cohort", "--task", "forecast", "--out", "x"),
            1,
            "not an artifact",
        ),
        (("training", "import", "table", "icu/manifest.json", "--out", "x"), 1, "JSON"),
        (("service", "serve", "--artifact", "cohort"), 1, "not an artifact"),
    ],
)
def test_a_wrong_command_says_what_is_wrong(
    folder: Path, arguments: tuple[str, ...], status: int, expected: str
) -> None:
    result = run(*arguments, cwd=folder)
    assert result.returncode == status, result.stdout + result.stderr
    assert expected in " ".join((result.stdout + result.stderr).split())
    assert "Traceback" not in result.stderr


def test_real_records_go_through_the_same_commands(data_root: Path, folder: Path) -> None:
    source = data_root / "physionet2012" / "raw-sample" / "set-a"
    if not source.is_dir():
        pytest.skip(f"no raw PhysioNet 2012 files at {source}")
    shutil.rmtree(folder / "physionet", ignore_errors=True)
    printed = succeed(
        "training", "import", "physionet2012", source, "--out", "physionet", cwd=folder
    )
    assert "implausible_value" in printed
    printed = succeed(
        "training",
        "evaluate",
        "icu",
        "physionet",
        "--task",
        "forecast",
        "--out",
        "real",
        cwd=folder,
    )
    assert (folder / "real" / "report.html").is_file()
