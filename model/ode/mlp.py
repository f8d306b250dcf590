"""A multilayer perceptron as a vector field, with its Jacobian in closed form."""

from collections.abc import Iterable
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class MLPField(nn.Module):
    """dy/dt = gain * network(y, time_scale * t) - decay * y.

    Parameters
    ----------
    network
        Linear layers with a tanh between any two, at least one tanh; all have a bias.
    time_scale
        If given, the first layer has one input more than the state, the last: time_scale * t.
    gain, decay
        One number for each component of the state; without them, 1 and 0. A tensor that is computed
        from a parameter carries its gradient there.

    Raises
    ------
    ValueError
        If the network is not such, or shapes do not agree.
    """

    gain: Tensor | None
    decay: Tensor | None

    def __init__(
        self,
        network: nn.Sequential,
        *,
        time_scale: float | None = None,
        gain: Float[Tensor, " state"] | None = None,
        decay: Float[Tensor, " state"] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.time_scale = time_scale
        self.layers = _linear_layers(network)
        state = self.layers[-1].out_features
        inputs = state + (time_scale is not None)
        if self.layers[0].in_features != inputs:
            msg = f"`network` must take {inputs} inputs, found {self.layers[0].in_features}"
            raise ValueError(msg)
        for name, vector in (("gain", gain), ("decay", decay)):
            if vector is not None and vector.shape != (state,):
                raise ValueError(
                    f"`{name}` must have shape ({state},), found {tuple(vector.shape)}"
                )
            if isinstance(vector, nn.Parameter):
                self.register_parameter(name, vector)
            else:
                self.register_buffer(name, vector, persistent=False)

    def forward(
        self, t: Float[Tensor, " sample"], y: Float[Tensor, "sample state"]
    ) -> Float[Tensor, "sample state"]:
        """Return dy/dt."""
        output = self._inputs_of_layers(t, y)[-1]
        if self.gain is not None and self.gain is self.decay:
            return self.gain * (output - y)
        grown = output if self.gain is None else self.gain * output
        return grown if self.decay is None else torch.addcmul(grown, self.decay, y, value=-1)

    def jac(
        self, t: Float[Tensor, " sample"], y: Float[Tensor, "sample state"]
    ) -> Float[Tensor, "sample state state"]:
        """Return d f_i / d y_j at [sample, i, j]: a product of weights and tanh' = 1 - tanh^2."""
        hidden = self._inputs_of_layers(t, y)[1:-1]
        product = self.layers[0].weight[:, : y.shape[1]].expand(len(y), -1, -1)
        for layer, h in zip(self.layers[1:], hidden, strict=True):
            product = layer.weight @ ((1 - h.square()).unsqueeze(-1) * product)
        if self.gain is not None:
            product = self.gain.unsqueeze(-1) * product
        return product if self.decay is None else product - torch.diag(self.decay)

    def _inputs_of_layers(self, t: Tensor, y: Tensor) -> list[Tensor]:
        """Return what enters each layer, and what leaves the last."""
        if self.time_scale is not None:
            y = torch.cat([y, (self.time_scale * t).unsqueeze(-1)], dim=-1)
        found = [y]
        for layer in self.layers[:-1]:
            found.append(F.linear(found[-1], layer.weight, layer.bias).tanh())
        found.append(F.linear(found[-1], self.layers[-1].weight, self.layers[-1].bias))
        return found


def _linear_layers(network: Iterable[nn.Module]) -> tuple[nn.Linear, ...]:
    modules = list(network)
    linear = [module for module in modules[::2] if isinstance(module, nn.Linear)]
    alternate = len(linear) == len(modules[::2]) and len(modules) % 2 == 1
    if not alternate or any(type(module) is not nn.Tanh for module in modules[1::2]):
        raise ValueError(f"`network` must be Linear, Tanh, ..., Linear; found {modules}")
    if len(linear) < 2 or any(layer.bias is None for layer in linear):
        raise ValueError("`network` must have a hidden layer, and every layer a bias")
    for first, second in pairwise(linear):
        if first.out_features != second.in_features:
            msg = f"`network`: {first.out_features} outputs meet {second.in_features} inputs"
            raise ValueError(msg)
    return tuple(linear)
