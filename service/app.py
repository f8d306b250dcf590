"""The application: its slices, its error mapping, and the lifespan that owns the models."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.responses import RedirectResponse

import service.catalogue.endpoints
import service.inference.endpoints
import service.jobs.http.endpoints
import service.operations.documentation
import service.operations.health
import service.timeseries.endpoints
from model.runtime.predictor import Predictor
from service.errors import add_error_handlers
from service.inference.queue import PredictionQueue
from service.jobs.serving import running_jobs
from service.openapi import describe
from service.operations.middleware import RequestLog
from service.operations.stopping import RefusalWhenStopping, Stopping
from service.registry.loaded import LoadedModels
from service.registry.loading_thread import LoadingThread
from service.settings import Settings
from service.state import State

API_VERSION = "1"
_DESCRIPTION = (
    "Fills the gaps in patient records: what was the value then, what will it be, and how sure are "
    "we. Errors are problems (RFC 9457) with a stable `code` and the path of the fault; they never "
    "repeat what was posted. For research use; an estimate is not a measurement."
)


class Application(FastAPI):
    """FastAPI with the complete OpenAPI document, and with what tells it to stop."""

    def __init__(self, stopping: Stopping, **options: Any) -> None:
        super().__init__(**options)
        self.stopping = stopping

    def openapi(self) -> dict[str, Any]:
        """Return the document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = describe(self)
        return self.openapi_schema


def create_app(settings: Settings, predictor: Predictor | None = None) -> Application:
    """Make the application.

    Parameters
    ----------
    predictor
        What answers at first; by default the artifact of the settings is loaded at startup.
    """
    stopping = Stopping()
    app = Application(
        stopping,
        title="Lacuna",
        version=API_VERSION,
        description=_DESCRIPTION,
        lifespan=_lifespan(settings, predictor, stopping),
        docs_url=None,
        redoc_url=None,
        # A server inside a hospital reports to nobody, and request bodies stay out of spans.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.add_middleware(RefusalWhenStopping, stopping)
    app.add_middleware(RequestLog)
    add_error_handlers(app)
    app.include_router(service.inference.endpoints.router)
    app.include_router(service.timeseries.endpoints.router)
    app.include_router(service.catalogue.endpoints.router)
    app.include_router(service.jobs.http.endpoints.router)
    app.include_router(service.operations.health.router)
    app.include_router(service.operations.documentation.router)

    @app.get("/", include_in_schema=False)
    async def home() -> RedirectResponse:
        return RedirectResponse("/docs")

    return app


def _lifespan(
    settings: Settings, predictor: Predictor | None, stopping: Stopping
) -> Callable[[FastAPI], AbstractAsyncContextManager[State]]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
        queue = PredictionQueue(settings)
        models = LoadedModels(retry_after_seconds=settings.retry_after_seconds)
        # Beside the running server, so that the probes can tell.
        loading = LoadingThread(models, settings, predictor)
        loading.start()
        async with running_jobs(settings) as jobs:
            yield State(settings=settings, queue=queue, models=models, jobs=jobs, stopping=stopping)
        await asyncio.to_thread(loading.stop)
        queue.close()

    return lifespan
