"""The commands help, fail with 1, and are refused with 2; the demonstration runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from service.settings import Settings
from tests.service.requests import FUTURE, body, series


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
        timeout=120,
    )


@pytest.mark.parametrize("command", [[], ["serve"], ["demo"], ["openapi"], ["settings"]])
def test_every_command_has_help(command: list[str]) -> None:
    helped = run(*command, "--help")
    assert helped.returncode == 0, helped.stderr
    assert "Usage" in helped.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--port", "eighty"],
        ["serve", "--device", "abacus"],
        ["serve"],
        ["demo", "--request", "missing.json"],
        ["dance"],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    refused = run(*arguments)
    assert refused.returncode == 2, refused.stderr
    assert refused.stdout == ""


def test_an_altered_artifact_ends_with_1(tmp_path: Path) -> None:
    failed = run("serve", "--artifact", str(tmp_path))
    assert failed.returncode == 1
    assert "manifest.json is missing" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_settings_are_all_described() -> None:
    listed = run("settings").stdout
    for name, described in Settings.model_fields.items():
        assert f"LACUNA_{name.upper()} " in listed
        assert described.description
        assert described.description in listed


def test_environment_variables_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LACUNA_MAX_SERIES", "3")
    assert Settings().max_series == 3
    assert Settings(max_series=4).max_series == 4


def test_demo_asks_over_http_and_ends(tiny_artifact: Path, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps(body(series(query=FUTURE))), encoding="utf-8")
    options = ["--artifact", str(tiny_artifact), "--request", str(file), "--port", "0", "--exit"]
    shown = run("demo", *options)
    assert shown.returncode == 0, shown.stderr
    assert "POST /v1/forecast" in shown.stdout
    assert "curl" in shown.stdout
    file.write_text(json.dumps({"path": "/v1/impute", "body": body(series(query={"times": []}))}))
    refused = run("demo", *options)
    assert refused.returncode == 1
    assert "422 empty_query at series[0].query.times" in refused.stderr
