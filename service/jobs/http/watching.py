"""What happens to a job, as server-sent events: resumable, from the ledger, by any server process.

A stream ends early where the server is to stop or the ledger is away; the client comes back with
the header Last-Event-ID, to this server or another, and misses nothing.
"""

import asyncio
from collections.abc import AsyncIterator

from service.errors import InvalidRequestError
from service.jobs.ledger.database import DatabaseError
from service.jobs.ledger.ledger import Ledger
from service.jobs.ledger.records import UNFINISHED, EventRecord
from service.operations.stopping import Stopping

_POLL_SECONDS = 0.5
_POLLS_PER_SIGN_OF_LIFE = 30


def after_which(last_event_id: str | None) -> int:
    """Read the header Last-Event-ID: the number of the last event that the client has seen.

    Raises
    ------
    InvalidRequestError
        If it is not such a number.
    """
    if last_event_id is None or last_event_id == "":
        return 0
    if not (last_event_id.isascii() and last_event_id.isdecimal() and len(last_event_id) < 19):
        raise InvalidRequestError("expected the id of an event of this job", path="Last-Event-ID")
    return int(last_event_id)


async def watch(
    ledger: Ledger, job_id: str, stopping: Stopping, *, after: int
) -> AsyncIterator[str]:
    """Yield the events after a number, and wait for more until the job has ended."""
    quiet_polls = 0
    while not stopping.has_begun:
        try:
            # In this order: of a job that has ended, all events are there to be read.
            job = await asyncio.to_thread(ledger.find, job_id)
            events = await asyncio.to_thread(ledger.events, job_id, after=after)
        except DatabaseError:
            break  # the log has it
        for one in events:
            yield _frame(one)
            after = one.number
        if events:
            quiet_polls = 0
            continue
        if job is None or job.state not in UNFINISHED:
            return
        quiet_polls += 1
        if quiet_polls % _POLLS_PER_SIGN_OF_LIFE == 0:
            yield ": still here\n\n"
        await asyncio.sleep(_POLL_SECONDS)
    yield ": to be continued\n\n"


def _frame(one: EventRecord) -> str:
    return f"id: {one.number}\nevent: {one.kind}\ndata: {one.content}\n\n"
