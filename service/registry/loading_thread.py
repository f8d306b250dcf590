"""The thread that loads models, beside the server that answers with those that are loaded."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import final

from model.errors import ModelError
from model.runtime.predictor import Predictor
from service.registry.errors import as_service_error
from service.registry.following import RegistryFollower
from service.registry.loaded import MODELS, LoadedModels, Refusal
from service.registry.loading import open_as_set, warm_up
from service.registry.registry import Registry, is_registry
from service.settings import Settings
from service.slices import Slice

_logger = logging.getLogger("service.loading")


@final
class LoadingThread:
    """Loads what is to be served at the start, and then follows the registry, if it is one."""

    def __init__(
        self, models: LoadedModels, settings: Settings, predictor: Predictor | None = None
    ) -> None:
        self._models = models
        self._settings = settings
        self._given = predictor
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more, and wait for the end of what is being loaded."""
        self._is_stopped.set()
        self._thread.join()

    def _run(self) -> None:
        artifact = self._settings.artifact
        follows = artifact is not None and is_registry(artifact)
        if self._given is not None or not follows:
            self._load_first()
        if artifact is None or not follows:
            return
        follower = RegistryFollower(Registry(artifact), self._models, self._settings)
        follower.look()
        while not self._is_stopped.wait(self._settings.registry_poll_seconds):
            follower.look()

    def _load_first(self) -> None:
        try:
            self._models.activate(self._first())
        except Exception as error:  # any failure means the same: never ready
            self._models.refuse([Refusal(None, type(error).__name__)])
            _logger.exception("the model could not be loaded")
        else:
            _logger.info("ready")

    def _first(self) -> Predictor:
        settings = self._settings
        if self._given is not None:
            return warm_up(self._given)
        if settings.artifact is None:
            raise ValueError("LACUNA_ARTIFACT is not set")
        return open_as_set(settings.artifact, settings, own_process=settings.model_process)


def registry_slice(predictor: Predictor | None) -> Slice:
    """Make the slice that owns the models: loaded beside the running server, so that probes can tell.

    Parameters
    ----------
    predictor
        What answers at first; by default the artifact of the settings is loaded.
    """

    @asynccontextmanager
    async def loading_models(settings: Settings) -> AsyncIterator[LoadedModels]:
        models = LoadedModels(retry_after_seconds=settings.retry_after_seconds)
        loading = LoadingThread(models, settings, predictor)
        loading.start()
        try:
            yield models
        finally:
            await asyncio.to_thread(loading.stop)

    return Slice(owns=(MODELS, loading_models), errors={ModelError: as_service_error})
