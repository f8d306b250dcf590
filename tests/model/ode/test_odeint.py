"""The call: torchdiffeq's signature, and agreement with peers and scipy."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor, nn

from model.ode import InitialValueProblem, SolverError, odeint, odeint_solution, solve
from tests.model.ode.problems import SMOOTH

SPIRAL = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]], dtype=torch.float64)
TIMES = torch.tensor([0.0, 0.4, 1.3, 2.0], dtype=torch.float64)


def _spiral(t: Tensor, y: Tensor) -> Tensor:
    """Cubic spiral that wants a scalar time, as torchdiffeq's examples do."""
    assert t.ndim == 0
    return (y**3) @ SPIRAL + torch.sin(t)


@pytest.mark.parametrize("shape", [(2,), (3, 2), (2, 3, 2)])
@pytest.mark.parametrize("method", [None, "rk4", "tsit5"])
def test_states_of_any_shape_are_one_system(shape: tuple[int, ...], method: str | None) -> None:
    y0 = torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = odeint(_spiral, y0, TIMES, method=method)
    assert found.shape == (len(TIMES), *shape)
    assert torch.equal(found[0], y0)
    if method != "rk4":
        flat = odeint(_spiral, y0.reshape(-1, 2), TIMES)
        torch.testing.assert_close(found.reshape(flat.shape), flat, rtol=1e-6, atol=1e-6)


def test_a_tuple_of_tensors_is_one_system() -> None:
    def field(t: Tensor, parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (-parts[0], parts[1] * t)

    y0 = (torch.ones(3, dtype=torch.float64), torch.ones(2, 2, dtype=torch.float64))
    decay, growth = odeint(field, y0, TIMES)
    expected = torch.exp(-TIMES).unsqueeze(1).expand(4, 3)
    torch.testing.assert_close(decay, expected, rtol=1e-6, atol=1e-6)
    expected = torch.exp(TIMES**2 / 2).view(4, 1, 1).expand(4, 2, 2)
    torch.testing.assert_close(growth, expected, rtol=1e-6, atol=1e-6)


def test_own_times_of_each_sample_are_a_batch() -> None:
    times = torch.tensor([[0.0, 0.7, 0.3], [1.0, 1.5, 3.0]], dtype=torch.float64)
    y0 = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    found = odeint(lambda t, y: -t.unsqueeze(-1) * y, y0, times)
    start = times[:, :1]
    exact = y0 * torch.exp((start**2 - times**2) / 2)
    torch.testing.assert_close(found[..., 0], exact, rtol=1e-6, atol=1e-6)


def test_failure_is_told_with_its_sample_and_its_time() -> None:
    times = torch.tensor([[0.0, 0.5], [0.0, 1.5]], dtype=torch.float64)
    y0 = torch.ones(2, 1, dtype=torch.float64)
    with pytest.raises(SolverError, match=r"1 of 2 .* sample 1, .* t = 1"):
        odeint(lambda t, y: y**2, y0, times)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ValueError, match="step_size"):
        odeint(_spiral, torch.ones(1, 2).double(), TIMES, options={"stepsize": 0.1})
    with pytest.raises(ValueError, match="shape"):
        odeint(_spiral, torch.ones(1, 2).double(), torch.zeros(2, 2, 2))


@pytest.mark.parametrize("method", ["dopri5", "tsit5", "adams", "radau"])
@pytest.mark.parametrize("name", ["logistic", "rational", "non_normal", "rigid_body"])
def test_scipy_agrees(name: str, method: str) -> None:
    one = next(problem for problem in SMOOTH if problem.name == name)
    times = torch.linspace(one.t0, (one.t0 + one.t1) / 2, 6, dtype=torch.float64)

    def right_hand_side(t: float, y: np.ndarray) -> np.ndarray:
        moment = torch.tensor([t], dtype=torch.float64)
        return one.vector_field(moment, torch.from_numpy(y).unsqueeze(0))[0].numpy()

    span = (float(times[0]), float(times[-1]))
    reference = solve_ivp(
        right_hand_side, span, one.y0.numpy(), "DOP853", times.numpy(), rtol=1e-9, atol=1e-9
    )
    with torch.no_grad():
        solution = solve(
            one.initial_value_problem(times.unsqueeze(0)), method=method, rtol=1e-7, atol=1e-7
        )
    expected = torch.from_numpy(reference.y.T)
    torch.testing.assert_close(solution.ys[0], expected, rtol=1e-5, atol=1e-5)


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(4)
        self.weight = nn.Parameter(torch.randn(3, 3, generator=generator, dtype=torch.float64))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.tanh(y @ self.weight) + torch.cos(t)


@pytest.mark.parametrize("adjoint", ["direct", "checkpoint", "backsolve", "interpolated"])
def test_torchdiffeq_agrees_in_values_and_gradients(adjoint: str) -> None:
    torchdiffeq = pytest.importorskip("torchdiffeq")
    network = _Network()
    y0 = torch.linspace(-1, 1, 6, dtype=torch.float64).view(2, 3).requires_grad_()
    answers = []
    for call, more in ((torchdiffeq.odeint, {}), (odeint, {"adjoint": adjoint})):
        ys = call(network, y0, TIMES, rtol=1e-9, atol=1e-9, **more)
        answers.append((ys, *torch.autograd.grad((ys**2).sum(), [y0, network.weight])))
    for found, expected in zip(*answers, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", ["euler", "midpoint"])
def test_torchdiffeq_takes_the_same_fixed_steps(method: str) -> None:
    torchdiffeq = pytest.importorskip("torchdiffeq")
    y0 = torch.rand(3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = odeint(_spiral, y0, TIMES, method=method)
    torch.testing.assert_close(found, torchdiffeq.odeint(_spiral, y0, TIMES, method=method))


def test_torchode_agrees_on_own_times_of_each_sample() -> None:
    torchode = pytest.importorskip("torchode")
    network = _Network()

    def field(t: Tensor, y: Tensor) -> Tensor:
        return network(t.unsqueeze(-1), y)

    generator = torch.Generator().manual_seed(9)
    y0 = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    times = torch.rand(4, 6, generator=generator, dtype=torch.float64).sort(1).values * 3
    reference = torchode.solve_ivp(
        field, y0, times, method="tsit5", rtol=1e-9, atol=1e-9
    )
    found = odeint_solution(field, y0, times, method="tsit5", rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.ys, reference.ys, rtol=1e-6, atol=1e-6)


def test_a_problem_of_one_row_is_the_system() -> None:
    y0 = torch.tensor([[0.4, 0.6]], dtype=torch.float64)
    problem = InitialValueProblem(
        lambda t, y: (y**3) @ SPIRAL + torch.sin(t).unsqueeze(-1),
        y0,
        TIMES[:1],
        TIMES.unsqueeze(0),
    )
    torch.testing.assert_close(solve(problem).ys[0], odeint(_spiral, y0[0], TIMES))
