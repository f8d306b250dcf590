"""What a job reads."""

from dataclasses import dataclass
from pathlib import Path

from model.files import sha256_of_all


@dataclass(frozen=True)
class Source:
    """What a job reads: a table or data set, and the table of query times if there is one."""

    path: Path
    times: Path | None = None

    @property
    def sha256(self) -> str:
        """Hash of all of it."""
        return sha256_of_all([self.path] if self.times is None else [self.path, self.times])
