"""Whole or not at all: a process that dies at any step leaves the new directory or the old one."""

import contextlib
import doctest
import os
import shutil
from pathlib import Path

import pytest

import model.files
from model.files import (
    remove_directory,
    sha256_of_all,
    standing,
    write_atomically,
    written_directory,
)


class Death(BaseException):
    """The process is gone: nothing that it would still do happens."""


class Mortal:
    """Lets so many calls of the system through, and no other afterwards."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lives: int) -> None:
        self.lives = lives
        for owner, name in ((os, "fsync"), (Path, "rename"), (Path, "replace"), (shutil, "rmtree")):
            monkeypatch.setattr(owner, name, self._mortal(getattr(owner, name)))

    def _mortal(self, call: object) -> object:
        def guarded(*arguments: object, **options: object) -> object:
            self.lives -= 1
            if self.lives < 0:
                raise Death
            return call(*arguments, **options)  # type: ignore[operator]

        return guarded


def _write(directory: Path, content: bytes) -> None:
    with written_directory(directory) as partial:
        (partial / "a").write_bytes(content)
        (partial / "inner").mkdir()
        (partial / "inner" / "b").write_bytes(content)


def _read(directory: Path) -> bytes:
    found = standing(directory)
    first = (found / "a").read_bytes()
    assert (found / "inner" / "b").read_bytes() == first
    return first


def test_a_death_at_any_step_leaves_one_of_the_two(tmp_path: Path) -> None:
    seen = set()
    for lives in range(40):
        directory = tmp_path / str(lives) / "model"
        _write(directory, b"old")
        with pytest.MonkeyPatch.context() as monkeypatch:
            mortal = Mortal(monkeypatch, lives)
            with contextlib.suppress(Death):
                _write(directory, b"new")
            is_over = mortal.lives >= 0
        found = _read(directory)
        seen.add((found, is_over, directory.exists()))
        # Whoever comes next gets on with it, whatever was left.
        _write(directory, b"next")
        assert _read(directory) == b"next"
        assert [path.name for path in directory.parent.iterdir()] == ["model"]
        if is_over:
            break
    # It died before, between and after the renames, and at last it lived.
    assert seen == {
        (b"old", False, True),
        (b"old", False, False),
        (b"new", False, True),
        (b"new", True, True),
    }


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    _write(directory, b"old")
    with pytest.raises(FileNotFoundError), written_directory(directory) as partial:
        (partial / "missing" / "a").write_bytes(b"new")
    assert _read(directory) == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_name_that_is_taken_is_not_replaced_where_that_is_forbidden(tmp_path: Path) -> None:
    _write(tmp_path / "model", b"old")
    with (
        pytest.raises(OSError, match="not empty"),
        written_directory(tmp_path / "model", replaces=False) as partial,
    ):
        (partial / "a").write_bytes(b"new")
    assert _read(tmp_path / "model") == b"old"


def test_a_file_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    for lives in range(4):
        write_atomically(path, b"old")
        with pytest.MonkeyPatch.context() as monkeypatch:
            mortal = Mortal(monkeypatch, lives)
            with contextlib.suppress(Death):
                write_atomically(path, b"new")
            is_over = mortal.lives >= 0
        assert path.read_bytes() == (b"old" if lives < 2 else b"new")
        assert is_over == (lives == 3)


def test_what_is_removed_is_gone_with_its_litter(tmp_path: Path) -> None:
    for name in ("model", ".model.old", ".model.7.partial"):
        (tmp_path / name).mkdir()
    remove_directory(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_no_text_is_hashed(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"a\xff")).write_bytes(b"1")
    assert len(sha256_of_all([tmp_path])) == 64


def test_the_examples_run() -> None:
    assert doctest.testmod(model.files) == (0, 4)
