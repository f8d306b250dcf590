"""Which row a lease is about, and whether it is still the lease's: its epoch fences a late holder off."""

from sqlalchemy import Connection, Update, select, update

from service.jobs.ledger.records import ChunkState, Lease
from service.jobs.ledger.tables import chunk


def chunk_at(job_id: str, index: int) -> Update:
    """Address a chunk, whoever holds it."""
    return update(chunk).where(chunk.c.job_id == job_id, chunk.c.number == index)


def held_chunk(lease: Lease) -> Update:
    """Address the chunk of a lease that nobody has taken since."""
    return chunk_at(lease.job.id, lease.chunk.index).where(
        chunk.c.epoch == lease.epoch, chunk.c.state == ChunkState.RUNNING
    )


def was_published(connection: Connection, lease: Lease) -> bool:
    """Tell whether an earlier attempt, whose answer was lost, has published by this lease."""
    found = connection.scalar(
        select(chunk.c.number).where(
            chunk.c.job_id == lease.job.id,
            chunk.c.number == lease.chunk.index,
            chunk.c.epoch == lease.epoch,
            chunk.c.state == ChunkState.DONE,
        )
    )
    return found is not None
