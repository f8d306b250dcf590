"""The application: a list of slices, and what is around all of them."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

import service.catalogue.endpoints
import service.inference.endpoints
import service.jobs.http.endpoints
import service.operations.documentation
import service.registry.health
import service.timeseries.endpoints
from model.runtime.predictor import Predictor
from service.errors import ServiceError, add_error_handlers, problem_response
from service.openapi import describe
from service.operations.middleware import RequestLog
from service.operations.stopping import STOPPING, RefusalWhenStopping, Stopping
from service.registry.loading_thread import registry_slice
from service.settings import Settings
from service.slices import SETTINGS, Slice

API_VERSION = "1"
_DESCRIPTION = (
    "Fills the gaps in patient records: what was the value then, what will it be, and how sure are "
    "we. Errors are problems (RFC 9457) with a stable `code` and the path of the fault; they never "
    "repeat what was posted. For research use; an estimate is not a measurement."
)


class Application(FastAPI):
    """FastAPI with the complete OpenAPI document, and with what tells it to stop."""

    def __init__(self, stopping: Stopping, slices: Sequence[Slice], **options: Any) -> None:
        super().__init__(**options)
        self.stopping = stopping
        self._slices = slices

    def openapi(self) -> dict[str, Any]:
        """Return the document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = describe(
                self,
                [body for one in self._slices for body in one.requests],
                [body for one in self._slices for body in one.error_bodies],
            )
        return self.openapi_schema


def create_app(settings: Settings, predictor: Predictor | None = None) -> Application:
    """Make the application.

    >>> app = create_app(Settings())
    >>> app.url_path_for("impute")
    '/v1/impute'

    Parameters
    ----------
    predictor
        What answers at first; by default the artifact of the settings is loaded at startup.
    """
    # What the first owns is closed last.
    slices = (
        service.inference.endpoints.SLICE,
        registry_slice(predictor),
        service.timeseries.endpoints.SLICE,
        service.catalogue.endpoints.SLICE,
        service.jobs.http.endpoints.SLICE,
        service.registry.health.SLICE,
        service.operations.documentation.SLICE,
    )
    stopping = Stopping()
    app = Application(
        stopping,
        slices,
        title="Lacuna",
        version=API_VERSION,
        description=_DESCRIPTION,
        lifespan=_lifespan(settings, slices, stopping),
        docs_url=None,
        redoc_url=None,
        # A server inside a hospital reports to nobody, and request bodies stay out of spans.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.add_middleware(RefusalWhenStopping, stopping)
    app.add_middleware(RequestLog)
    add_error_handlers(app)
    for one in slices:
        app.include_router(one.router)
        for kind, meaning in one.errors.items():
            app.add_exception_handler(kind, _handler(meaning))

    @app.get("/", include_in_schema=False)
    async def home() -> RedirectResponse:
        return RedirectResponse("/docs")

    return app


def _handler(meaning: Callable[[Exception], ServiceError]) -> Callable[..., Any]:
    async def handle(_request: Request, error: Exception) -> Response:
        return problem_response(meaning(error))

    return handle


def _lifespan(
    settings: Settings, slices: Sequence[Slice], stopping: Stopping
) -> Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, Any]]]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        state: dict[str, Any] = {SETTINGS.name: settings, STOPPING.name: stopping}
        async with AsyncExitStack() as stack:
            for part, owning in (one.owns for one in slices if one.owns is not None):
                state[part.name] = await stack.enter_async_context(owning(settings))
            yield state

    return lifespan
