"""Runs a page from its first block to its last, in an empty folder, as a reader does."""

import contextlib
import io
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.documentation.pages import Page


def run_page(page: Page, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the files of a page, run its commands and its Python, and compare what is shown."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    namespace: dict[str, Any] = {"__name__": "page"}
    printed = ""
    for block in page.blocks:
        if block.file is not None:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.text, encoding="utf-8")
        if block.language == "bash":
            printed = "\n".join(_run(line) for line in block.lines)
        elif block.language == "python" and block.file is None:
            printed = _execute(block.text, namespace)
        elif block.language == "text":
            _compare(block.lines, printed, page.name)


def _run(command: str) -> str:
    words = shlex.split(command)
    assert words[:2] == ["python", "-m"], command
    # Each in the process of the test: a process of its own costs a second.
    if words[2] == "training":
        from training.__main__ import app  # noqa: PLC0415
    elif words[2] == "service":
        from service.__main__ import app  # noqa: PLC0415
    else:
        pytest.fail(f"no such program: {command}")
    result = CliRunner().invoke(app, words[3:], catch_exceptions=False, env={"COLUMNS": "200"})
    assert result.exit_code == 0, (command, result.output)
    return result.output


def _execute(text: str, namespace: dict[str, Any]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(text, "page", "exec"), namespace)  # our own page
    return out.getvalue()


def _compare(shown: list[str], printed: str, name: str) -> None:
    """Require that the shown lines were printed, in their order; `...` leaves something out."""
    lines = iter(" ".join(line.split()) for line in printed.splitlines())
    for line in shown:
        wanted = " ".join(line.split())
        if wanted not in ("", "..."):
            assert any(wanted == one for one in lines), (name, line, printed)
