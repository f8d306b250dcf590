"""The fused kernel: the numbers of the torch path, whatever the shape, the batch or the threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from model.ode import kernel as kernel_package
from model.ode.interpolation import PiecewisePolynomial
from model.ode.kernel import Kernel, KernelBuildError
from model.ode.mesh import step_mesh
from model.ode.mlp import MLPField
from model.ode.runge_kutta import integrate
from model.ode.tableau import EULER
from tests.model.ode.kernel_cases import CASES, Batch, Case, fused, in_double

_PRECISION = 1e-5


@pytest.fixture(scope="session")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Kernel:
    try:
        return kernel_package.build(tmp_path_factory.mktemp("kernel"))
    except KernelBuildError as error:
        pytest.skip(f"the fused kernel cannot be built here: {error}")


every_case = pytest.mark.parametrize("case", CASES, ids=str)


def _in_torch(field: MLPField, batch: Batch, case: Case) -> PiecewisePolynomial:
    mesh = step_mesh(batch.t0, batch.step, case.steps)
    return integrate(field, batch.y0, mesh, case.tableau)


def _gradients(ys: Tensor, field: MLPField, batch: Batch) -> list[Tensor]:
    weights = torch.randn(ys.shape, generator=torch.Generator().manual_seed(2)).to(ys)
    inputs = [*batch.all(), *field.parameters()]
    found = torch.autograd.grad((ys * weights).sum(), inputs, materialize_grads=True)
    return list(found)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@every_case
def test_it_answers_as_the_torch_path_does(case: Case, kernel: Kernel) -> None:
    field, batch = case.field(), case.batch()
    found = fused(field, batch, case, kernel)
    expected = _in_torch(*in_double(field, batch), case).evaluate(batch.times.double())
    torch.testing.assert_close(found.ys.double(), expected, rtol=0, atol=_PRECISION)


@pytest.mark.parametrize("keep", [False, True], ids=["checkpoint", "direct"])
@every_case
def test_its_gradient_is_that_of_the_torch_path(case: Case, keep: bool, kernel: Kernel) -> None:
    field, batch = case.field(), case.batch()
    for tensor in batch.all():
        tensor.requires_grad_()
    exact_field, exact = in_double(field, Batch(*(tensor.detach() for tensor in batch.all())))
    for tensor in exact.all():
        tensor.requires_grad_()
    ys = _in_torch(exact_field, exact, case).evaluate(exact.times)
    expected = _gradients(ys, exact_field, exact)
    found = _gradients(fused(field, batch, case, kernel, keep=keep).ys, field, batch)
    largest_time = max(float(gradient.norm()) for gradient in expected[1:4])
    for index, (one, other) in enumerate(zip(found, expected, strict=True)):
        # The answers hardly depend on the grid: its gradient is what large terms leave over.
        size = largest_time if index in (1, 2) else float(other.norm())
        assert float((one.double() - other).norm()) <= _PRECISION * size, index


def test_no_query_is_no_answer_and_no_gradient(kernel: Kernel) -> None:
    case = Case(queries=0)
    field, batch = case.field(), case.batch()
    found = fused(field, replace(batch, y0=batch.y0.requires_grad_()), case, kernel)
    assert found.ys.shape == (5, 0, 20)
    assert all(
        bool((gradient == 0).all()) for gradient in _gradients_of_start(found.ys, field, batch)
    )


def _gradients_of_start(ys: Tensor, field: MLPField, batch: Batch) -> list[Tensor]:
    found = torch.autograd.grad(ys.square().sum(), [batch.y0, *field.parameters()])
    return list(found)


def test_it_tells_the_states_and_derivatives_at_the_knots(kernel: Kernel) -> None:
    case = Case(timed=True, decay=True)
    field, batch = case.field(), case.batch()
    found = fused(field, batch, case, kernel)
    mesh = step_mesh(batch.t0, batch.step, case.steps)
    expected = _in_torch(field, batch, case).evaluate(mesh.times.T).transpose(0, 1)
    torch.testing.assert_close(found.states, expected, rtol=0, atol=_PRECISION)
    for t, y, f in zip(mesh.times, found.states, found.derivatives, strict=True):
        torch.testing.assert_close(f, field(t, y), rtol=0, atol=_PRECISION)
    assert not found.states.requires_grad


def test_queries_at_and_beyond_the_ends_are_answered_at_the_ends(kernel: Kernel) -> None:
    case = Case(samples=2, steps=4)
    field, batch = case.field(), case.batch()
    t0, end = torch.zeros(2), torch.tensor([1.0, -2.0])
    times = torch.stack([t0, t0 - end, end, 2 * end, t0], dim=1)
    found = fused(field, Batch(batch.y0, t0, end / 4, times), case, kernel)
    first, last = found.states[0], found.states[-1]
    assert torch.equal(found.ys, torch.stack([first, first, last, last, first], dim=1))


def test_the_gradient_of_a_query_time_is_the_derivative_even_at_the_ends(kernel: Kernel) -> None:
    case = Case(samples=2, steps=4)
    field, batch = case.field(), case.batch()
    times = torch.tensor([[0.0, 1.0], [0.0, -2.0]], requires_grad=True)
    step = torch.tensor([0.25, -0.5])
    found = fused(field, Batch(batch.y0, torch.zeros(2), step, times), case, kernel)
    (gradient,) = torch.autograd.grad(found.ys.sum(), times)
    expected = torch.stack([found.derivatives[0].sum(-1), found.derivatives[-1].sum(-1)], dim=1)
    torch.testing.assert_close(gradient, expected, rtol=_PRECISION, atol=_PRECISION)


def test_a_sample_without_a_span_stays_where_it_starts(kernel: Kernel) -> None:
    case = Case(samples=3)
    field, batch = case.field(), case.batch()
    step = torch.tensor([0.0, 0.5, 0.0])
    found = fused(field, replace(batch, step=step, times=batch.t0.unsqueeze(1)), case, kernel)
    assert torch.equal(found.ys[:, 0], batch.y0)


@pytest.mark.parametrize(
    "case", [Case(samples=70), Case(hidden=(9,), state=3, samples=70, timed=True)], ids=str
)
def test_a_sample_gets_the_same_bits_in_any_company(case: Case, kernel: Kernel) -> None:
    field, batch = case.field(), case.batch()
    whole = fused(field, batch, case, kernel).ys
    for rows in ([0], [69], [3, 64], list(range(70))[::-1], list(range(0, 70, 3)), list(range(33))):
        assert torch.equal(fused(field, batch.map(rows), case, kernel).ys, whole[rows])


def test_a_query_gets_the_same_bits_beside_any_other(kernel: Kernel) -> None:
    case = Case(queries=30)
    field, batch = case.field(), case.batch()
    whole = fused(field, batch, case, kernel).ys
    for queries in ([0], [29, 0], [7, 7, 7], list(range(29, -1, -1))):
        some = replace(batch, times=batch.times[:, queries])
        assert torch.equal(fused(field, some, case, kernel).ys, whole[:, queries])


@pytest.mark.parametrize("keep", [False, True], ids=["checkpoint", "direct"])
def test_the_number_of_threads_changes_no_bit(keep: bool, kernel: Kernel) -> None:
    case = Case(samples=300, queries=3, timed=True, gain=True, decay=True)
    field, batch = case.field(), case.batch()
    for tensor in batch.all():
        tensor.requires_grad_()
    found = []
    for count in (1, 2, 3, 3):
        with _threads(count):
            ys = fused(field, batch, case, kernel, keep=keep).ys
            found.append([ys, *_gradients(ys, field, batch)])
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True))


def test_kept_stages_give_the_gradient_of_those_computed_again(kernel: Kernel) -> None:
    case = Case(samples=40, timed=True, gain=True)
    field, batch = case.field(), case.batch()
    for tensor in batch.all():
        tensor.requires_grad_()
    kept, again = (
        _gradients(fused(field, batch, case, kernel, keep=keep).ys, field, batch)
        for keep in (True, False)
    )
    assert all(torch.equal(one, two) for one, two in zip(kept, again, strict=True))


@pytest.mark.parametrize("keep", [False, True], ids=["checkpoint", "direct"])
@pytest.mark.parametrize("poison", [torch.nan, torch.inf, -torch.inf, 3e38])
def test_a_sample_that_is_not_finite_spoils_no_answer_and_no_gradient(
    poison: float, keep: bool, kernel: Kernel
) -> None:
    case = Case(samples=37, timed=True, gain=True, decay=True)
    field, batch = case.field(), case.batch()
    others = [row for row in range(37) if row not in (0, 34)]
    y0 = batch.y0.clone()
    y0[0, 3] = y0[34, 0] = poison
    # A huge state breaks on the way: its decay overflows.
    step = batch.step.clone()
    step[[0, 34]] = 1e3
    poisoned = replace(batch, y0=y0.requires_grad_(), step=step)
    ys = fused(field, poisoned, case, kernel, keep=keep).ys
    assert not bool(ys[0].isfinite().all())
    found = _gradients_of_start(ys[others], field, poisoned)
    alone = batch.map(others)
    alone.y0.requires_grad_()
    expected_ys = fused(field, alone, case, kernel).ys
    expected = _gradients_of_start(expected_ys, field, alone)
    assert torch.equal(ys[others], expected_ys)
    assert torch.equal(found[0][others], expected[0])
    for one, other in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(
            one, other, rtol=_PRECISION, atol=_PRECISION * float(other.abs().max())
        )


def test_a_loss_on_a_sample_that_breaks_keeps_what_came_before(kernel: Kernel) -> None:
    case = Case(samples=2, steps=2, tableau=EULER, decay=True)
    field, batch = case.field(), case.batch()
    # Decay * y overflows in the second step only.
    assert field.decay is not None
    step = torch.tensor([0.5, 1e25])
    times = torch.stack([batch.t0, batch.t0, batch.t0 + 1.5 * step], dim=1)
    broken = Batch(batch.y0.clone().requires_grad_(), batch.t0, step, times)
    found = fused(field, broken, case, kernel)
    assert not bool(found.ys[1, 2].isfinite().all())
    gradient = torch.autograd.grad(found.ys[1].sum(), [broken.y0, *field.parameters()])
    assert all(bool(one.isfinite().all()) for one in gradient)
    assert torch.equal(gradient[0][1], torch.full((20,), 2.0))


def test_tanh_is_right_to_rounding_everywhere(kernel: Kernel) -> None:
    # One Euler step of size 1 from zero with an identity behind the tanh: y(1) = tanh(bias).
    x = torch.cat([torch.logspace(-30, 2, 500), torch.linspace(0.01, 12, 1500)])
    field = MLPField(nn.Sequential(nn.Linear(2000, 2000), nn.Tanh(), nn.Linear(2000, 2000)))
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.zero_()
        field.layers[0].bias.copy_(x * torch.tensor([1.0, -1.0]).repeat(1000))
        field.layers[1].weight.fill_diagonal_(1.0)
        batch = Batch(torch.zeros(1, 2000), torch.zeros(1), torch.ones(1), torch.ones(1, 1))
        found = fused(field, batch, Case(steps=1, tableau=EULER), kernel).ys[0, 0].double()
    expected = field.layers[0].bias.detach().double().tanh()
    assert float((found / expected - 1).abs().max()) < 4e-7
    assert float(found.abs().max()) <= 1 + 2e-7


def test_strided_and_double_times_are_read_right(kernel: Kernel) -> None:
    case = Case(samples=6)
    field, batch = case.field(), case.batch()
    whole = fused(field, batch, case, kernel).ys
    strided = Batch(
        batch.y0.T.contiguous().T,
        batch.t0.double(),
        batch.step.double(),
        batch.times.T.contiguous().T,
    )
    assert torch.equal(fused(field, strided, case, kernel).ys, whole)
