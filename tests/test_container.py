"""The image, really built and run (marker `container`).

Uses Debian's buildah and a base image made by mmdebstrap: no daemon, no registry. Every buildah
command runs in an empty network namespace, so a build or a server that needs the network fails.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
BASE_IMAGE = "localhost/python:3.11-slim-bookworm"
IMAGE = "localhost/lacuna:test"
CONTEXT = (
    "pyproject.toml",
    "requirements.lock",
    "LICENSE",
    "NOTICE",
    "Dockerfile",
    ".dockerignore",
)
HEALTHCHECK = ("python", "/usr/local/bin/healthcheck.py")
READY_WITHIN_SECONDS = 90.0
ASK_READY = (
    "import urllib.request as request; "
    "print(request.urlopen('http://127.0.0.1:8000/health/ready').status)"
)

# Brings up the loopback device of a fresh network namespace (SIOCSIFFLAGS, IFF_UP), then becomes
# the command.
WITH_LOOPBACK = """
import fcntl, os, socket, struct, sys
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh22x", b"lo", 1))
os.execvp(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True)
class Buildah:
    """Buildah with a storage of its own, in network namespaces of its own."""

    storage: Path
    driver: str

    def command(self, *arguments: str) -> list[str]:
        root, runroot = str(self.storage / "root"), str(self.storage / "run")
        options = ["--root", root, "--runroot", runroot, "--storage-driver", self.driver]
        return ["buildah", *options, *arguments]

    def run(self, *arguments: str) -> str:
        finished = subprocess.run(
            isolated(self.command(*arguments)), capture_output=True, text=True, check=False
        )
        assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-4000:]
        return finished.stdout.strip()


def isolated(command: list[str]) -> list[str]:
    return ["unshare", "--net", sys.executable, "-c", WITH_LOOPBACK, *command]


