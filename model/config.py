"""Sizes of the network, saved with the weights as `config.json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class LatentODEConfig:
    """Architecture of a latent neural ODE.

    `step_hours` is the step of the RK4 grid on every series' own clock; `min_scale` (standardized
    units) keeps the likelihood bounded where a variable is recorded in coarse steps.
    """

    num_channels: int
    num_statics: int
    latent_dim: int = 32
    encoder_dim: int = 64
    dynamics_dim: int = 64
    decoder_dim: int = 64
    step_hours: float = 2.0
    min_scale: float = 0.02

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary for `config.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "LatentODEConfig":
        """Read what `to_json` wrote."""
        return cls(**content)
