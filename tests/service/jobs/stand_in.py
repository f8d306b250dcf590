"""A filler without a model: a subject is a line, and its output the line's hash."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import final

from service.jobs.errors import ChunkAlteredError
from service.jobs.folder import JobFolder
from service.jobs.ledger.records import Chunk, JobRecord, Part, Planned

LINES_PER_CHUNK = 3


def _nothing(_index: int) -> None:
    pass


def output_of(lines: Sequence[str]) -> str:
    return "".join(f"{hashlib.sha256(line.encode()).hexdigest()}\n" for line in lines)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@final
class LineFiller:
    """`before_fill` is called with the index of a chunk; what it raises fails the chunk."""

    def __init__(self, before_fill: Callable[[int], None] = _nothing) -> None:
        self.before_fill = before_fill
        self.filled: list[int] = []
        self._lock = threading.Lock()

    def plan(
        self, job: JobRecord, folder: JobFolder, plan: Path, tell: Callable[[int], None]
    ) -> Planned:
        lines = folder.source(job.source).read_text().splitlines(keepends=True)
        chunks: list[Chunk] = []
        for start in range(0, len(lines), LINES_PER_CHUNK):
            own = lines[start : start + LINES_PER_CHUNK]
            file = plan / f"{len(chunks)}.txt"
            file.write_text("".join(own))
            chunks.append(Chunk(len(chunks), len(own), len(own), _sha256(file)))
            tell(start + len(own))
        return Planned(tuple(chunks))

    def fill(self, _job: JobRecord, plan: Path, chunk: Chunk, part: Path, quarantine: Path) -> Part:
        self.before_fill(chunk.index)
        with self._lock:
            self.filled.append(chunk.index)
        source = plan / f"{chunk.index}.txt"
        if _sha256(source) != chunk.sha256:
            raise ChunkAlteredError("the chunk is not the planned one")
        lines = source.read_text().splitlines()
        part.write_text(output_of([line for line in lines if line != "bad"]))
        bad = [line for line in lines if line == "bad"]
        quarantine.write_text("".join('{"code": "bad"}\n' for _ in bad))
        return Part(
            part.name, _sha256(part), part.stat().st_size, len(lines) - len(bad), 0, len(bad)
        )

    def suffix(self, _job: JobRecord) -> str:
        return ".txt"
