"""Every error that this package raises on bad input, as one tree.

ModelError                      catch this one to catch them all
├── UnknownVariableError        a name or code that the catalogue does not hold
├── CatalogueError              a table of variables that cannot be used as it stands
├── UnitError                   a unit that cannot be converted to the variable's own
├── SeriesError                 a series that cannot be used as it stands
├── QueryError                  a query that has no defined answer
└── ArtifactError               a model directory that is incomplete, altered or too new

`code` is stable and safe to show; messages name what was expected, never a patient's value.
"""

from typing import ClassVar


class ModelError(Exception):
    """Root of the tree."""

    code: ClassVar[str] = "model_error"


class UnknownVariableError(ModelError):
    """Raised for a variable name or code that the catalogue does not hold."""

    code = "unknown_variable"


class CatalogueError(ModelError):
    """Raised for a table of variables that cannot be used as it stands. It lists every fault."""

    code = "invalid_catalogue"


class UnitError(ModelError):
    """Raised for a unit that has no conversion to the variable's canonical unit."""

    code = "unknown_unit"


class SeriesError(ModelError):
    """Raised for a series that cannot be used: empty, or with times that make no sense."""

    code = "invalid_series"


class QueryError(ModelError):
    """Raised for a query that has no defined answer."""

    code = "invalid_query"


class ArtifactError(ModelError):
    """Raised for a model directory that is incomplete, altered or newer than this program."""

    code = "invalid_artifact"
