"""The wire format of the catalogue."""

from dataclasses import dataclass
from typing import Any

from model.data.variables import Kind


@dataclass(frozen=True)
class ModelSummary:
    """A loaded model."""

    name: str
    version: str
    sha256: str
    created: str


@dataclass(frozen=True)
class ModelList:
    """The loaded models."""

    models: list[ModelSummary]


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
    also_loinc: list[str]
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
class VariableList:
    """The catalogue of the loaded model."""

    variables: list[VariableDescription]
    statics: list[StaticDescription]
