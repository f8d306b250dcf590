"""Gradients: against finite differences, against each other, against closed forms."""

import gc
import math
from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from model.ode import InitialValueProblem, Jumps, Options, solve

METHODS = ["euler", "midpoint", "rk4", "dopri5", "tsit5"]
EXACT = ["direct", "checkpoint"]
CONTINUOUS = ["backsolve", "interpolated"]
T0 = torch.tensor([0.3, -0.2], dtype=torch.float64)
# One sample runs forward, one backward; the second asks for its start too.
TIMES = torch.tensor([[1.1, 0.7, 1.1], [-0.9, -0.2, -0.5]], dtype=torch.float64)
JUMP_TIMES = torch.tensor([[0.8, math.inf], [-0.7, math.inf]], dtype=torch.float64)


class Field(nn.Module):
    """A small network that depends on time."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(2)
        self.inner = nn.Parameter(torch.randn(3, 4, generator=generator, dtype=torch.float64) * 0.7)
        self.outer = nn.Parameter(torch.randn(4, 2, generator=generator, dtype=torch.float64) * 0.7)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        together = torch.cat([y, t.unsqueeze(-1)], dim=-1)
        return torch.tanh(together @ self.inner) @ self.outer


def _tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(7)
    made = {
        "y0": torch.randn(2, 2, generator=generator, dtype=torch.float64),
        "t0": T0.clone(),
        "times": TIMES.clone(),
        "jump_times": JUMP_TIMES.clone(),
        "amounts": torch.randn(2, 2, 2, generator=generator, dtype=torch.float64),
    }
    return {name: tensor.requires_grad_() for name, tensor in made.items()}


def _states(
    field: nn.Module,
    tensors: dict[str, Tensor],
    method: str,
    adjoint: str,
    options: Options | None = None,
) -> Tensor:
    problem = InitialValueProblem(
        field,
        tensors["y0"],
        tensors["t0"],
        tensors["times"],
        Jumps(tensors["jump_times"], tensors["amounts"]),
    )
    solution = solve(
        problem,
        method=method,
        options=options,
        adjoint=adjoint,
        rtol=1e-10,
        atol=1e-12,
    )
    assert bool(solution.succeeded.all())
    return solution.ys


def _gradients(
    method: str, adjoint: str, names: list[str], options: Options | None = None
) -> tuple[Tensor, ...]:
    field, tensors = Field(), _tensors()
    if "jump_times" not in names:
        tensors["jump_times"] = tensors["jump_times"].detach()
    ys = _states(field, tensors, method, adjoint, options)
    weight = torch.linspace(-1, 2, ys.numel(), dtype=torch.float64).view_as(ys)
    inputs = [*(tensors[name] for name in names), *field.parameters()]
    found: tuple[Tensor, ...] = torch.autograd.grad((ys * weight).sum(), inputs)
    return found


@pytest.mark.parametrize(("method", "adjoint"), list(product(METHODS, EXACT)))
def test_a_fixed_grid_has_the_gradient_of_finite_differences(method: str, adjoint: str) -> None:
    field, tensors = Field(), _tensors()
    finite = tensors["jump_times"].detach()[:, :1].clone().requires_grad_()

    def states(
        y0: Tensor, t0: Tensor, times: Tensor, moments: Tensor, amounts: Tensor, *_: Tensor
    ) -> Tensor:
        padding = torch.full((2, 1), math.inf, dtype=torch.float64)
        given = {
            "y0": y0,
            "t0": t0,
            "times": times,
            "jump_times": torch.cat([moments, padding], dim=1),
            "amounts": amounts,
        }
        return _states(field, given, method, adjoint, Options(num_steps=5))

    # The last time decides where the grid ends: alone there, so that it may be moved.
    times = torch.tensor([[1.1, 0.7, 0.9], [-0.9, -0.25, -0.5]], dtype=torch.float64)
    inputs = (
        tensors["y0"],
        tensors["t0"],
        times.requires_grad_(),
        finite,
        tensors["amounts"],
        *field.parameters(),
    )
    torch.autograd.gradcheck(states, inputs, fast_mode=True)
    if (method, adjoint) == ("rk4", "direct"):
        torch.autograd.gradcheck(states, inputs)


@pytest.mark.parametrize(("method", "adjoint"), list(product(["dopri5", "tsit5"], EXACT)))
def test_an_adaptive_solve_has_the_gradient_of_finite_differences(
    method: str, adjoint: str
) -> None:
    field, tensors = Field(), _tensors()

    def states(y0: Tensor, t0: Tensor, amounts: Tensor, *_: Tensor) -> Tensor:
        moments = tensors["jump_times"].detach()
        times = torch.where(T0.unsqueeze(1) == TIMES, TIMES - 0.1, TIMES)
        given = {"y0": y0, "t0": t0, "times": times, "jump_times": moments, "amounts": amounts}
        return _states(field, given, method, adjoint)

    inputs = (tensors["y0"], tensors["t0"], tensors["amounts"], *field.parameters())
    torch.autograd.gradcheck(states, inputs, eps=1e-4, atol=1e-6, fast_mode=True)


@pytest.mark.parametrize(
    "options", [None, Options(num_steps=60), Options(step_size=0.03)], ids=["none", "60", "0.03"]
)
@pytest.mark.parametrize("method", METHODS)
def test_checkpoint_is_direct_to_rounding(method: str, options: Options | None) -> None:
    names = ["y0", "t0", "times", "jump_times", "amounts"]
    expected = _gradients(method, "direct", names, options)
    found = _gradients(method, "checkpoint", names, options)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("adjoint", CONTINUOUS)
@pytest.mark.parametrize("method", ["euler", "midpoint", "rk4", "dopri5", "tsit5"])
def test_the_adjoint_equation_converges_to_the_exact_gradient(method: str, adjoint: str) -> None:
    names = ["y0", "t0", "times", "amounts"]
    exact = _gradients("dopri5", "direct", names, Options(num_steps=200))
    worst = []
    for num_steps in (20, 40):
        found = _gradients(method, adjoint, names, Options(num_steps=num_steps))
        pairs = zip(found, exact, strict=True)
        worst.append(max(float((a - b).abs().max()) for a, b in pairs))
    order = {"euler": 1, "midpoint": 2}.get(method, 4)
    assert math.log2(worst[0] / worst[1]) > order - 0.35
    assert worst[1] < {"euler": 0.3, "midpoint": 2e-2}.get(method, 1e-5)


@pytest.mark.parametrize("adjoint", CONTINUOUS)
@pytest.mark.parametrize("method", ["dopri5", "tsit5"])
def test_the_adjoint_equation_of_an_adaptive_solve_agrees(method: str, adjoint: str) -> None:
    names = ["y0", "t0", "times", "amounts"]
    expected = _gradients(method, "direct", names)
    for one, other in zip(_gradients(method, adjoint, names), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("adjoint", [*EXACT, *CONTINUOUS])
def test_decay_has_the_gradient_in_closed_form(adjoint: str) -> None:
    """y = a exp(-r t): dy/da = exp(-r t), dy/dr = -t y, dy/dt = -r y, dy/dt0 = r y."""
    rate = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    y0 = torch.tensor([[2.0], [0.5]], dtype=torch.float64, requires_grad=True)
    t0 = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    times = torch.tensor([[1.0], [2.5]], dtype=torch.float64, requires_grad=True)
    problem = InitialValueProblem(lambda t, y: -rate * y, y0, t0, times)
    ys = solve(problem, adjoint=adjoint, rtol=1e-9, atol=1e-11, parameters=[rate]).ys
    by_y0, by_rate, by_t0, by_times = torch.autograd.grad(ys.sum(), [y0, rate, t0, times])
    exact = y0 * torch.exp(-rate * times)
    torch.testing.assert_close(by_y0, torch.exp(-rate * times), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(by_rate, -(times * exact).sum(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(by_times, -rate * exact, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(by_t0, (rate * exact)[:, 0], rtol=1e-6, atol=1e-6)


def _logistic(theta: Tensor, times: Tensor) -> Tensor:
    """From 1 at growth theta_0 to the capacity theta_1."""
    rest = theta[1] - 1
    return (theta[1] / (1 + rest * torch.exp(-theta[0] * times))).unsqueeze(-1)


def _bateman(theta: Tensor, times: Tensor) -> Tensor:
    """A dose of 1 absorbed at theta_0 and eliminated at theta_1: gut and blood."""
    gut, out = torch.exp(-theta[0] * times), torch.exp(-theta[1] * times)
    return torch.stack([gut, theta[0] / (theta[0] - theta[1]) * (out - gut)], dim=-1)


Formula = Callable[[Tensor, Tensor], Tensor]
CLOSED_FORMS: dict[str, tuple[Formula, list[list[float]], Formula]] = {
    "logistic": (_logistic, [[1.0]], lambda theta, y: theta[0] * y * (1 - y / theta[1])),
    "bateman": (
        _bateman,
        [[1.0, 0.0]],
        lambda theta, y: torch.stack(
            [-theta[0] * y[:, 0], theta[0] * y[:, 0] - theta[1] * y[:, 1]], dim=1
        ),
    ),
}


@pytest.mark.parametrize("method", ["rk4", "dopri5", "tsit5", "adams", "radau"])
@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_parameters_have_the_gradient_in_closed_form(name: str, method: str) -> None:
    exact, y0, field = CLOSED_FORMS[name]
    theta = torch.tensor([1.1, 0.3], dtype=torch.float64, requires_grad=True)
    times = torch.tensor([[0.3, 1.0, 4.0, 9.0]], dtype=torch.float64)
    start = torch.tensor(y0, dtype=torch.float64)
    problem = InitialValueProblem(
        lambda t, y: field(theta, y), start, torch.zeros(1, dtype=torch.float64), times
    )
    options = Options(num_steps=400) if method == "rk4" else None
    ys = solve(problem, method=method, options=options, rtol=1e-9, atol=1e-11).ys
    torch.testing.assert_close(ys, exact(theta, times), rtol=1e-6, atol=1e-7)
    for weight in (1.0, times.unsqueeze(-1)):
        (found,) = torch.autograd.grad((ys * weight).sum(), theta, retain_graph=True)
        (expected,) = torch.autograd.grad((exact(theta, times) * weight).sum(), theta)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("method", "adjoint"), list(product(["rk4", "dopri5"], EXACT)))
def test_an_exact_gradient_may_be_differentiated_again(method: str, adjoint: str) -> None:
    """y = a exp(-r t): the second derivative in r is t^2 y."""
    rate = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    times = torch.tensor([[0.5, 2.0]], dtype=torch.float64)
    problem = InitialValueProblem(
        lambda t, y: -rate * y, torch.ones(1, 1).double(), torch.zeros(1).double(), times
    )
    ys = solve(problem, method=method, options=Options(num_steps=200), adjoint=adjoint).ys
    (first,) = torch.autograd.grad(ys.sum(), rate, create_graph=True)
    (second,) = torch.autograd.grad(first, rate)
    expected = (times**2 * torch.exp(-rate.detach() * times)).sum()
    torch.testing.assert_close(second, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("adjoint", CONTINUOUS)
def test_hidden_parameters_are_refused_rather_than_forgotten(adjoint: str) -> None:
    rate = torch.tensor(0.7, requires_grad=True)
    problem = InitialValueProblem(
        lambda t, y: -rate * y, torch.ones(1, 1), torch.zeros(1), torch.ones(1, 1)
    )
    with pytest.raises(ValueError, match="parameters="):
        solve(problem, method="rk4", options=Options(num_steps=3), adjoint=adjoint)


@pytest.mark.parametrize("adjoint", [*EXACT, *CONTINUOUS])
def test_a_failed_sample_leaves_the_gradient_of_the_others_alone(adjoint: str) -> None:
    """The second sample explodes at t = 1; the loss uses what was found."""
    power = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)

    def field(t: Tensor, y: Tensor) -> Tensor:
        return y**power

    def gradient(rows: int) -> Tensor:
        y0 = torch.tensor([[0.2], [1.0]], dtype=torch.float64)[:rows]
        times = torch.tensor([[1.5, 0.5]], dtype=torch.float64).repeat(rows, 1)
        problem = InitialValueProblem(field, y0, torch.zeros(rows).double(), times)
        solution = solve(
            problem,
            adjoint=adjoint,
            rtol=1e-6,
            atol=1e-6,
            parameters=[power],
            options=Options(max_steps=60),
        )
        assert solution.succeeded.tolist() == [True, False][:rows]
        (found,) = torch.autograd.grad(solution.ys[solution.succeeded].sum(), power)
        return found

    torch.testing.assert_close(gradient(2), gradient(1), rtol=1e-6, atol=0)


def test_checkpoint_saves_little() -> None:
    """At most a fifteenth of what autograd keeps for 1,000 steps of rk4; backsolve under 1 MiB."""
    field = nn.Sequential(nn.Linear(20, 50), nn.Tanh(), nn.Linear(50, 20))
    y0 = torch.randn(16, 20, generator=torch.Generator().manual_seed(0), requires_grad=True)
    times = torch.rand(16, 5, generator=torch.Generator().manual_seed(1))

    def autonomous(t: Tensor, y: Tensor) -> Tensor:
        result: Tensor = field(y)
        return result

    def held_bytes(adjoint: str) -> int:
        """Every storage that autograd saved, or that an object still holds, beside the inputs."""
        storages: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        before = {id(one) for one in gc.get_objects() if issubclass(type(one), Tensor)}
        problem = InitialValueProblem(autonomous, y0, torch.zeros(16), times)
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            solution = solve(
                problem,
                method="rk4",
                options=Options(num_steps=1000),
                adjoint=adjoint,
                parameters=field.parameters(),
            )
        assert solution.ys.requires_grad
        for one in gc.get_objects():
            if issubclass(type(one), Tensor) and id(one) not in before:
                note(one)
        return sum(storages.values())

    direct = held_bytes("direct")
    assert held_bytes("checkpoint") < direct / 15
    assert held_bytes("backsolve") < 2**20
