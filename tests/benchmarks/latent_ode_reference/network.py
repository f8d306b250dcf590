"""The latent ODE of Rubanova, Chen & Duvenaud (2019, NeurIPS), built from the paper with torchdiffeq.

Sizes and constants are the paper's for PhysioNet 2012: latent 20, recognition state 40, three
hidden layers of 50 tanh units in either vector field, gates of 50 units; Euler steps in the encoder,
Dormand-Prince with rtol 1e-3 and atol 1e-4 in the decoder, time scaled to 48 hours = 1.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Normal
from torchdiffeq import odeint

from tests.benchmarks.latent_ode_reference.grid import GridBatch

_LATENT = 20
_RECOGNITION = 40
_UNITS = 50
_LAYERS = 3
_HOURS = 48.0
# An Euler step of the encoder covers at most this share of the encoder's span.
_MAX_STEP = 1 / 50
_RTOL, _ATOL = 1e-3, 1e-4
_MIN_SCALE = 1e-4


class _Field(nn.Module):
    """dz/dt as a network of the state alone."""

    def __init__(self, size: int) -> None:
        super().__init__()
        sizes = [size, *[_UNITS] * _LAYERS]
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(sizes):
            layers += [nn.Linear(fan_in, fan_out), nn.Tanh()]
        self.layers = nn.Sequential(*layers, nn.Linear(_UNITS, size))
        _initialize(self)

    def forward(self, _t: Tensor, z: Tensor) -> Tensor:
        found: Tensor = self.layers(z)
        return found


class _GatedUpdate(nn.Module):
    """A GRU cell whose state is a mean and a scale; records without a value keep theirs."""

    def __init__(self, num_columns: int) -> None:
        super().__init__()
        size = 2 * _RECOGNITION + 2 * num_columns
        self.update_gate = _two_layers(size, _RECOGNITION)
        self.reset_gate = _two_layers(size, _RECOGNITION)
        self.candidate = _two_layers(size, 2 * _RECOGNITION)
        _initialize(self)

    def forward(
        self, mean: Tensor, scale: Tensor, inputs: Tensor, observed_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        seen = torch.cat([inputs, observed_mask], -1)
        everything = torch.cat([mean, scale, seen], -1)
        update = torch.sigmoid(self.update_gate(everything))
        reset = torch.sigmoid(self.reset_gate(everything))
        proposal = self.candidate(torch.cat([mean * reset, scale * reset, seen], -1))
        new_mean, new_scale = proposal.chunk(2, -1)
        is_seen = observed_mask.any(-1, keepdim=True)
        return (
            torch.where(is_seen, (1 - update) * new_mean + update * mean, mean),
            torch.where(is_seen, ((1 - update) * new_scale.abs() + update * scale).abs(), scale),
        )


class ReferenceLatentODE(nn.Module):
    """ODE-RNN backwards in time -> q(z0) -> ODE -> linear head."""

    def __init__(self, num_channels: int, num_statics: int) -> None:
        super().__init__()
        self.recognition_field = _Field(_RECOGNITION)
        self.update = _GatedUpdate(num_channels + num_statics)
        self.posterior_head = nn.Sequential(
            nn.Linear(2 * _RECOGNITION, 100), nn.Tanh(), nn.Linear(100, 2 * _LATENT)
        )
        self.generative_field = _Field(_LATENT)
        self.head = nn.Linear(_LATENT, num_channels)
        _initialize(self.posterior_head)
        _initialize(self.head)

    def encode(self, batch: GridBatch) -> Normal:
        """Run the ODE-RNN from the last time of the union to the first."""
        times = batch.times / _HOURS
        mean = batch.inputs.new_zeros(batch.num_series, _RECOGNITION)
        scale = torch.zeros_like(mean)
        max_step = max(float(times[-1] - times[0]), 1e-6) * _MAX_STEP
        previous = times[-1]
        for index in range(len(times) - 1, -1, -1):
            mean = self._euler(mean, previous, times[index], max_step)
            mean, scale = self.update(mean, scale, batch.inputs[index], batch.observed_mask[index])
            previous = times[index]
        loc, spread = self.posterior_head(torch.cat([mean, scale], -1)).chunk(2, -1)
        return Normal(loc, spread.abs() + _MIN_SCALE, validate_args=False)

    def decode(
        self, z0: Float[Tensor, "sample series latent"], batch: GridBatch
    ) -> Float[Tensor, "sample target"]:
        """Return the mean of every target."""
        times = batch.target_times / _HOURS
        if len(times) == 1:
            states = z0[None]
        else:
            states = odeint(
                self.generative_field, z0, times, rtol=_RTOL, atol=_ATOL, method="dopri5"
            )
        # Only the states that somebody asks for go through the head.
        chosen = states[batch.target_places, :, batch.target_series]
        weight = self.head.weight[batch.target_channels]
        bias = self.head.bias[batch.target_channels]
        found: Tensor = (chosen * weight[:, None]).sum(-1) + bias[:, None]
        return found.T

    def _euler(self, state: Tensor, start: Tensor, stop: Tensor, max_step: float) -> Tensor:
        distance = float(stop - start)
        # A step over one cell of the grid must not become two by rounding.
        num_steps = max(1, int(-distance / max_step + 1 - 1e-3)) if distance else 0
        for _ in range(num_steps):
            state = state + distance / num_steps * self.recognition_field(start, state)
        return state


def _two_layers(fan_in: int, fan_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(fan_in, _UNITS), nn.Tanh(), nn.Linear(_UNITS, fan_out))


def _initialize(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=0.1)
            nn.init.zeros_(part.bias)
