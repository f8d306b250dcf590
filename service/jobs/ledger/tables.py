"""The tables of the ledger. Times are microseconds since 1970 UTC, by the clock of the ledger.

A job's plan is itself a chunk, with the index `PLAN`: it is claimed, fenced and retried like any other.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

PLAN = -1
"""Index of the chunk whose work is to cut the others."""

LEDGER_VERSION = 2
"""Raised with every change of these tables; a ledger of another version is not touched."""

METADATA = MetaData()

ledger = Table("ledger", METADATA, Column("version", Integer, primary_key=True))

job = Table(
    "job",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("protocol", Integer, nullable=False),
    Column("request", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("times", Text),
    Column("artifact_sha256", String(64), nullable=False),
    Column("model_name", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("input_sha256", String(64), nullable=False),
    Column("idempotency_key", String(64), unique=True),
    Column("max_quarantined_share", Float, nullable=False),
    Column("plan", String(32)),
    Column("last_event", BigInteger, nullable=False, default=0),
    Column("created_us", BigInteger, nullable=False),
    Column("started_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("error_code", String(64)),
    Column("error_detail", Text),
    Index("job_by_creation", "created_us"),
)

chunk = Table(
    "chunk",
    METADATA,
    Column("job_id", ForeignKey(job.c.id), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    # What is to be done.
    Column("num_subjects", BigInteger, nullable=False, default=0),
    Column("num_rows", BigInteger, nullable=False, default=0),
    Column("sha256", String(64), nullable=False, default=""),
    # Who does it. `epoch` counts claims: whoever holds an older one can no longer publish.
    Column("epoch", Integer, nullable=False, default=0),
    Column("num_failures", Integer, nullable=False, default=0),
    Column("num_deaths", Integer, nullable=False, default=0),
    Column("worker_id", String(64)),
    Column("lease_until_us", BigInteger),
    Column("not_before_us", BigInteger, nullable=False, default=0),
    Column("error_code", String(64)),
    # What was published.
    Column("part", String(64)),
    Column("part_sha256", String(64)),
    Column("part_bytes", BigInteger, nullable=False, default=0),
    Column("num_filled_rows", BigInteger, nullable=False, default=0),
    Column("num_abstained", BigInteger, nullable=False, default=0),
    Column("num_quarantined", BigInteger, nullable=False, default=0),
    Column("num_dropped", BigInteger, nullable=False, default=0),
    # What became of the rows, `service.jobs.account.Account` as JSON; of the plan, too.
    Column("account", Text),
    Column("started_us", BigInteger),
    Column("ended_us", BigInteger),
    Index("chunk_by_state", "state", "job_id", "number"),
)

event = Table(
    "event",
    METADATA,
    Column("job_id", ForeignKey(job.c.id), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("content", Text, nullable=False),
)

worker = Table(
    "worker",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("protocol", Integer, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("heartbeat_us", BigInteger, nullable=False),
)
