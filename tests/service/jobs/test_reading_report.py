"""What is told of the reading: as often as people look, and all of it at the end."""

from service.jobs.ledger.database import Database
from service.jobs.ledger.leases import Leases
from service.jobs.ledger.ledger import Ledger
from service.jobs.workers.reading_report import ReadingReport
from tests.service.jobs.test_ledger import JOB, claimed, submission


def rows_told(ledger: Ledger) -> list[str]:
    return [event.content for event in ledger.events(JOB, after=0) if event.kind == "read"]


def test_it_is_told_every_two_seconds_and_at_the_end(database: Database) -> None:
    ledger, leases = Ledger(database), Leases(database, lease_seconds=30)
    ledger.submit(submission())
    seconds = 0.0
    report = ReadingReport(leases, claimed(leases), lambda: seconds)
    for number in range(1, 101):
        report(1_000 * number)
        seconds += 0.1
    assert len(rows_told(ledger)) == 5
    report.finish()
    report.finish()
    assert ledger.progress(JOB).num_rows_read == 100_000
    assert len(rows_told(ledger)) == 6


def test_a_ledger_that_is_away_stops_no_reading(database: Database) -> None:
    ledger, leases = Ledger(database), Leases(database, lease_seconds=30)
    ledger.submit(submission())
    lease = claimed(leases)
    away = Database("postgresql+psycopg://127.0.0.1:1/none", patience_seconds=0)
    report = ReadingReport(Leases(away, lease_seconds=30), lease)
    report(1_000)
    report.finish()
    away.close()
    assert ledger.progress(JOB).num_rows_read == 0
