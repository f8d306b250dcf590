"""The commands of the registry, as a person runs them, and a server of their registry."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from service.registry.registry import Activation, Registry
from tests.end_to_end.commands import free_port
from tests.service.registry.versions import activate, add, flip_a_bit
from tests.service.test_command_line import run

_START_SECONDS = 120.0


def registry_command(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return run("registry", *map(str, arguments))


def test_versions_are_added_activated_and_rolled_back(
    versions: Mapping[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    for version in ("1", "2"):
        added = registry_command("add", folder, versions[version])
        assert added.returncode == 0, added.stderr
        assert f"added version {version}" in added.stdout
        done = registry_command("activate", folder, version)
        assert done.returncode == 0, done.stderr
    assert Registry(folder).read() == Activation("2", ("1",))
    listed = registry_command("list", folder).stdout.splitlines()
    assert [line[:3] for line in listed] == ["< 1", "* 2"]
    assert registry_command("rollback", folder).stdout == "version 1 is active again\n"
    assert Registry(folder).read() == Activation("1", ())
    again = registry_command("rollback", folder)
    assert (again.returncode, again.stdout) == (1, "")
    assert "no version was active before" in again.stderr


def test_a_bad_artifact_is_neither_added_nor_activated(
    registry: Registry, versions: Mapping[str, Path]
) -> None:
    taken = registry_command("add", registry.directory, versions["2"])
    assert (taken.returncode, taken.stdout) == (1, "")
    assert "version 2 is taken" in taken.stderr
    flip_a_bit(registry.artifact_dir("2"))
    refused = registry_command("activate", registry.directory, "2")
    assert refused.returncode == 1
    assert "weights.safetensors was altered" in refused.stderr
    assert "Traceback" not in refused.stderr
    missing = registry_command("activate", registry.directory, "9")
    assert missing.returncode == 1
    assert "version 9 is not in the registry; it has 1, 2" in missing.stderr
    assert registry.read() == Activation("1", ())
    copied = registry_command(
        "add", registry.directory.with_name("other"), registry.directory / "2"
    )
    assert copied.returncode == 1
    assert Registry(registry.directory.with_name("other")).versions() == []


def test_a_rollback_to_a_bad_version_changes_nothing(registry: Registry) -> None:
    activate(registry, "2")
    flip_a_bit(registry.artifact_dir("1"))
    refused = registry_command("rollback", registry.directory)
    assert refused.returncode == 1
    assert "was altered" in refused.stderr
    assert registry.read() == Activation("2", ("1",))


def test_commands_at_the_same_time_lose_no_activation(
    registry: Registry, versions: Mapping[str, Path]
) -> None:
    add(registry, versions["3"], "3")
    command = [sys.executable, "-m", "service", "registry", "activate", str(registry.directory)]
    running = [subprocess.Popen([*command, version]) for version in ("2", "3")]
    assert [one.wait(timeout=120) for one in running] == [0, 0]
    activation = registry.read()
    assert activation.earlier[0] == "1"
    assert {activation.active, activation.earlier[1]} == {"2", "3"}


@pytest.mark.parametrize(
    "arguments",
    [["add"], ["add", "somewhere", "nowhere"], ["activate", "somewhere"], ["dance"]],
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    refused = registry_command(*arguments)
    assert (refused.returncode, refused.stdout) == (2, "")


def test_what_is_no_registry_is_said(tmp_path: Path) -> None:
    for arguments in (["list"], ["rollback"]):
        refused = registry_command(*arguments, tmp_path)
        assert refused.returncode == 1
        assert "is not a registry" in refused.stderr
    Registry.open_or_make(tmp_path)
    served = run("serve", "--artifact", str(tmp_path), "--device", "cpu")
    assert served.returncode == 1
    assert "has no active version" in served.stderr


def test_a_server_of_the_registry_follows_the_commands(registry: Registry) -> None:
    port = free_port()
    command = [sys.executable, "-m", "service", "serve", "--artifact", str(registry.directory)]
    with subprocess.Popen([*command, "--port", str(port)], stderr=subprocess.PIPE) as process:
        try:
            wait_for_version(port, "1", process)
            assert registry_command("activate", registry.directory, "2").returncode == 0
            wait_for_version(port, "2", process)
        finally:
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=30)
    assert process.returncode == 0, log.decode()
    assert log.decode().count("version 2 answers from now on") == 1


def wait_for_version(port: int, version: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            ready = httpx.get(f"http://127.0.0.1:{port}/health/ready")
        except httpx.TransportError:
            continue
        if ready.status_code == 200 and json.loads(ready.content)["model"] == f"tiny {version}":
            return
    pytest.fail(f"the server never said that it answers with version {version}")
