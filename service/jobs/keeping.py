"""The models that jobs began with, kept beside them: activating another does not touch a job."""

import hashlib
import os
import shutil
from pathlib import Path

from model.artifact import load_artifact
from model.errors import ArtifactError
from model.files import standing, written_directory
from service.jobs.folder import make_private

_MANIFEST = "manifest.json"


def kept_artifact(jobs_dir: Path, sha256: str) -> Path:
    """Return where the artifact with this hash is kept."""
    return jobs_dir / "artifacts" / sha256


def keep_artifact(served: Path, sha256: str, jobs_dir: Path) -> None:
    """Copy an artifact, unless an unaltered copy is there.

    Parameters
    ----------
    served
        The directory of the artifact, or one that has it somewhere below.

    Raises
    ------
    ArtifactError
        If there is none with this hash.
    """
    kept = kept_artifact(jobs_dir, sha256)
    if _is_whole(kept, sha256):
        os.utime(kept)  # somebody is about to need it
        return
    make_private(kept.parent)
    with written_directory(kept) as partial:
        shutil.copytree(_find(served, sha256), partial, dirs_exist_ok=True)
        if not _is_whole(partial, sha256):
            raise ArtifactError(f"{served} was altered; the job cannot keep its model")
        os.utime(partial)


def forget_artifacts(jobs_dir: Path, in_use: set[str], *, unused_since: float) -> None:
    """Remove the models of which no job is left, and none was about to be made since a moment."""
    folder = jobs_dir / "artifacts"
    for kept in folder.iterdir() if folder.is_dir() else ():
        if kept.name not in in_use and kept.stat().st_mtime < unused_since:
            shutil.rmtree(kept, ignore_errors=True)


def _find(served: Path, sha256: str) -> Path:
    served = standing(served)
    for manifest in (served / _MANIFEST, *sorted(served.glob(f"*/**/{_MANIFEST}"))):
        if manifest.is_file() and hashlib.sha256(manifest.read_bytes()).hexdigest() == sha256:
            return manifest.parent
    raise ArtifactError(f"{served} no longer has the model that was loaded from it")


def _is_whole(directory: Path, sha256: str) -> bool:
    try:
        return load_artifact(directory).sha256 == sha256
    except ArtifactError:
        return False
