"""The perceptron field: its formula, and its Jacobian against autograd."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from model.ode.mlp import MLPField
from model.ode.radau.jacobian import DifferentiatedField


def _network(widths: list[int], seed: int = 0) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    modules: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layer = nn.Linear(inputs, outputs, dtype=torch.float64)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / inputs**0.5)
        modules += [layer, nn.Tanh()]
    return nn.Sequential(*modules[:-1])


def _vector(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


FIELDS = {
    "plain": MLPField(_network([3, 7, 3])),
    "timed": MLPField(_network([4, 5, 6, 3]), time_scale=0.5),
    "leaky": MLPField(_network([3, 4, 5, 6, 3]), gain=_vector(1, 2, 3), decay=_vector(0, 1, 4)),
    "gaining": MLPField(_network([4, 9, 3]), time_scale=-2.0, gain=_vector(1, 2, 3)),
    "decaying": MLPField(_network([3, 9, 3]), decay=nn.Parameter(_vector(1, 2, 3))),
}
every_field = pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS.keys())


def _point(rows: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    t = torch.randn(rows, generator=generator, dtype=torch.float64)
    return t, torch.randn(rows, 3, generator=generator, dtype=torch.float64)


@every_field
def test_it_is_gain_times_network_minus_decay_times_state(field: MLPField) -> None:
    t, y = _point()
    clock = [] if field.time_scale is None else [field.time_scale * t.unsqueeze(1)]
    gain = 1.0 if field.gain is None else field.gain
    decay = 0.0 if field.decay is None else field.decay
    expected = gain * field.network(torch.cat([y, *clock], dim=1)) - decay * y
    torch.testing.assert_close(field(t, y), expected, rtol=1e-14, atol=1e-14)


def test_one_rate_for_gain_and_decay_is_a_leak_toward_the_network() -> None:
    t, y = _point()
    rate = _vector(0.1, 1, 10)
    network = _network([3, 8, 3])
    leak = MLPField(network, gain=rate, decay=rate)
    apart = MLPField(network, gain=rate, decay=rate.clone())
    torch.testing.assert_close(leak(t, y), apart(t, y), rtol=1e-13, atol=1e-13)


@every_field
def test_the_jacobian_is_that_of_autograd(field: MLPField) -> None:
    t, y = _point()
    assert isinstance(field, DifferentiatedField)
    rows = [
        torch.autograd.functional.jacobian(
            lambda one, i=i: field(t[i : i + 1], one)[0], y[i : i + 1]
        )
        for i in range(len(y))
    ]
    expected = torch.stack([row[:, 0] for row in rows])
    torch.testing.assert_close(field.jac(t, y), expected, rtol=1e-12, atol=1e-13)


@every_field
def test_every_derivative_is_right(field: MLPField) -> None:
    t, y = _point(2)
    inputs = (t.requires_grad_(field.time_scale is not None), y.requires_grad_())
    assert torch.autograd.gradcheck(field, inputs)


def test_a_gain_that_is_computed_from_a_parameter_carries_its_gradient_there() -> None:
    t, y = _point()
    log_rate = _vector(0, 1, -1).requires_grad_()
    MLPField(_network([3, 8, 3]), gain=log_rate.exp()).forward(t, y).sum().backward()
    assert log_rate.grad is not None
    assert bool((log_rate.grad != 0).all())


def test_the_state_dict_holds_the_network_and_the_parameters_only() -> None:
    field = MLPField(_network([1, 2, 1]), gain=_vector(1), decay=nn.Parameter(_vector(2)))
    names = {"network.0.weight", "network.0.bias", "network.2.weight", "network.2.bias", "decay"}
    assert set(field.state_dict()) == names


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.Linear(3, 3)), "hidden layer"),
        (nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3)), "Linear, Tanh"),
        (nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 3)), "Linear, Tanh"),
        (nn.Sequential(nn.Linear(3, 4), nn.Tanh()), "Linear, Tanh"),
        (nn.Sequential(nn.Linear(3, 4, bias=False), nn.Tanh(), nn.Linear(4, 3)), "bias"),
        (nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(5, 3)), "4 outputs meet 5"),
        (nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3)), "3 inputs, found 2"),
    ],
)
def test_another_network_is_refused(network: nn.Sequential, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MLPField(network)


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`decay` must have shape \(3,\)"):
        MLPField(_network([3, 4, 3]), decay=_vector(1, 2))
