"""The state of a training run on disk, for resuming only; the service never reads it.

Tensors are safetensors, everything else is JSON. A kill at any moment leaves a whole checkpoint.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.files import standing, written_directory


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One line of the loss curve, per unit of target weight; `errors` are by task."""

    epoch: int
    loss: float
    log_likelihood: float
    squared_error: float
    kl_divergence: float
    errors: Mapping[str, float]
    seconds: float

    @property
    def validation_error(self) -> float:
        """What early stopping watches: the mean over the tasks that the tuning subjects allow."""
        return sum(self.errors.values()) / len(self.errors)

    @property
    def errors_text(self) -> str:
        """The errors for people."""
        return ", ".join(f"{task} {error:.4f}" for task, error in self.errors.items())


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """All that a run needs to go on: its tensors, the curve so far, and its identity.

    The groups are `network`, `average`, `best` and the optimizer's moments; `identity` holds the
    configuration and data hash, which must not change between the parts of a run.
    """

    tensors: Mapping[str, Mapping[str, Tensor]]
    history: tuple[EpochRecord, ...]
    step: int
    identity: Mapping[str, Any]

    def write(self, directory: Path) -> None:
        """Replace the checkpoint in `directory`."""
        state = {
            "groups": sorted(self.tensors),
            "history": [asdict(record) for record in self.history],
            "step": self.step,
            "identity": dict(self.identity),
        }
        with written_directory(directory) as partial:
            for group, tensors in self.tensors.items():
                save_file(
                    {name: value.contiguous() for name, value in tensors.items()},
                    partial / f"{group}.safetensors",
                )
            (partial / "state.json").write_text(json.dumps(state))

    @classmethod
    def read(cls, directory: Path, device: torch.device) -> "Checkpoint | None":
        """Return the last whole checkpoint, or None where there is none."""
        found = standing(directory)
        if not (found / "state.json").exists():
            return None
        state = json.loads((found / "state.json").read_text())
        return cls(
            tensors={
                group: load_file(found / f"{group}.safetensors", device=str(device))
                for group in state["groups"]
            },
            history=tuple(EpochRecord(**record) for record in state["history"]),
            step=state["step"],
            identity=state["identity"],
        )
