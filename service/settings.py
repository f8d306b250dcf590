"""Every setting of the server. Each is also an environment variable: LACUNA_ and its name.

The command line sets a few of them; what it does not set comes from the environment, else from
here.
"""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from model.runtime.backends import Backend, Device


class Settings(BaseSettings):
    """Limits refuse work that one request must not claim; nothing is ever cut short in silence."""

    model_config = SettingsConfigDict(env_prefix="LACUNA_", frozen=True, extra="ignore")

    artifact: Path | None = Field(
        default=None,
        description="Directory of the artifact to serve, or of a registry of them. Required by "
        "`serve`.",
    )
    registry_poll_seconds: float = Field(
        default=1.0,
        gt=0,
        description="How often the server looks whether another version of the registry has become "
        "active, in seconds. A look is one `stat` of registry.json.",
    )
    host: str = Field(
        default="127.0.0.1",
        description="Address to listen on. The default accepts this machine only; put a proxy with "
        "TLS and authentication in front before choosing another.",
    )
    port: int = Field(default=8000, ge=0, le=65535, description="TCP port; 0 takes a free one.")
    backend: Backend = Field(
        default="auto",
        description="What computes the answers. `onnx` needs no torch and starts in a second; "
        "`torch` can use a GPU; `auto` takes torch on a GPU where there is one, else onnx where "
        "the artifact has a graph.",
    )
    device: Device = Field(
        default="auto",
        description="Where the network runs. `auto` takes a GPU where there is one; `cuda` refuses "
        "to start without one.",
    )
    num_threads: int = Field(
        default=1,
        ge=1,
        description="Threads of one computation on the CPU. The network is small: more threads "
        "help only requests of many series, and cost all of them dearly on shared cores.",
    )
    model_process: bool = Field(
        default=True,
        description="Whether the model runs in a process of its own. Then it and HTTP use two "
        "processors instead of taking turns, and a crash of it is survived; that takes some 30 MiB "
        "for each loaded model, and a millisecond of a request that comes alone.",
    )
    max_body_bytes: int = Field(
        default=8 * 2**20,
        ge=1,
        description="Largest body of a request, in bytes. 8 MiB hold four series of 20,000 "
        "observations as objects, or ten as columns; more lets one client claim more memory.",
    )
    body_timeout_seconds: float = Field(
        default=20.0,
        gt=0,
        description="How long the body of a request may take to arrive, in seconds; then 408 and the "
        "connection is closed. The largest body needs 3.4 Mbit/s. Shorter than `shutdown_seconds`, so "
        "that no slow client holds up the end.",
    )
    max_series: int = Field(
        default=64,
        ge=1,
        description="Series in one request. They are answered together: more of them use a GPU "
        "better and make everyone behind them wait longer.",
    )
    max_observations_per_series: int = Field(
        default=20_000,
        ge=1,
        description="Observations of one series. An intensive care stay of a week has about 5,000.",
    )
    max_query_times: int = Field(default=2_000, ge=1, description="Query times of one series.")
    max_query_points: int = Field(
        default=100_000,
        ge=1,
        description="Answers of one request: query times x variables, summed over its series. "
        "Bounds the body of the answer to about 15 MB.",
    )
    max_samples: int = Field(
        default=200, ge=0, description="Joint samples of one request (`num_samples`)."
    )
    max_sample_values: int = Field(
        default=500_000,
        ge=1,
        description="num_samples x answers of one request, and 200 x the half hours of its "
        "events. Every sample runs the whole network: memory and time follow this number.",
    )
    max_outside_hours: float = Field(
        default=168.0,
        gt=0,
        description="How far before the first or after the last used observation a query may lie, "
        "in hours. The solver's work grows with it, and the answer's worth does not.",
    )
    queue_capacity: int = Field(
        default=64,
        ge=1,
        description="Requests that may wait or run at one time. A low limit refuses clients (429) "
        "instead of having them wait.",
    )
    max_batch_size: int = Field(
        default=20_000,
        ge=1,
        description="Work that is gathered into one run of the model while another runs: observations "
        "+ answers x (1 + num_samples). More uses the processor better and makes the first in a "
        "batch wait for the last.",
    )
    request_timeout_seconds: float = Field(
        default=30.0,
        gt=0,
        description="How long a request may wait and run before it is given up (503), in seconds.",
    )
    retry_after_seconds: int = Field(
        default=1, ge=1, description="What a refused client is told to wait, in seconds."
    )
    keep_alive_seconds: int = Field(
        default=5,
        ge=1,
        description="How long an idle connection stays open, in seconds. Longer than the proxy's.",
    )
    drain_seconds: float = Field(
        default=1.0,
        ge=0,
        description="How long after a stop signal new requests are still answered, with 503 "
        "`shutting_down`, in seconds. Then the port is closed. Longer than a load balancer takes to "
        "see that /health/ready has turned spares clients a reset connection.",
    )
    shutdown_seconds: int = Field(
        default=25,
        ge=1,
        description="How long requests in flight may finish after that. The two together are shorter "
        "than the supervisor's grace period.",
    )
    jobs_dir: Path | None = Field(
        default=None,
        description="Folder of batch jobs: uploads, output, the ledger and the models that jobs began "
        "with. Workers on other machines need the same folder. Not set: the server takes no jobs.",
    )
    jobs_database_url: str | None = Field(
        default=None,
        description="Database of the ledger of jobs, such as postgresql+psycopg://user@host/name "
        "(needs the extra `postgres`). By default a SQLite file in the jobs folder, which serves "
        "all workers of one machine.",
    )
    job_workers: int = Field(
        default=1,
        ge=0,
        description="Worker processes that the server starts and watches over. 0 leaves jobs to "
        "`python -m service worker`, here or elsewhere.",
    )
    job_lease_seconds: float = Field(
        default=30.0,
        gt=0,
        le=60,
        description="How long a chunk is kept for a worker that is not heard of, in seconds. Less "
        "has a dead worker replaced sooner; more bears longer pauses of a living one.",
    )
    job_chunk_timeout_seconds: float = Field(
        default=900.0,
        gt=0,
        description="How long one attempt at a chunk may take, in seconds; then its worker gives it up "
        "and is replaced, and the third time the job fails. Less finds a hung worker sooner; more "
        "bears larger chunks and slower machines. 256 stays took nine seconds of a core; the "
        "first chunk of a worker waits for the model as well.",
    )
    job_retention_days: float = Field(
        default=30.0,
        gt=0,
        description="How long a job that has ended is kept, in days. Then its files are removed, and "
        "a tombstone without data stays.",
    )
    max_upload_bytes: int = Field(
        default=64 * 2**30,
        ge=1,
        description="Largest upload of a job, in bytes. It is streamed to the jobs folder, and takes "
        "as much room there, and about as much again while it is cut into chunks.",
    )
    max_unfinished_jobs: int = Field(
        default=100,
        ge=1,
        description="Jobs that may wait or run at one time; more are refused (429).",
    )
