"""Files that are there whole or not at all, also after the power fails; and their hashes."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a small file and publish it."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    publish(partial, path)


def publish(partial: Path, path: Path) -> None:
    """Bring a finished file to disk, and then to its name in the same folder."""
    _sync(partial)
    partial.replace(path)
    _sync(path.parent)


def sha256_of(path: Path) -> str:
    """Return the hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_all(paths: Sequence[Path]) -> str:
    """Return one hash of files and folders: of the contents and the names inside a folder."""
    digest = hashlib.sha256()
    for path in paths:
        files = (
            [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
        )
        for file in files:
            digest.update(str(file.relative_to(path)).encode() + b"\0")
            digest.update(bytes.fromhex(sha256_of(file)))
    return digest.hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
