"""What the project's own dependencies give: a server without torch, in an environment of its own.

Beside tests/model/test_export.py, which hides torch from a process and watches its sockets: here
torch is really not there, so that nothing of it can be reached by any way, and the dependencies
that are declared have to be enough.
"""

import asyncio
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from service.registry.loading import open_predictor
from tests.service.cases import make_cases
from tests.service.raw_connection import RawConnection, Reply
from tests.service.server_process import server_process

REPOSITORY = Path(__file__).resolve().parent.parent
MOST_MIB = 350
_SMALL = "annotated-types"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Python of an environment with this project and no extra."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    made = folder / "bin" / "python"
    reached = pip(made, _SMALL)
    if reached.returncode != 0:
        pytest.skip(f"pip cannot reach an index: {reached.stderr.strip()[-300:]}")
    installed = pip(made, str(REPOSITORY))
    assert installed.returncode == 0, installed.stderr
    return str(made)


def pip(python: Path, *wanted: str) -> subprocess.CompletedProcess[str]:
    """Install with the pip that runs here, and so with its configuration."""
    lock = str(REPOSITORY / "requirements.lock")
    options = ["--quiet", "--disable-pip-version-check", "--retries", "0", "--constraint", lock]
    return subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", *options, *wanted],
        capture_output=True,
        text=True,
        check=False,
    )


def run(python: str, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, "-I", "-c", script], capture_output=True, text=True, check=False)


@pytest.mark.install
def test_there_is_no_torch(python: str) -> None:
    imported = run(python, "import torch")
    assert imported.returncode == 1
    assert "No module named 'torch'" in imported.stderr
    where = run(python, "import service; print(service.__file__)")
    assert not Path(where.stdout).is_relative_to(REPOSITORY)


@pytest.mark.install
def test_a_server_without_torch_answers_rightly_in_little_memory(
    python: str, tiny_onnx_artifact: Path, tmp_path: Path
) -> None:
    predictor = open_predictor(tiny_onnx_artifact, backend="onnx", device="cpu", num_threads=1)
    (case,) = make_cases(predictor, 1)

    async def ask(port: int) -> Reply | None:
        connection = await RawConnection.open(port)
        reply = await connection.post(case.content)
        connection.close()
        return reply

    log = tmp_path / "log.txt"
    with server_process(tiny_onnx_artifact, log, python=(python, "-I")) as server:
        reply = asyncio.run(ask(server.port))
        assert reply is not None
        assert reply.status == 200
        case.check(reply.document)
        assert server.resident_mib() < MOST_MIB
        server.terminate()
        assert server.exit_status() == 0
        assert server.error_lines() == []
