"""Probes. Live: the process should go on. Ready: it has a model and takes requests."""

from fastapi import APIRouter, Request, Response

from service.registry.errors import NOT_READY, NotReadyError
from service.registry.loaded import MODELS
from service.slices import Slice
from service.wire import json_response

router = APIRouter(prefix="/health", tags=["operations"], responses=NOT_READY)


@router.get("/live", response_model=dict[str, str])
async def live(request: Request) -> Response:
    """Tell whether the process is ready or can become so. 503 asks for a restart."""
    if MODELS.of(request).has_failed:
        raise NotReadyError("the model could not be loaded; see the log", code="load_failed")
    return json_response({"status": "live"})


@router.get("/ready", response_model=dict[str, str])
async def ready(request: Request) -> Response:
    """Tell whether the model is loaded and warmed up. 503 until then."""
    manifest = MODELS.of(request).active.artifact.manifest
    return json_response({"status": "ready", "model": f"{manifest.name} {manifest.version}"})


SLICE = Slice(router=router)
