"""One database for the ledger: SQLite by default, PostgreSQL by its URL. No tables here.

A write transaction excludes every other writer of what it touches: SQLite takes its lock at the
start, PostgreSQL locks the rows that are read for update. Work is repeated while the database is away,
so it must be written such that doing it twice does no harm.
"""

import itertools
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, final

from sqlalchemy import Connection, Engine, create_engine, event, func, insert, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
)

from service.jobs.ledger.outage import Outage
from service.jobs.ledger.tables import LEDGER_VERSION, METADATA, ledger

_BUSY_SECONDS = 30
_CONNECT_SECONDS = 5
_FIRST_WAIT_SECONDS = 0.02
_LONGEST_WAIT_SECONDS = 1.0
_MICROSECONDS = 1_000_000
_CREATION_LOCK = 7_461_001  # any number that nobody else in the database uses

Result = TypeVar("Result")


class DatabaseError(Exception):
    """Raised where the database cannot be used."""


class DatabaseAwayError(DatabaseError):
    """Raised where the database has been away longer than the patience; it may come back."""


class Clock(Protocol):
    """What time it is, for everyone who shares a ledger."""

    def now_us(self, connection: Connection) -> int:
        """Return microseconds since 1970 UTC."""
        ...


@final
class DatabaseClock:
    """The clock of the database's machine, so that workers with wrong clocks share one time."""

    def now_us(self, connection: Connection) -> int:
        """Return microseconds since 1970 UTC."""
        if connection.dialect.name == "sqlite":
            return time.time_ns() // 1_000
        seconds = connection.scalar(select(func.extract("epoch", func.clock_timestamp())))
        assert seconds is not None
        return int(seconds * _MICROSECONDS)


@final
class Database:
    """Reads and writes in transactions that are repeated while the database is away.

    Parameters
    ----------
    url
        `sqlite:///jobs/ledger.sqlite` or `postgresql+psycopg://user@host/name`.
    patience_seconds
        How long work is repeated before `DatabaseAwayError` is raised.
    """

    def __init__(self, url: str, *, patience_seconds: float, clock: Clock | None = None) -> None:
        self._engine = _engine(url)
        self._patience_seconds = patience_seconds
        self._outage = Outage()
        self._has_tables = False
        self.clock = clock or DatabaseClock()

    @property
    def is_usable(self) -> bool:
        """Whether there are tables, and nobody has waited in vain since the last answer."""
        return self._has_tables and not self._outage.is_given_up

    def create_tables(self, *, patience_seconds: float | None = None) -> None:
        """Create what is missing. Several processes may do so at once."""
        self._repeat(_create_tables, is_reading=False, patience_seconds=patience_seconds)
        self._has_tables = True

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """Return what `work` reads in one transaction."""
        return self._repeat(work, is_reading=True)

    def write(self, work: Callable[[Connection], Result]) -> Result:
        """Return what `work` does in one transaction; it may run more than once."""
        return self._repeat(work, is_reading=False)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _repeat(
        self,
        work: Callable[[Connection], Result],
        *,
        is_reading: bool,
        patience_seconds: float | None = None,
    ) -> Result:
        patience = self._patience_seconds if patience_seconds is None else patience_seconds
        deadline = time.monotonic() + patience
        engine = self._engine.execution_options(is_reading=is_reading)
        wait = _FIRST_WAIT_SECONDS
        for attempt in itertools.count():
            try:
                with engine.connect() as connection, connection.begin():
                    result = work(connection)
            except DBAPIError as error:
                if not _may_pass(error, attempt):
                    raise DatabaseError(_reason(error)) from error
                gives_up = time.monotonic() >= deadline
                if not isinstance(error, IntegrityError):
                    self._outage.note_failure(_reason(error), gives_up=gives_up)
                if gives_up:
                    raise DatabaseAwayError(_reason(error)) from error
            else:
                self._outage.note_answer()
                return result
            threading.Event().wait(wait)
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
        raise AssertionError("unreachable")


def _create_tables(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_CREATION_LOCK)))
    METADATA.create_all(connection)
    version = connection.scalar(select(ledger.c.version))
    if version is None:
        connection.execute(insert(ledger).values(version=LEDGER_VERSION))
    elif version != LEDGER_VERSION:
        raise DatabaseError(
            f"the ledger has version {version}, this program works with {LEDGER_VERSION}; finish "
            "its jobs with the program that made it, or choose another"
        )


def _may_pass(error: DBAPIError, attempt: int) -> bool:
    """Tell an absent, busy or restarting database from a mistake in a statement.

    A row that another writer has just made is found by the second attempt.
    """
    if isinstance(error, IntegrityError):
        return attempt == 0
    return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)


def _reason(error: DBAPIError) -> str:
    """Name the kind of failure. The message of a server's driver may hold more than its readers may see."""
    if isinstance(error.orig, sqlite3.Error):
        return f"the ledger cannot be used: {error.orig}"
    return f"the ledger cannot be used: {type(error.orig).__name__} from its database"


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise DatabaseError(
            "expected a database URL such as sqlite:///jobs/ledger.sqlite or "
            "postgresql+psycopg://user@host/name"
        ) from None
    if parsed.get_backend_name() == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
        if "connect_timeout" not in parsed.query:
            parsed = parsed.update_query_dict({"connect_timeout": str(_CONNECT_SECONDS)})
        return create_engine(parsed, pool_pre_ping=True)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        raise DatabaseError("expected a SQLite file or a PostgreSQL database")
    engine = create_engine(
        parsed, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False}
    )
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: Any, _record: object) -> None:
    # The driver's own transactions begin too late to exclude another writer; ours is explicit.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _on_begin(connection: Connection) -> None:
    is_reading = connection.get_execution_options().get("is_reading", False)
    connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")
