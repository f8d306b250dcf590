"""What the files around the image promise: health check, Dockerfile, compose file.

No container is needed here; tests/test_container.py builds and runs the real one.
"""

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings

REPOSITORY = Path(__file__).resolve().parent.parent
HEALTHCHECK = REPOSITORY / "docker" / "healthcheck.py"


class Answering(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health/live" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it)
        pass


@contextmanager
def answering(status: int) -> Iterator[str]:
    handler = type("AnsweringWithStatus", (Answering,), {"status": status})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/health/live"
        server.shutdown()
        thread.join()


def run_healthcheck(url: str) -> subprocess.CompletedProcess[str]:
    # A proxy in the environment must not be asked: nothing listens on port 9.
    environment = {"LACUNA_HEALTH_URL": url, "http_proxy": "http://127.0.0.1:9"}
    return subprocess.run(
        [sys.executable, "-I", str(HEALTHCHECK)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("status", "returncode"), [(200, 0), (500, 1), (503, 1), (302, 1)])
def test_healthcheck_reports_the_status(status: int, returncode: int) -> None:
    with answering(status) as url:
        assert run_healthcheck(url).returncode == returncode


def test_healthcheck_fails_where_nothing_listens() -> None:
    with answering(200) as url:
        pass
    checked = run_healthcheck(url)
    assert checked.returncode == 1
    assert "no answer" in checked.stdout


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "http://host:port/", "https://host/", "http://[::1/"]
)
def test_healthcheck_names_a_bad_address(url: str) -> None:
    checked = run_healthcheck(url)
    assert checked.returncode == 1
    assert "LACUNA_HEALTH_URL must be" in checked.stdout
    assert checked.stderr == ""


def dockerfile_instruction(keyword: str) -> list[str]:
    """The exec form of the only instruction of this name in the Dockerfile."""
    lines = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    (instruction,) = [line for line in lines if line.split(" ")[0] == keyword]
    words: list[str] = json.loads(instruction.removeprefix(keyword))
    return words


def test_dockerfile_starts_the_server_in_exec_form() -> None:
    assert dockerfile_instruction("ENTRYPOINT") == ["python", "-m", "service"]
    assert dockerfile_instruction("CMD")[0] == "serve"


def test_dockerfile_and_healthcheck_agree_on_the_port() -> None:
    command = dockerfile_instruction("CMD")
    port = command[command.index("--port") + 1]
    assert f'DEFAULT_URL = "http://127.0.0.1:{port}/health/live"' in HEALTHCHECK.read_text(
        encoding="utf-8"
    )


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    text = (REPOSITORY / "docker" / "compose.yaml").read_text(encoding="utf-8")
    whole: dict[str, Any] = yaml.safe_load(text)
    return whole


@pytest.fixture(scope="module")
def compose_server(compose: dict[str, Any]) -> dict[str, Any]:
    server: dict[str, Any] = compose["services"]["server"]
    return server


def test_compose_gives_the_server_nothing_to_write_but_jobs_and_nothing_to_become(
    compose_server: dict[str, Any],
) -> None:
    assert compose_server["read_only"] is True
    assert compose_server["cap_drop"] == ["ALL"]
    assert compose_server["security_opt"] == ["no-new-privileges:true"]
    assert compose_server["user"] == "10001:10001"
    assert [mount.split(":")[0] for mount in compose_server["tmpfs"]] == ["/tmp"]
    writable = [one for one in compose_server["volumes"] if not one.get("read_only", False)]
    assert [one["target"] for one in writable] == [compose_server["environment"]["LACUNA_JOBS_DIR"]]
    assert "privileged" not in compose_server


def test_compose_waits_longer_than_the_server_takes_to_stop(
    compose_server: dict[str, Any],
) -> None:
    settings = Settings()
    grace_seconds = float(compose_server["stop_grace_period"].removesuffix("s"))
    assert settings.drain_seconds + settings.shutdown_seconds < grace_seconds
    assert settings.body_timeout_seconds < settings.shutdown_seconds


def test_compose_publishes_on_loopback_only(compose_server: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:") for port in compose_server["ports"])


def test_compose_mounts_the_artifact_where_the_server_looks(compose_server: dict[str, Any]) -> None:
    command = dockerfile_instruction("CMD")
    (mount,) = [one for one in compose_server["volumes"] if one["type"] == "bind"]
    assert mount["target"] == command[command.index("--artifact") + 1]


def test_compose_keeps_jobs_in_a_volume_that_the_user_of_the_image_owns(
    compose: dict[str, Any], compose_server: dict[str, Any]
) -> None:
    (mount,) = [one for one in compose_server["volumes"] if one["type"] == "volume"]
    assert mount["source"] in compose["volumes"]
    dockerfile = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    user, group = compose_server["user"].split(":")
    made = f"install --directory --owner={user} --group={group} --mode=0700 {mount['target']}\n"
    assert made in dockerfile


def test_compose_sets_only_what_are_settings(compose_server: dict[str, Any]) -> None:
    names = {f"LACUNA_{name.upper()}" for name in Settings.model_fields}
    assert set(compose_server["environment"]) <= names
