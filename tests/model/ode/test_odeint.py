"""The call with torchdiffeq's signature, and what the package offers."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

import model.ode
from model.ode import (
    METHODS,
    Adjoint,
    InitialValueProblem,
    Solution,
    SolverError,
    odeint,
    solve,
)

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


def test_the_example_of_the_readme_runs() -> None:
    text = (Path(model.ode.__file__).parent / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    found: dict[str, object] = {}
    exec(example, found)
    solution = found["solution"]
    assert isinstance(solution, Solution)
    exact = torch.exp(found["times"][:, :1] - found["times"])  # type: ignore[index]
    torch.testing.assert_close(solution.ys[..., 0], exact, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found["ys"], solution.ys, rtol=1e-4, atol=1e-5)


def test_the_readme_tells_of_every_method_and_adjoint() -> None:
    text = (Path(model.ode.__file__).parent / "README.md").read_text()
    for name in (*METHODS, *Adjoint):
        assert f"`{name}`" in text


def test_what_the_package_offers_is_sorted_and_there() -> None:
    assert list(model.ode.__all__) == sorted(model.ode.__all__, key=_constants_first)
    assert all(hasattr(model.ode, name) for name in model.ode.__all__)


def _constants_first(name: str) -> tuple[bool, bool, str]:
    return not name.isupper(), name[0].islower(), name


def test_a_problem_of_one_row_is_the_system() -> None:
    y0 = torch.tensor([[0.4, 0.6]], dtype=torch.float64)
    problem = InitialValueProblem(
        lambda t, y: (y**3) @ SPIRAL + torch.sin(t).unsqueeze(-1),
        y0,
        TIMES[:1],
        TIMES.unsqueeze(0),
    )
    torch.testing.assert_close(solve(problem).ys[0], odeint(_spiral, y0[0], TIMES))
