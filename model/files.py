"""Files and directories that are there whole or not at all, also after the power fails; their hashes.

    report.json            whole: written beside its name, brought to disk, and renamed
    artifact/              whole: the same for a directory
    .artifact.41.partial/  being written by process 41; litter after a crash
    .artifact.old/         moved away while its successor takes the name; gone when that has it

A crash between the two renames of a directory leaves the old one under its other name, where
`standing` finds it. Whoever reads a directory that is written here asks `standing` first.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a small file, in place of the one that has its name.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "note.txt", b"whole")
    ...     (Path(folder) / "note.txt").read_bytes()
    b'whole'
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    publish_file(partial, path)


def publish_file(partial: Path, path: Path) -> None:
    """Bring a finished file to disk, and then to its name in the same folder."""
    sync(partial)
    partial.replace(path)
    sync(path.parent)


@contextmanager
def written_directory(directory: Path, *, replaces: bool = True) -> Iterator[Path]:
    """Give an empty folder that becomes `directory` when the block ends well, and else goes away.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written_directory(Path(folder) / "model") as partial:
    ...         _ = (partial / "weights").write_bytes(b"1")
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['model']

    Raises
    ------
    OSError
        If it cannot be written; also where `replaces` is False and the name is taken.
    """
    partial = directory.with_name(f".{directory.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        publish_directory(partial, directory, replaces=replaces)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def publish_directory(partial: Path, directory: Path, *, replaces: bool = True) -> None:
    """Bring a finished directory to disk, and then to its name in the same folder.

    What has the name is moved away first and removed last, so that one of the two is whole at any
    moment.

    Raises
    ------
    OSError
        If `replaces` is False and the name is taken by anything but an empty folder.
    """
    sync_tree(partial)
    old = _old(directory)
    if replaces and directory.exists():
        shutil.rmtree(old, ignore_errors=True)
        directory.rename(old)
    partial.rename(directory)
    sync(directory.parent)
    if replaces:
        shutil.rmtree(old, ignore_errors=True)


def standing(directory: Path) -> Path:
    """Return where the directory is: also after a crash of whoever was about to replace it."""
    old = _old(directory)
    return old if old.exists() and not directory.exists() else directory


def remove_directory(directory: Path) -> None:
    """Remove a directory and what crashes left of it."""
    for path in (
        _old(directory),
        *directory.parent.glob(f".{directory.name}.*.partial"),
        directory,
    ):
        shutil.rmtree(path, ignore_errors=True)


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
        # A name may hold bytes that are no UTF-8.
        digest.update(os.fsencode(name) + b"\0")
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


def _old(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}.old")


def sync(path: Path) -> None:
    """Bring a file, or the list of names in a folder, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
