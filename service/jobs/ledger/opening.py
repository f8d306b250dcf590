"""What the settings say about jobs, as objects."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from service.jobs.errors import JobsDisabledError
from service.jobs.folder import make_private
from service.jobs.ledger.database import Database, DatabaseAwayError
from service.jobs.ledger.ledger import Ledger
from service.settings import Settings

_SERVER_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Jobs:
    """The ledger of the server, and the folder of its jobs."""

    database: Database
    ledger: Ledger
    jobs_dir: Path


def database_url(settings: Settings) -> str:
    """Return where the ledger is: by default a file in the folder of the jobs."""
    return settings.jobs_database_url or f"sqlite:///{jobs_dir_of(settings) / 'ledger.sqlite'}"


def jobs_dir_of(settings: Settings) -> Path:
    """Return the folder of the jobs.

    Raises
    ------
    JobsDisabledError
        If the settings have none.
    """
    if settings.jobs_dir is None:
        raise JobsDisabledError("this server takes no jobs; it was started without a jobs folder")
    return settings.jobs_dir.resolve()


def open_jobs(settings: Settings) -> Jobs | None:
    """Open the ledger, and make it where it is not there; None where the settings have no folder.

    A database that is away is no error: it is not usable until somebody has made its tables.

    Raises
    ------
    DatabaseError, OSError
        If the database or the folder can never be used as the settings have them.
    """
    if settings.jobs_dir is None:
        return None
    jobs_dir = make_private(jobs_dir_of(settings))
    database = Database(database_url(settings), patience_seconds=_SERVER_PATIENCE_SECONDS)
    with suppress(DatabaseAwayError):
        database.create_tables()
    return Jobs(database, Ledger(database), jobs_dir)
