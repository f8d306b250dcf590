"""Ledger: which records and masks each loaded protocol has had, so that nobody moves the goal.

One file for each protocol with its seed and options, for the sets that are at hand. A load of the
same sets that gives other records or masks fails.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from model.files import write_atomically
from training.datasets.errors import DatasetError
from training.protocols.part import Part
from training.protocols.protocol import Protocol

DIRECTORY = Path(__file__).with_name("records")


class ProtocolRecordsError(DatasetError):
    """Raised where a protocol loads with other records or masks than those stored."""

    code = "protocol_records"


@dataclass(frozen=True)
class PartHashes:
    """How many records a part has, the hash of their ids, and the hash with the masks."""

    num_records: int
    ids_sha256: str
    masks_sha256: str

    @classmethod
    def of(cls, part: Part) -> "PartHashes":
        """Hash a part."""
        ids = "\n".join(part.cohort.subject_ids).encode()
        return cls(len(part.cohort), hashlib.sha256(ids).hexdigest(), part.sha256())


@dataclass(frozen=True)
class Entry:
    """What is stored of a loaded protocol; `test_ids` are sorted, with one space between them."""

    protocol: str
    options: str
    sets: str
    num_records: int
    train: PartHashes
    validation: PartHashes
    test: PartHashes
    test_ids: str

    @classmethod
    def of(cls, protocol: Protocol) -> "Entry":
        """Describe a loaded protocol."""
        ids = sorted(protocol.test.cohort.subject_ids)
        return cls(
            protocol.name,
            protocol.options_text,
            protocol.sets,
            protocol.num_records,
            PartHashes.of(protocol.train),
            PartHashes.of(protocol.validation),
            PartHashes.of(protocol.test),
            " ".join(ids),
        )

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> "Entry":
        """Read what `write` wrote."""
        parts = {
            name: PartHashes(**content[name])  # type: ignore[arg-type]
            for name in ("train", "validation", "test")
        }
        return cls(**{**content, **parts})  # type: ignore[arg-type]


def path_of(protocol: Protocol, directory: Path = DIRECTORY) -> Path:
    """Return where a protocol's entry is stored, for these sets, seed and options."""
    options = re.sub(r"[^a-z0-9.]+", "-", f"{protocol.sets} {protocol.options_text}".lower())
    return directory / f"{protocol.name}.{options}.json"


def write(protocol: Protocol, directory: Path = DIRECTORY) -> Path:
    """Store the entry of a loaded protocol; return its path."""
    path = path_of(protocol, directory)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(Entry.of(protocol)), indent=1)
    write_atomically(path, text.encode() + b"\n")
    return path


def check(protocol: Protocol, directory: Path = DIRECTORY) -> bool:
    """Compare a loaded protocol with its entry; return whether there is one for the same records.

    Raises
    ------
    ProtocolRecordsError
        If there is one, for as many records of the same sets, and it differs.
    """
    path = path_of(protocol, directory)
    if not path.is_file():
        return False
    stored = Entry.from_json(json.loads(path.read_text(encoding="utf-8")))
    if (stored.sets, stored.num_records) != (protocol.sets, protocol.num_records):
        return False
    loaded = Entry.of(protocol)
    for name in ("train", "validation", "test"):
        if getattr(stored, name) != getattr(loaded, name):
            raise ProtocolRecordsError(
                f"{protocol.name} ({protocol.options_text}): the records or masks of {name} are "
                f"not those of {path.name}; either the challenge's files were altered or a loader "
                "was changed, and then figures from before do not compare"
            )
    return True
