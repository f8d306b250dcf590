"""Builds the fused kernel with the user's own C compiler, into the user's own cache.

Nothing here runs unless it is called: `build` is a person's decision, `find` only looks.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

_SOURCES = ("fused.c", "walk_back.h", "walk.h", "field.h", "tile.h")
# Nothing that lets the compiler reorder or fuse sums: an answer must not depend on the batch.
_FLAGS = (
    "-std=gnu11",
    "-O3",
    "-march=native",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-shared",
    "-fPIC",
    "-pthread",
)
_TIMEOUT_SECONDS = 300


class KernelBuildError(RuntimeError):
    """The kernel could not be built; the message says what to do."""


def cache_folder() -> Path:
    """Return the folder of built kernels: `lacuna` in XDG_CACHE_HOME, by default in ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "lacuna"


def find(folder: Path) -> Path | None:
    """Return the newest kernel in `folder` of these sources for this processor, if there is one.

    A folder that belongs to someone else, or that others may write to, holds none: a library is
    code.
    """
    if not folder.is_dir() or not _is_private(folder):
        return None
    built = [path for path in folder.glob(f"fused-{_source_key()}-*.so") if _is_private(path)]
    return max(built, key=lambda path: path.stat().st_mtime_ns, default=None)


def build(folder: Path, compiler: str | None = None) -> Path:
    """Compile the kernel into `folder` and return its path.

    Parameters
    ----------
    compiler
        A command such as `gcc` or `clang`; by default the environment's CC, else `cc`.

    Raises
    ------
    KernelBuildError
        If there is no compiler, it fails, or others may write to the folder.
    """
    command = _compiler_path(compiler or os.environ.get("CC") or "cc")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_private(folder):
        msg = f"{folder} must belong to you and be writable by you alone (chmod 700): it holds code"
        raise KernelBuildError(msg)
    name = f"fused-{_source_key()}-{_digest(_run([command, '--version']))}.so"
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        # Compiled aside and renamed: another process sees a whole file or none.
        draft = Path(scratch) / name
        _run([command, *_FLAGS, "-o", str(draft), str(Path(__file__).parent / _SOURCES[0])])
        draft.chmod(0o700)
        return draft.replace(folder / name)


def _compiler_path(command: str) -> str:
    path = shutil.which(command)
    if path is None:
        msg = (
            f"the fused kernel needs a C compiler, and there is no {command!r}: install gcc or "
            "clang, or name one in CC. Without the kernel everything works, more slowly."
        )
        raise KernelBuildError(msg)
    return path


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KernelBuildError(f"{command[0]} did not run: {error}") from error
    if done.returncode:
        shown = done.stderr.strip()[-2000:]
        raise KernelBuildError(f"{' '.join(command)} failed with {done.returncode}:\n{shown}")
    return done.stdout


def _is_private(path: Path) -> bool:
    found = path.stat()
    return found.st_uid == os.getuid() and not found.st_mode & 0o022


@cache
def _source_key() -> str:
    """Return what a build depends on: sources, flags, and the processor it is for."""
    here = Path(__file__).parent
    sources = [(here / name).read_text(encoding="utf-8") for name in _SOURCES]
    return _digest("\0".join([*sources, *_FLAGS, platform.machine(), *_processor_flags()]))


def _processor_flags() -> list[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return [platform.processor()]
    # x86 names its line "flags", ARM "Features".
    named = [line.split(":", 1)[1] for line in lines if line.startswith(("flags", "Features"))]
    return sorted(set(named[0].split())) if named else [platform.processor()]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
