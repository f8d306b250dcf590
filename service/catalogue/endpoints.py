"""GET /v1/models and /v1/variables."""

from dataclasses import asdict

from fastapi import APIRouter, Request, Response

from model.artifact import Artifact
from model.data.units import accepted_units
from model.data.variables import Static, Variable
from service.catalogue.schemas import (
    ModelDetail,
    ModelList,
    ModelState,
    ModelSummary,
    PlausibleRange,
    RefusedModel,
    Serving,
    StaticDescription,
    UntrainedVariable,
    VariableDescription,
    VariableList,
)
from service.errors import NotFoundError
from service.openapi import Responses, problem
from service.registry.errors import NOT_FOUND, NOT_READY
from service.registry.loaded import MODELS
from service.slices import Slice
from service.wire import json_response

router = APIRouter(prefix="/v1", tags=["catalogue"], responses=NOT_READY)

_INVALID_PARAMETER: Responses = {422: problem("A parameter of the path or query is not valid.")}


@router.get("/models", response_model=ModelList)
async def models(request: Request) -> Response:
    """List the models that are loaded, and what of the registry was refused last."""
    models = MODELS.of(request)
    models.require_ready()
    states: tuple[Serving, Serving] = (ModelState.ACTIVE, ModelState.LOADED)
    loaded = [
        _summary(predictor.artifact, state)
        for predictor, state in zip(models.predictors, states, strict=False)
    ]
    refused = [
        RefusedModel(ModelState.REFUSED, refusal.reason, refusal.version)
        for refusal in models.refusals
    ]
    return json_response(ModelList([*loaded, *refused]))


@router.get(
    "/models/{name}/{version}",
    response_model=ModelDetail,
    responses=NOT_FOUND | _INVALID_PARAMETER,
)
async def model(request: Request, name: str, version: str) -> Response:
    """Give the card, the held-out metrics and the manifest of a loaded model."""
    models = MODELS.of(request)
    models.require_ready()
    for artifact in (predictor.artifact for predictor in models.predictors):
        manifest = artifact.manifest
        if (name, version) == (manifest.name, manifest.version):
            metrics = dict(artifact.metrics)
            detail = ModelDetail(
                name, version, artifact.sha256, asdict(manifest), metrics, artifact.card
            )
            return json_response(detail)
    raise NotFoundError("no such model is loaded; /v1/models lists those that are")


@router.get("/variables", response_model=VariableList)
async def variables(request: Request) -> Response:
    """List the variables and statics that the active model knows, with codes, units and ranges.

    `not_trained` are variables that its training data name with too few values: observations of them
    are not used, and a query of one is refused.
    """
    catalogue = MODELS.of(request).active.artifact.catalogue
    return json_response(
        VariableList(
            [_variable(one) for one in catalogue],
            [_static(one) for one in catalogue.statics],
            [UntrainedVariable(one.name, one.description, one.unit) for one in catalogue.untrained],
        )
    )


def _summary(artifact: Artifact, state: Serving) -> ModelSummary:
    manifest = artifact.manifest
    return ModelSummary(manifest.name, manifest.version, artifact.sha256, manifest.created, state)


def _variable(variable: Variable) -> VariableDescription:
    low, high = variable.plausible_range
    return VariableDescription(
        variable.name,
        variable.description,
        variable.loinc,
        list(variable.codes),
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


SLICE = Slice(router=router)