def works(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def require_build_tools() -> None:
    for tool in ("buildah", "mmdebstrap", "unshare", "nsenter"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed (Debian: apt-get install buildah mmdebstrap)")
    if os.geteuid() != 0:
        pytest.skip("buildah's chroot isolation needs root")
    if not works(isolated(["true"])):
        pytest.skip("this machine does not allow network namespaces (unshare --net)")
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the wheels for the image are collected by this Python, which must be 3.11")


@pytest.fixture(scope="module")
def buildah() -> Iterator[Buildah]:
    require_build_tools()
    with tempfile.TemporaryDirectory(prefix="lacuna-buildah-") as folder:
        drivers = [Buildah(Path(folder) / driver, driver) for driver in ("overlay", "vfs")]
        usable = [candidate for candidate in drivers if works(candidate.command("info"))]
        assert usable, "buildah can use neither overlay nor vfs storage here"
        yield usable[0]
        usable[0].run("rm", "--all")


@pytest.fixture(scope="module")
def base_image(buildah: Buildah, pytestconfig: pytest.Config) -> str:
    """A stand-in for the official Python image: Debian 12 with its own Python 3.11."""
    assert pytestconfig.cache is not None
    context = pytestconfig.cache.mkdir("container-base")
    archive = context / "rootfs.tar"
    if not archive.exists():
        partial = context / "partial.tar"
        packages = "--include=python3,python3-venv,ca-certificates"
        made = subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", packages, "bookworm", str(partial)],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            pytest.skip(f"mmdebstrap could not fetch Debian: {made.stderr[-500:]}")
        partial.replace(archive)
    (context / "Dockerfile").write_text("FROM scratch\nADD rootfs.tar /\n", encoding="utf-8")
    buildah.run(
        "bud", "--isolation", "chroot", "--format", "docker", "--tag", BASE_IMAGE, str(context)
    )
    return BASE_IMAGE


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The repository as it is, beside things that must never get into an image."""
    folder = tmp_path_factory.mktemp("context")
    for name in CONTEXT:
        shutil.copy(REPOSITORY / name, folder)
    for name in ("model", "service", "training", "docker"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("*.whl"))
    for unwanted in (
        "patients.csv",
        ".env",
        "demo/cohort/truth.parquet",
        "model/__pycache__/x.pyc",
    ):
        (folder / unwanted).parent.mkdir(parents=True, exist_ok=True)
        (folder / unwanted).write_text("unwanted", encoding="utf-8")
    yield folder
    shutil.rmtree(folder / "docker" / "wheels")  # 100 MB that pytest would keep


@pytest.fixture(scope="module")
def image(buildah: Buildah, base_image: str, context: Path) -> str:
    collect = ["download", "--quiet", "--disable-pip-version-check", "--dest", "docker/wheels"]
    subprocess.run(
        [sys.executable, "-m", "pip", *collect, "-c", "requirements.lock", ".", "hatchling"],
        cwd=context,
        check=True,
    )
    options = ["--isolation", "chroot", "--pull-never", "--format", "docker"]
    arguments = ["--build-arg", f"BASE_IMAGE={base_image}", "--build-arg", "PIP_NO_INDEX=1"]
    buildah.run("bud", *options, *arguments, "--tag", IMAGE, str(context))
    return IMAGE


@pytest.fixture
def container(buildah: Buildah, image: str) -> Iterator[str]:
    name = buildah.run("from", "--pull-never", image)
    yield name
    buildah.run("rm", name)


@pytest.mark.container
def test_build_context_is_an_allow_list(buildah: Buildah, context: Path, tmp_path: Path) -> None:
    everything = tmp_path / "Dockerfile"
    everything.write_text("FROM scratch\nCOPY . /\n", encoding="utf-8")
    tag = "localhost/lacuna-context:test"
    buildah.run(
        "bud", "--isolation", "chroot", "--tag", tag, "--file", str(everything), str(context)
    )
    name = buildah.run("from", "--pull-never", tag)
    root = Path(buildah.run("mount", name))
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    buildah.run("rm", name)
    assert {"pyproject.toml", "model/__init__.py", "docker/healthcheck.py"} <= found
    strangers = {
        name
        for name in found
        if "__pycache__" in name or name.endswith((".csv", ".env", ".parquet"))
    }
    # The shipped catalogue is a table, and a part of the program.
    assert strangers == {"model/data/catalogue.csv"}
    assert {name.split("/")[0] for name in found} == {
        *("pyproject.toml", "requirements.lock", "LICENSE", "NOTICE"),
        *("model", "service", "training", "docker"),
    }


@pytest.mark.container
def test_image_runs_as_an_ordinary_user_who_can_write_to_tmp_and_jobs_only(
    buildah: Buildah, container: str
) -> None:
    kernel = " ".join(f"! -path '/{name}/*'" for name in ("proc", "sys", "dev"))
    script = f"id -u; find / -xdev -writable ! -type l {kernel}"
    printed = buildah.run(
        "run", "--isolation", "chroot", container, "--", "sh", "-c", f"{script} 2>/dev/null; true"
    )
    user, *writable = printed.split()
    assert user == "10001"
    # Where the volume of batch jobs is mounted. The others are world-writable in every Debian, and
    # read-only or a tmpfs where compose.yaml is used.
    assert "/jobs" in writable
    assert set(writable) <= {"/jobs", "/tmp", "/var/tmp", "/run/lock", "/dev", "/proc", "/sys"}


@pytest.mark.container
def test_image_keeps_no_build_leftovers(buildah: Buildah, container: str) -> None:
    root = Path(buildah.run("mount", container))
    assert not (root / "wheels").exists()
    assert not (root / "build").exists()
    assert not list((root / "opt/venv/bin").glob("pip*"))
    buildah.run("umount", container)


@contextmanager
def serving(buildah: Buildah, container: str, *, artifact: Path, log: Path) -> Iterator[int]:
    """Run the image's own command on this artifact; yield the process whose network it has."""
    inspected = buildah.run("inspect", "--type", "container", container)
    config = json.loads(inspected)["Docker"]["config"]
    mount = f"{artifact}:/models/default:ro"
    command = ["run", "--isolation", "chroot", "--volume", mount, container, "--"]
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            isolated(buildah.command(*command, *config["Entrypoint"], *config["Cmd"])),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process.pid
        finally:
            process.terminate()
            process.wait(timeout=30)


def beside(pid: int, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command in the network of this process."""
    inside = ["nsenter", "--target", str(pid), "--net", *command]
    return subprocess.run(inside, capture_output=True, text=True, check=False)


@pytest.mark.container
def test_server_in_the_image_gets_ready_and_reports_its_health(
    buildah: Buildah, container: str, tiny_onnx_artifact: Path, tmp_path: Path
) -> None:
    artifact = tmp_path / "artifact"
    shutil.copytree(tiny_onnx_artifact, artifact)
    for path in (artifact, *artifact.rglob("*")):  # pytest's folders are closed to other users
        path.chmod(0o755 if path.is_dir() else 0o644)
    log = tmp_path / "server.log"
    ask = [sys.executable, "-c", ASK_READY]
    healthcheck = ["run", "--isolation", "chroot", container, "--", *HEALTHCHECK]
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    with serving(buildah, container, artifact=artifact, log=log) as pid:
        while (answer := beside(pid, ask)).returncode != 0 and time.monotonic() < deadline:
            time.sleep(0.5)
        assert answer.stdout.strip() == "200", answer.stderr[-2000:] + log.read_text()[-4000:]
        assert beside(pid, buildah.command(*healthcheck)).returncode == 0
    assert not works(isolated(buildah.command(*healthcheck))), "no server, but healthy"
