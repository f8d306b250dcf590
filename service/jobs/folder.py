"""The folder of a job: who finds what where.

    {jobs_dir}/artifacts/{sha256}/         the models that jobs began with
    {jobs_dir}/{job_id}/input/             what was posted
    {jobs_dir}/{job_id}/plan-{epoch}/      chunks, cut from the input; plan.json stays with the job
    {jobs_dir}/{job_id}/parts/             output of chunks: {chunk}-{epoch}.{format}
    {jobs_dir}/{job_id}/quarantine/        subjects left out, with reasons: {chunk}-{epoch}.ndjson

Everything is readable by this account only. No name comes from a client. Only the ledger says which
parts count: a file of an epoch that was fenced off is litter.
"""

import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

_MODE = 0o700
_PLAN = "plan.json"
UPLOADING = ".uploading-"
"""How the name of a folder begins whose job is not entered yet."""
DELETED = ".deleted-"
"""How the name of a folder begins that is being removed."""


@dataclass(frozen=True)
class JobFolder:
    """Paths in the folder of one job."""

    path: Path

    @property
    def input(self) -> Path:
        """Where posted files lie."""
        return self.path / "input"

    @property
    def parts(self) -> Path:
        """Where published output lies."""
        return self.path / "parts"

    @property
    def quarantine(self) -> Path:
        """Where the reasons lie for which subjects were left out."""
        return self.path / "quarantine"

    def source(self, source: str) -> Path:
        """Return the input: a name in this folder, or a path that was `noted`."""
        return self.path / os.fsdecode(unquote_to_bytes(source))

    def plan_of(self, plan: str) -> Path:
        """Return the folder that holds plan.json, before and after the job is finished."""
        return self.path / plan if (self.path / plan / _PLAN).is_file() else self.path

    def quarantine_of(self, part: str) -> Path:
        """Return the quarantine that was published with a part."""
        return self.quarantine / f"{Path(part).stem}.ndjson"

    def has_part(self, part: str, num_bytes: int) -> bool:
        """Return whether a published part has its bytes, and its quarantine beside it."""
        file = self.parts / part
        is_whole = file.is_file() and file.stat().st_size == num_bytes
        return is_whole and self.quarantine_of(part).is_file()

    def make(self) -> None:
        """Make the folders of a job whose own exists. A deleted one does not come back."""
        for folder in (self.parts, self.quarantine):
            folder.mkdir(mode=_MODE, exist_ok=True)

    def sweep(self, kept_parts: Collection[str]) -> None:
        """Remove what a finished job needs no more: plans, posted input, parts that do not count."""
        for plan in self.path.glob("plan-*"):
            with suppress(FileNotFoundError):
                (plan / _PLAN).rename(self.path / _PLAN)
            shutil.rmtree(plan, ignore_errors=True)
        shutil.rmtree(self.input, ignore_errors=True)
        stems = {Path(part).stem for part in kept_parts}
        for folder in (self.parts, self.quarantine):
            for file in folder.iterdir():
                if file.stem not in stems:
                    file.unlink(missing_ok=True)


def noted(path: Path) -> str:
    """Write an absolute path as text that `JobFolder.source` reads, whatever bytes it has.

    >>> noted(Path("/data/in.csv"))
    '/data/in.csv'
    """
    return quote(os.fsencode(path.resolve()))


def make_private(folder: Path) -> Path:
    """Make a folder that no other account can read, with those above it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=_MODE, exist_ok=True)
    return folder


def remove_folder(folder: Path) -> None:
    """Remove a folder in which somebody may still write: they lose its name first."""
    condemned = folder.with_name(f"{DELETED}{folder.name}")
    with suppress(FileNotFoundError):
        folder.rename(condemned)
    shutil.rmtree(condemned, ignore_errors=True)
