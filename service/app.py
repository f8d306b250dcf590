"""The application: its slices, its error mapping, and the lifespan that owns the predictor."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI
from fastapi.responses import RedirectResponse

import service.catalogue.endpoints
import service.inference.endpoints
import service.jobs.endpoints
import service.operations.documentation
import service.operations.health
from model.runtime.predictor import Predictor
from service.errors import add_error_handlers
from service.inference.loading import open_predictor, warm_up
from service.inference.queue import PredictionQueue
from service.jobs.serving import running_jobs
from service.openapi import describe
from service.operations.middleware import RequestLog
from service.settings import Settings
from service.state import State

API_VERSION = "1"
_DESCRIPTION = (
    "Fills the gaps in patient records: what was the value then, what will it be, and how sure are "
    "we. Errors are problems (RFC 9457) with a stable `code` and the path of the fault; they never "
    "repeat what was posted. For research use; an estimate is not a measurement."
)
_logger = logging.getLogger("service.app")


class Application(FastAPI):
    """FastAPI with the complete OpenAPI document."""

    def openapi(self) -> dict[str, Any]:
        """Return the document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = describe(self)
        return self.openapi_schema


def create_app(settings: Settings, predictor: Predictor | None = None) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    predictor
        What answers; by default the artifact of the settings is loaded at startup.
    """
    app = Application(
        title="Lacuna",
        version=API_VERSION,
        description=_DESCRIPTION,
        lifespan=_lifespan(settings, predictor),
        docs_url=None,
        redoc_url=None,
        # A server inside a hospital reports to nobody, and request bodies stay out of spans.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.add_middleware(RequestLog)
    add_error_handlers(app)
    app.include_router(service.inference.endpoints.router)
    app.include_router(service.catalogue.endpoints.router)
    app.include_router(service.jobs.endpoints.router)
    app.include_router(service.operations.health.router)
    app.include_router(service.operations.documentation.router)

    @app.get("/", include_in_schema=False)
    async def home() -> RedirectResponse:
        return RedirectResponse("/docs")

    return app


def _lifespan(
    settings: Settings, predictor: Predictor | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[State]]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
        queue = PredictionQueue(settings)
        loading = asyncio.create_task(_load(queue, settings, predictor))
        async with running_jobs(settings) as jobs:
            yield State(settings=settings, queue=queue, jobs=jobs)
        loading.cancel()
        with suppress(asyncio.CancelledError):
            await loading
        queue.close()

    return lifespan


async def _load(queue: PredictionQueue, settings: Settings, predictor: Predictor | None) -> None:
    """Load beside the running server, so that the probes can tell."""

    def load() -> Predictor:
        if predictor is not None:
            return warm_up(predictor)
        if settings.artifact is None:
            raise ValueError("LACUNA_ARTIFACT is not set")
        return warm_up(
            open_predictor(
                settings.artifact,
                backend=settings.backend,
                device=settings.device,
                num_threads=settings.num_threads,
            )
        )

    try:
        await queue.load(load)
    except Exception as error:  # any failure means the same: never ready
        queue.load_error = type(error).__name__
        _logger.exception("the model could not be loaded")
    else:
        _logger.info("ready")
