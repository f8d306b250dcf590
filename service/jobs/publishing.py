"""Files that are there whole or not at all, also after the power fails; and their hashes."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a small file and publish it."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    publish(partial, path)


def publish(partial: Path, path: Path) -> None:
    """Bring a finished file to disk, and then to its name in the same folder."""
    sync(partial)
    partial.replace(path)
    sync(path.parent)


def sha256_of(path: Path) -> str:
    """Return the hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_all(paths: Sequence[Path]) -> str:
    """Return one hash of files and folders: of the contents and the names inside a folder."""
    return sha256_of_hashes(_named_hashes(paths))


def sha256_of_hashes(hashes: Iterable[tuple[str, str]]) -> str:
    """Return one hash of files whose names and hashes are known; a file by itself is named "."."""
    digest = hashlib.sha256()
    for name, sha256 in hashes:
        digest.update(name.encode() + b"\0")
        digest.update(bytes.fromhex(sha256))
    return digest.hexdigest()


def _named_hashes(paths: Sequence[Path]) -> Iterator[tuple[str, str]]:
    for path in paths:
        files = (
            [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
        )
        for file in files:
            yield str(file.relative_to(path)), sha256_of(file)


def sync_tree(folder: Path) -> None:
    """Bring everything in a folder to disk, and the folder itself."""
    for parent, _, files in os.walk(folder):
        for name in files:
            sync(Path(parent) / name)
        sync(Path(parent))
    sync(folder.parent)


def sync(path: Path) -> None:
    """Bring a file, or the list of names in a folder, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
