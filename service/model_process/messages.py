"""What the server and the process of its model say to one another.

Both are this program, and the socket pair between them has no name: what comes over it may be
unpickled. The server says `Opening` once and then `Request` after `Request`; each is answered.
"""

from dataclasses import dataclass

from model.artifact import Artifact
from model.errors import ArtifactError
from model.runtime.backends import Backend, Device
from model.runtime.predictor import Prediction


class ModelProcessError(RuntimeError):
    """The process of the model could not answer: an error was raised in it, or it ended."""


@dataclass(frozen=True)
class Opening:
    """What to load, and what is to compute it."""

    artifact: Artifact
    backend: Backend
    device: Device
    num_threads: int


@dataclass(frozen=True)
class Opened:
    """The model is loaded. `computed_by` names library and device."""

    computed_by: str


@dataclass(frozen=True)
class Failed:
    """What was asked raised an error. Errors do not travel: they could hold anything."""

    reason: str
    is_of_artifact: bool = False

    def to_error(self) -> Exception:
        """Return what the server raises."""
        return ArtifactError(self.reason) if self.is_of_artifact else ModelProcessError(self.reason)


Reply = Opened | Prediction | Failed
