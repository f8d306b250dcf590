"""The models in memory: the active one answers, the one before it answers whoever pins it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from model.runtime.predictor import Predictor
from service.errors import InvalidRequestError
from service.registry.errors import NotReadyError
from service.slices import Part

_MAX_LOADED = 2


@dataclass(frozen=True)
class Refusal:
    """Why a version is not loaded. `version` is None where nobody could say which it would be."""

    version: str | None
    reason: str


@dataclass(frozen=True)
class _Contents:
    predictors: tuple[Predictor, ...] = ()
    refusals: tuple[Refusal, ...] = ()


@final
class LoadedModels:
    """The active predictor, the one that was active before it, and what could not be loaded.

    Changed by one thread and read by many: every change replaces the contents at once.
    """

    def __init__(self, *, retry_after_seconds: int) -> None:
        self._retry_after_seconds = retry_after_seconds
        self._contents = _Contents()

    @property
    def active(self) -> Predictor:
        """The predictor that answers whoever asks for no version.

        Raises
        ------
        NotReadyError
            As long as there is none.
        """
        predictors = self.predictors
        if predictors:
            return predictors[0]
        if self.has_failed:
            raise NotReadyError("the model could not be loaded; see the log", code="load_failed")
        raise NotReadyError(
            "the model is being loaded; ask again", retry_after_seconds=self._retry_after_seconds
        )

    def require_ready(self) -> None:
        """Raise `NotReadyError` as long as nothing is loaded."""
        _ = self.active

    @property
    def predictors(self) -> tuple[Predictor, ...]:
        """All that are loaded, the active one first."""
        return self._contents.predictors

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What was asked for last and could not be loaded."""
        return self._contents.refusals

    @property
    def has_failed(self) -> bool:
        """Whether nothing is loaded because it could not be."""
        contents = self._contents
        return not contents.predictors and bool(contents.refusals)

    def of_version(self, version: str | None) -> Predictor:
        """Return the predictor of a pinned version, or the active one where none is pinned.

        Raises
        ------
        NotReadyError
            As long as there is none at all.
        InvalidRequestError
            If the version is not loaded.
        """
        active = self.active
        if version is None:
            return active
        predictors = self.predictors
        for predictor in predictors:
            if predictor.artifact.manifest.version == version:
                return predictor
        loaded = ", ".join(one.artifact.manifest.version for one in predictors)
        raise InvalidRequestError(
            f"the version is not loaded; expected one of: {loaded}; or leave it out",
            code="model_version_not_loaded",
            path="model_version",
        )

    def activate(self, predictor: Predictor) -> None:
        """Let a predictor answer from now on; the one that did stays loaded, older ones do not."""
        version = predictor.artifact.manifest.version
        others = [one for one in self.predictors if one.artifact.manifest.version != version]
        self._contents = _Contents((predictor, *others)[:_MAX_LOADED], self.refusals)

    def keep(self, predictor: Predictor) -> None:
        """Let a predictor answer whoever pins it, beside the active one."""
        self._contents = _Contents((self.active, predictor), self.refusals)

    def refuse(self, refusals: Sequence[Refusal]) -> None:
        """Say what could not be loaded, in place of what was said before."""
        self._contents = _Contents(self.predictors, tuple(refusals))


MODELS = Part[LoadedModels]("models")
