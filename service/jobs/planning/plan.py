"""The plan of a job: its input, sorted by subject and cut into chunks, each with its hash.

    chunks/000000.arrow   see `service.jobs.planning.chunks`
    plan.json             the chunks, what was read, and what was left out; written last

After it the input is not needed again. Memory is flat in the size of the input.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from model.data.variables import Catalogue
from model.files import sha256_of_all, write_atomically
from model.records.errors import SourceError
from model.records.rows import RowBatch, TimeKind, count_kinds, meant_kind
from model.records.sources.opening import open_source
from service.inference.errors import Fault, SeriesRefusedError
from service.inference.query import queryable_channel
from service.jobs.errors import JobInputError
from service.jobs.ledger.records import Chunk
from service.jobs.planning.chunks import Whole, cut
from service.jobs.planning.sorting import SortedRuns
from service.jobs.planning.source import check_names, source_options
from service.jobs.planning.suspected_pairs import PairDigest
from service.jobs.request import Grid, JobRequest, TimesTable

_PLAN_VERSION = 2


@dataclass(frozen=True)
class Plan:
    """Chunks in the order of their subjects.

    `ignored` counts by reason what never became a row, `remarks` by code what the reader of the
    source remarked; see `model.records.rows.RowBatch`.
    """

    input_sha256: str
    num_rows: int
    num_subjects: int
    ignored: Mapping[str, int]
    remarks: Mapping[str, int]
    chunks: tuple[Chunk, ...]
    version: int = _PLAN_VERSION


def _tell_nobody(_num_rows: int) -> None:
    """Let the rows go by."""


def make_plan(
    source: Path,
    request: JobRequest,
    folder: Path,
    catalogue: Catalogue,
    *,
    times: Path | None = None,
    tell: Callable[[int], None] = _tell_nobody,
) -> Plan:
    """Read the input once, write its chunks and the plan into `folder`, and return the plan.

    >>> source = folder / "in.csv"
    >>> _ = source.write_text("subject_id,time,variable,value\\na,0,HR,80\\na,1,HR,82\\n")
    >>> plan = make_plan(source, JobRequest(format="csv"), folder / "plan", catalogue)
    >>> plan.num_rows, plan.num_subjects, len(plan.chunks)
    (2, 1, 1)

    Parameters
    ----------
    source
        A file, or a folder of files.
    times
        The table of query times, where the request fills those.
    tell
        Called with the number of rows that are read, again and again.

    Raises
    ------
    JobInputError
        If the input cannot be read or holds no subject, or the request names variables that are
        not estimated.
    """
    check_request(request, catalogue, has_times=times is not None)
    working = folder / "planning"
    for stale in (working, folder / "chunks"):
        shutil.rmtree(stale, ignore_errors=True)
        stale.mkdir(parents=True)
    runs, read = SortedRuns(working), _Read()
    digest = PairDigest.of(request.accepted_units, catalogue)
    for rows in _all_rows(source, times, request, catalogue):
        read.add(rows)
        runs.add(rows.batch)
        digest.add(rows.batch)
        tell(read.num_rows)
    whole = Whole(meant_kind(read.kinds), digest.suspected())
    chunks = tuple(cut(runs.merged(), folder, whole, chunk_subjects=request.chunk_subjects))
    shutil.rmtree(working)
    if not chunks:
        left_out = ", ".join(f"{count} {reason}" for reason, count in read.ignored.items())
        raise JobInputError(
            f"the input holds no usable row; left out, by reason: {left_out or 'none'}"
        )
    plan = Plan(
        input_sha256=sha256_of_all([source] if times is None else [source, times]),
        num_rows=read.num_rows,
        num_subjects=sum(chunk.num_subjects for chunk in chunks),
        ignored=dict(sorted(read.ignored.items())),
        remarks=dict(sorted(read.remarks.items())),
        chunks=chunks,
    )
    content = json.dumps(asdict(plan), indent=1) + "\n"
    write_atomically(folder / "plan.json", content.encode())
    return plan


def load_plan(folder: Path) -> Plan | None:
    """Return the plan of a folder, None where it has none yet.

    Raises
    ------
    JobInputError
        If another version of this program made it.
    """
    try:
        content: dict[str, Any] = json.loads((folder / "plan.json").read_bytes())
    except FileNotFoundError:
        return None
    if content.get("version") != _PLAN_VERSION:
        raise JobInputError(
            f"plan.json has version {content.get('version')}, this program reads {_PLAN_VERSION}; "
            "start the job again in another folder"
        )
    return Plan(**{**content, "chunks": tuple(Chunk(**chunk) for chunk in content["chunks"])})


@dataclass
class _Read:
    """What was read so far."""

    num_rows: int = 0
    kinds: np.ndarray = field(default_factory=lambda: np.zeros(len(TimeKind), dtype=np.int64))
    ignored: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)

    def add(self, rows: RowBatch) -> None:
        self.num_rows += rows.num_read
        self.kinds += count_kinds(rows.batch)
        self.ignored.update(rows.ignored)
        self.remarks.update(rows.remarks)


def _all_rows(
    source: Path, times: Path | None, request: JobRequest, catalogue: Catalogue
) -> Iterator[RowBatch]:
    options = source_options(request)
    try:
        yield from open_source(source, options, catalogue)
        if times is not None:
            yield from open_source(times, options, catalogue, is_query=True)
    except SourceError as error:
        raise JobInputError(str(error)) from error


def check_request(request: JobRequest, catalogue: Catalogue, *, has_times: bool) -> None:
    """Refuse what can be refused before the input is read.

    Raises
    ------
    JobInputError
        If a table of times is missing or too many, a grid goes too far, a variable is not
        estimated, or what is said about the source means nothing.
    """
    if has_times != isinstance(request.fill, TimesTable):
        raise JobInputError(
            "a table of query times is given exactly where `fill` is of the kind `times_table`"
        )
    if isinstance(request.fill, Grid) and request.fill.forecast_hours > request.outside_hours:
        raise JobInputError(
            f"a grid may go on for {request.outside_hours:g} hours",
            code=Fault.QUERY_TOO_FAR,
            path="fill.forecast_hours",
        )
    check_names(request, catalogue)
    if isinstance(request.variables, str):
        return
    for index, name in enumerate(request.variables):
        try:
            queryable_channel(catalogue, name, path=f"variables[{index}]")
        except SeriesRefusedError as error:
            raise JobInputError(error.detail, code=error.code, path=error.path) from None
