"""GET /v1/models and /v1/variables."""

from dataclasses import asdict

from fastapi import APIRouter, Request, Response

from model.artifact import Artifact
from model.data.units import accepted_units
from model.data.variables import Static, Variable
from service.catalogue.schemas import (
    ModelDetail,
    ModelList,
    ModelSummary,
    PlausibleRange,
    StaticDescription,
    VariableDescription,
    VariableList,
)
from service.errors import NotFoundError
from service.openapi import INVALID_PARAMETER, NOT_FOUND, NOT_READY
from service.state import state_of
from service.wire import json_response

router = APIRouter(prefix="/v1", tags=["catalogue"], responses=NOT_READY)


@router.get("/models", response_model=ModelList)
async def models(request: Request) -> Response:
    """List the loaded models."""
    artifact = _artifact(request)
    manifest = artifact.manifest
    summary = ModelSummary(manifest.name, manifest.version, artifact.sha256, manifest.created)
    return json_response(ModelList([summary]))


@router.get(
    "/models/{name}/{version}",
    response_model=ModelDetail,
    responses=NOT_FOUND | INVALID_PARAMETER,
)
async def model(request: Request, name: str, version: str) -> Response:
    """Give the card, the held-out metrics and the manifest of a loaded model."""
    artifact = _artifact(request)
    manifest = artifact.manifest
    if (name, version) != (manifest.name, manifest.version):
        raise NotFoundError("no such model is loaded; /v1/models lists those that are")
    return json_response(
        ModelDetail(
            name,
            version,
            artifact.sha256,
            asdict(manifest),
            dict(artifact.metrics),
            artifact.card,
        )
    )


@router.get("/variables", response_model=VariableList)
async def variables(request: Request) -> Response:
    """List the variables and statics that the model knows, with codes, units and ranges."""
    catalogue = _artifact(request).catalogue
    return json_response(
        VariableList(
            [_variable(one) for one in catalogue], [_static(one) for one in catalogue.statics]
        )
    )


def _artifact(request: Request) -> Artifact:
    return state_of(request)["queue"].predictor.artifact


def _variable(variable: Variable) -> VariableDescription:
    low, high = variable.plausible_range
    return VariableDescription(
        variable.name,
        variable.description,
        variable.loinc,
        list(variable.also_loinc),
        variable.unit,
        list(accepted_units(variable)),
        PlausibleRange(low, high, variable.range_source),
        variable.kind,
        variable.is_queryable,
    )


def _static(static: Static) -> StaticDescription:
    low, high = static.plausible_range
    return StaticDescription(
        static.name, static.description, static.unit, low, high, list(static.categories)
    )
