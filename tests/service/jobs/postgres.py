"""A PostgreSQL server of the tests' own, in a temporary folder on a free port."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

import pytest

from tests.end_to_end.commands import free_port

_DEBIAN = Path("/usr/lib/postgresql")


@final
class PostgresServer:
    """Started and stopped at will; durable in between."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self._data = folder / "data"
        self.port = free_port()

    def initialize(self) -> None:
        """Make an empty cluster that accepts anyone on this machine."""
        words = ["--auth=trust", "--username=tests", "--encoding=UTF8", "--no-sync"]
        self._run("initdb", "--pgdata", str(self._data), *words)

    def start(self) -> None:
        """Start, and return when connections are accepted."""
        options = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1"
        log = str(self._folder / "log")
        self._run("pg_ctl", "start", "-w", "-D", str(self._data), "-l", log, "-o", options)

    def stop(self) -> None:
        """Stop at once, as a crash does; running transactions are lost."""
        self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(self._data))

    def create(self, name: str) -> str:
        """Create a database; return its URL."""
        address = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "tests"]
        self._run("createdb", *address, name)
        return f"postgresql+psycopg://tests@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        words = [str(self._programs / program), *arguments]
        if os.geteuid() == 0:
            words = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *words]
        # Not captured: the server inherits the output, and nobody would see the end of a pipe.
        subprocess.run(words, cwd=self._folder, check=True, stdout=subprocess.DEVNULL, timeout=120)


def _programs() -> Path | None:
    found = shutil.which("pg_ctl")
    if found is not None:
        return Path(found).resolve().parent
    versions = sorted(_DEBIAN.glob("*/bin/pg_ctl"))
    return versions[-1].parent if versions else None


def _has_account() -> bool:
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        return False
    return True


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a server while the block runs; skip the test where there is no PostgreSQL."""
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL (pg_ctl) on this machine")
    if os.geteuid() == 0 and not _has_account():
        pytest.skip("PostgreSQL does not run as root, and there is no account `postgres`")
    # Not below pytest's own folder, which the other account may not enter.
    folder = Path(tempfile.mkdtemp(prefix="lacuna-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        server = PostgresServer(programs, folder)
        server.initialize()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
