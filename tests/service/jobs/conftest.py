"""A ledger on SQLite, and the same on PostgreSQL where there is one."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from service.jobs.ledger.database import Database
from tests.service.jobs.postgres import PostgresServer, postgres_server

_NAMES = itertools.count()


class SetClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def now_us(self, _connection: Connection) -> int:
        return int(self.seconds * 1_000_000)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.create(f"ledger_{next(_NAMES)}")


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def database(database_url: str, clock: SetClock) -> Iterator[Database]:
    opened = Database(database_url, patience_seconds=20, clock=clock)
    opened.create_tables()
    yield opened
    opened.close()
