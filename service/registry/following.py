"""Having in memory what the registry on disk makes active.

A version that cannot be loaded changes nothing but what `LoadedModels` says about it: what answered
before goes on.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import final

from model.errors import ArtifactError
from model.runtime.predictor import Predictor
from service.registry.loaded import LoadedModels, Refusal
from service.registry.loading import open_as_set
from service.registry.registry import Activation, Registry, RegistryError
from service.settings import Settings

_Stamp = tuple[tuple[str, int, int, int], ...]

_logger = logging.getLogger("service.registry")


@dataclass(frozen=True)
class _Failure:
    """A version that could not be loaded, as its files were then."""

    refusal: Refusal
    stamp: _Stamp


@final
class RegistryFollower:
    """Looks at the registry, and loads, tests and activates what has become active in it.

    A look costs a `stat`. A failed version is tried again when its files or the registry change.
    """

    def __init__(self, registry: Registry, models: LoadedModels, settings: Settings) -> None:
        self._registry = registry
        self._models = models
        self._settings = settings
        self._record_stamp: _Stamp | None = None
        self._failures: list[_Failure] = []

    def look(self) -> None:
        """Follow the registry if it, or a version that failed, has changed since the last look."""
        # Taken before reading: what changes later is seen by the next look.
        stamp = _stamp(self._registry.record_path)
        if stamp == self._record_stamp and not any(map(self._has_changed, self._failures)):
            return
        self._record_stamp = stamp
        self._failures = []
        try:
            self._follow(self._registry.read())
        except RegistryError as error:
            self._failures.append(_Failure(Refusal(None, str(error)), ()))
        refusals = [failure.refusal for failure in self._failures]
        for refusal in refusals:
            if refusal not in self._models.refusals:
                _logger.error("refused, what is loaded stays: %s", refusal)
        self._models.refuse(refusals)

    def _follow(self, activation: Activation) -> None:
        if activation.active is None:
            raise RegistryError("no version is active; `registry activate` one")
        self._switch(activation.active)
        predictors = self._models.predictors
        if len(predictors) == 1 and activation.earlier:
            # After a start: who pinned the version before goes on to be answered.
            before = activation.earlier[-1]
            if before != _version(predictors[0]) and (loaded := self._load(before)) is not None:
                self._models.keep(loaded)

    def _switch(self, version: str) -> None:
        predictors = self._models.predictors
        if predictors and _version(predictors[0]) == version:
            return
        known = next((one for one in predictors if _version(one) == version), None)
        found = known or self._load(version)
        if found is not None:
            self._models.activate(found)
            _logger.info("version %s answers from now on", version)

    def _load(self, version: str) -> Predictor | None:
        """Load, warm up and test a version; None if it cannot be served."""
        directory = self._registry.directory / version
        stamp = _stamp(directory)
        try:
            predictor = open_as_set(
                self._registry.artifact_dir(version),
                self._settings,
                own_process=self._settings.model_process,
            )
            if _version(predictor) != version:
                raise ArtifactError(f"its manifest says that it is version {_version(predictor)}")
        except Exception as error:  # any failure means the same: not this version
            if not isinstance(error, ArtifactError):
                _logger.exception("version %s could not be loaded", version)
            refusal = Refusal(version, _reason(error, directory, version))
            self._failures.append(_Failure(refusal, stamp))
            return None
        return predictor

    def _has_changed(self, failure: _Failure) -> bool:
        version = failure.refusal.version
        return version is not None and failure.stamp != _stamp(self._registry.directory / version)


def _version(predictor: Predictor) -> str:
    return predictor.artifact.manifest.version


def _reason(error: Exception, directory: Path, version: str) -> str:
    """Say why, without a path of this machine: anyone who reaches the server may read it."""
    if isinstance(error, ArtifactError):
        return str(error).replace(str(directory), f"version {version}")
    return f"it could not be loaded ({type(error).__name__}); see the log"


def _stamp(path: Path) -> _Stamp:
    """Return what changes with a file, or with a directory and the files in it; empty if missing."""
    try:
        entries = [path, *sorted(path.iterdir())] if path.is_dir() else [path]
        found = [(entry.name, entry.stat()) for entry in entries]
    except OSError:
        return ()
    return tuple(
        (name, status.st_ino, status.st_mtime_ns, status.st_size) for name, status in found
    )
