"""Sizes and branches of the network, saved with the weights as `config.json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

ENCODERS = ("attention", "gru")
DIRECTIONS = ("smooth", "filter")


@dataclass(frozen=True, kw_only=True)
class LatentODEConfig:
    """Architecture of a forced multi-rate latent neural ODE.

    Parameters
    ----------
    encoder
        `attention` or `gru`: what turns knots into the control of the latent state.
    direction
        `smooth`: every answer may use the whole context. `filter`: an answer at time t uses the
        context up to t alone, so that one pass gives the forecasts of every time.
    knot_hours
        Distance of the knots on every series' own clock, at which the control is given.
    num_substeps, num_sweeps
        Accuracy of the solver: steps between two knots, and evaluations of the vector field's
        nonlinear part.
    age_scales_hours
        Time constants with which the neighbors of a knot or query lose their weight; the shortest one
        tells what was measured at the same time from what was measured in the same hour.
    num_components
        Laplace components of the observation distribution, for each posterior sample.
    min_scale
        Standardized units; keeps the likelihood bounded where a variable is recorded in coarse
        steps.
    reads_limits
        Whether the training records hold limits (`<0.01`), and the network is told on which side of
        a value the true one lies. Otherwise a limit is read as the value that it is.
    use_control, use_residual
        Ablations: without control the trajectory knows z0 alone; without the residual path the
        decoder knows the latent state alone.
    """

    num_channels: int
    num_statics: int
    encoder: str = "attention"
    direction: str = "smooth"
    latent_dim: int = 64
    encoder_dim: int = 96
    encoder_layers: int = 2
    encoder_heads: int = 4
    dynamics_dim: int = 64
    decoder_dim: int = 96
    num_components: int = 3
    knot_hours: float = 1.0
    num_substeps: int = 1
    num_sweeps: int = 3
    age_scales_hours: tuple[float, ...] = (0.1, 1.0, 8.0)
    dropout: float = 0.1
    min_scale: float = 0.02
    reads_limits: bool = False
    use_control: bool = True
    use_residual: bool = True

    def __post_init__(self) -> None:
        if self.encoder not in ENCODERS or self.direction not in DIRECTIONS:
            raise ValueError(
                f"`encoder` must be one of {ENCODERS} and `direction` one of {DIRECTIONS}, "
                f"got {self.encoder!r} and {self.direction!r}"
            )
        if self.encoder_dim % self.encoder_heads:
            raise ValueError("`encoder_dim` must be a multiple of `encoder_heads`")

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary for `config.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "LatentODEConfig":
        """Read what `to_json` wrote."""
        return cls(**{**content, "age_scales_hours": tuple(content["age_scales_hours"])})
