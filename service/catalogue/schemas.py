"""The wire format of the catalogue."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from model.data.variables import Kind


class ModelState(StrEnum):
    """Which requests a version answers."""

    ACTIVE = "active"
    """Every request that pins no version."""
    LOADED = "loaded"
    """Requests that pin it. It was active before."""
    REFUSED = "refused"
    """Nobody: it was to be loaded and could not be."""


Serving = Literal[ModelState.ACTIVE, ModelState.LOADED]


@dataclass(frozen=True)
class ModelSummary:
    """A loaded model."""

    name: str
    version: str
    sha256: str
    created: str
    state: Serving


@dataclass(frozen=True)
class RefusedModel:
    """A version of the registry that is not served, and why.

    There is no `version` where the registry itself could not be read.
    """

    state: Literal[ModelState.REFUSED]
    reason: str
    version: str | None = None


@dataclass(frozen=True)
class ModelList:
    """The active model first, then another that is loaded, then what was refused last."""

    models: list[ModelSummary | RefusedModel]


@dataclass(frozen=True)
class ModelDetail:
    """Everything an artifact says about itself. `card` is Markdown."""

    name: str
    version: str
    sha256: str
    manifest: dict[str, Any]
    metrics: dict[str, Any]
    card: str


@dataclass(frozen=True)
class PlausibleRange:
    """Inclusive, in the canonical unit. A value outside is dropped; no answer leaves it."""

    low: float
    high: float
    source: str


@dataclass(frozen=True)
class VariableDescription:
    """A variable: how it may be named and measured, and whether it can be asked for."""

    name: str
    description: str
    loinc: str
    codes: list[str]
    unit: str
    accepted_units: list[str]
    plausible_range: PlausibleRange
    kind: Kind
    queryable: bool


@dataclass(frozen=True)
class StaticDescription:
    """A static. `categories` are its values where it is not a number."""

    name: str
    description: str
    unit: str
    low: float
    high: float
    categories: list[str]


@dataclass(frozen=True)
class UntrainedVariable:
    """A variable of the training data that had too few values there: never answered, never used."""

    name: str
    description: str
    unit: str


@dataclass(frozen=True)
class VariableList:
    """The catalogue of the loaded model."""

    variables: list[VariableDescription]
    statics: list[StaticDescription]
    not_trained: list[UntrainedVariable]
