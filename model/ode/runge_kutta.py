"""Explicit Runge-Kutta: one step, and the walk along a mesh.

The walk carries gradients through every step: it is the exact gradient of what was computed. It
never waits for the device unless samples have different numbers of steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from model.ode.interpolation import PiecewisePolynomial, hermite_coefficients, stage_coefficients
from model.ode.mesh import Mesh
from model.ode.problem import VectorField, restrict
from model.ode.tableau import ButcherTableau


@dataclass(frozen=True)
class Step:
    """The new state, the derivative there, and the stages of the step.

    `last_argument` is the state at which the last stage before `f` was evaluated.
    """

    y: Float[Tensor, "sample state"]
    f: Float[Tensor, "sample state"]
    stages: list[Tensor]
    last_argument: Float[Tensor, "sample state"]


# The two innermost functions name their shapes in words: they run for every stage of every step.


def evaluate(vector_field: VectorField, t: Tensor, y: Tensor) -> Tensor:
    """Return dy/dt [sample state], with the time t [sample] in the precision of the state.

    Raises
    ------
    ValueError
        If the field returns another shape or precision; another shape, for instance, where it holds
        a value for each sample of the whole batch and is asked for a part of it.
    """
    derivative = vector_field(t.to(y.dtype), y)
    if derivative.shape != y.shape or derivative.dtype != y.dtype:
        msg = (
            f"the vector field must return the shape and the precision of y, {tuple(y.shape)} {y.dtype}, "
            f"found {tuple(derivative.shape)} {derivative.dtype}; a field with values for each sample "
            "needs `for_samples`, see PerSampleVectorField"
        )
        raise ValueError(msg)
    return derivative


def combine(
    y: Tensor, step: Tensor, stages: Sequence[Tensor], weights: Sequence[Fraction]
) -> Tensor:
    """Return y [sample state] + step [sample 1] * sum of weight * stage, without zero weights."""
    total = y
    for weight, stage in zip(weights, stages, strict=False):
        if weight:
            total = torch.addcmul(total, step, stage, value=float(weight))
    return total


def take_step(
    vector_field: VectorField,
    t: tuple[Float[Tensor, " sample"], Float[Tensor, " sample"]],
    start: tuple[Float[Tensor, "sample state"], Float[Tensor, "sample state"]],
    tableau: ButcherTableau,
    jump: Float[Tensor, "sample state"] | None = None,
) -> Step:
    """Step from t[0] to t[1], given the state and the derivative at t[0]; add the jump at the end."""
    (t0, t1), (y0, f0) = t, start
    duration = t1 - t0
    step = duration.to(y0.dtype).unsqueeze(-1)
    stages, argument = [f0], y0
    reuse = tableau.last_stage_is_next_first
    for node, row in zip(tableau.c[1:], tableau.a[1:], strict=True):
        if reuse and len(stages) == tableau.num_stages - 1:
            break
        moment = t1 if node == 1 else t0 + float(node) * duration
        argument = combine(y0, step, stages, row)
        stages.append(evaluate(vector_field, moment, argument))
    y1 = combine(y0, step, stages, tableau.b)
    if jump is not None:
        y1 = y1 + jump
    f1 = evaluate(vector_field, t1, y1)
    if reuse:
        stages.append(f1)
    return Step(y1, f1, stages, argument)


@dataclass
class StepLog:
    """The intervals that a walk or a search went through, from which dense output is made.

    Every entry is a block of rows, one for each sample that was still integrated.
    """

    tableau: ButcherTableau
    starts: list[Tensor] = field(default_factory=list)
    sizes: list[Tensor] = field(default_factory=list)
    stages: list[list[Tensor]] = field(default_factory=list)
    ends: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    last_states: list[Tensor] = field(default_factory=list)
    last_derivatives: list[Tensor] = field(default_factory=list)

    def add(self, y0: Tensor, step_size: Tensor, step: Step) -> None:
        """Append one step of a block of samples."""
        self.starts.append(y0)
        self.sizes.append(step_size)
        if self.tableau.dense is None:
            self.ends.append((step.y, step.f))
            self.stages.append(step.stages[:1])
        else:
            self.stages.append(step.stages)

    def close(self, y: Tensor, f: Tensor) -> None:
        """Append the last knot of a block of samples."""
        self.last_states.append(y)
        self.last_derivatives.append(f)

    def coefficients(self) -> Float[Tensor, "row power state"]:
        """Return the polynomial of every row: the steps in order, then the last knots."""
        last_y, last_f = torch.cat(self.last_states), torch.cat(self.last_derivatives)
        y0 = torch.cat([*self.starts, last_y])
        size = torch.cat([*self.sizes, last_y.new_zeros(len(last_y))]).to(y0.dtype).unsqueeze(-1)
        if self.tableau.dense is None:
            f0 = torch.cat([*(stages[0] for stages in self.stages), last_f])
            y1 = torch.cat([*(y for y, _ in self.ends), last_y])
            f1 = torch.cat([*(f for _, f in self.ends), last_f])
            return hermite_coefficients(y0, y1, f0, f1, size)
        columns = [torch.cat([*column, last_f]) for column in zip(*self.stages, strict=True)]
        if not columns:
            columns = [last_f] * self.tableau.num_stages
        return stage_coefficients(y0, torch.stack(columns), size, self.tableau)


@dataclass(frozen=True)
class Walk:
    """The result of stepping along a mesh."""

    solution: PiecewisePolynomial
    states: list[Tensor]
    """The state at every knot; for samples that are done and left out, only the rows that remain."""
    derivatives: list[Tensor]


def walk(
    vector_field: VectorField,
    start: tuple[Float[Tensor, "sample state"], Float[Tensor, "sample state"]],
    mesh: Mesh,
    tableau: ButcherTableau,
) -> Walk:
    """Step along the mesh from a state and its derivative at the first knot.

    Costs `evaluations_per_step` for each step. Where fewer than half of the rows have steps left,
    the others are left out.
    """
    y, f = start
    log = StepLog(tableau)
    num_steps = len(mesh.times) - 1
    whole, times = mesh.times, mesh.times.unbind(0)
    jumps = mesh.jumps
    rows = _Rows(mesh)
    states, derivatives = [y], [f]
    for index in range(num_steps):
        kept = rows.kept(index)
        if kept is not None:
            gone = rows.leave(index, kept)
            log.close(y[gone], f[gone])
            y, f, whole = y[kept], f[kept], whole[:, kept]
            times = whole.unbind(0)
            jumps = None if jumps is None else jumps[:, kept]
            vector_field = restrict(vector_field, kept)
        jump = None if jumps is None else jumps[index]
        step = take_step(vector_field, (times[index], times[index + 1]), (y, f), tableau, jump)
        log.add(y, times[index + 1] - times[index], step)
        rows.enter(index)
        y, f = step.y, step.f
        states.append(y)
        derivatives.append(f)
    log.close(y, f)
    rows.finish(num_steps)
    return Walk(PiecewisePolynomial(mesh, log.coefficients(), rows.table()), states, derivatives)


def integrate(
    vector_field: VectorField,
    y0: Float[Tensor, "sample state"],
    mesh: Mesh,
    tableau: ButcherTableau,
) -> PiecewisePolynomial:
    """Step along the mesh and return the dense solution, with gradients through every step."""
    f0 = evaluate(vector_field, mesh.times[0], y0)
    return walk(vector_field, (y0, f0), mesh, tableau).solution


class _Rows:
    """Which sample each row of a block is, and where its polynomials lie in the log."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._ragged = mesh.num_steps is not None
        if mesh.num_steps is None:
            return
        self._counts = mesh.num_steps.cpu()
        self._samples = torch.arange(len(self._counts))
        self._table = torch.zeros(mesh.times.shape, dtype=torch.int64)
        self._num_rows = 0
        self._last: list[tuple[int, Tensor]] = []

    def kept(self, index: int) -> Int64[Tensor, " row"] | None:
        """Return the rows to keep from this step on, or None for all."""
        if not self._ragged:
            return None
        running = self._counts[self._samples] > index
        if 2 * int(running.sum()) >= len(running):
            return None
        return running.nonzero().squeeze(1).to(self._mesh.times.device)

    def leave(self, index: int, kept: Tensor) -> Int64[Tensor, " row"]:
        """Take the other rows out, and return them."""
        stays = torch.zeros(len(self._samples), dtype=torch.bool)
        stays[kept.cpu()] = True
        self._last.append((index, self._samples[~stays]))
        gone = (~stays).nonzero().squeeze(1)
        self._samples = self._samples[stays]
        return gone.to(self._mesh.times.device)

    def enter(self, index: int) -> None:
        """Note one block of rows."""
        if self._ragged:
            count = len(self._samples)
            self._table[index, self._samples] = torch.arange(count) + self._num_rows
            self._num_rows += count

    def finish(self, num_steps: int) -> None:
        """Note the rows of the last knots."""
        if not self._ragged:
            return
        for index, samples in [*self._last, (num_steps, self._samples)]:
            self._table[index, samples] = torch.arange(len(samples)) + self._num_rows
            self._num_rows += len(samples)

    def table(self) -> Int64[Tensor, "knot sample"] | None:
        """Return the row of every knot and sample; None where it is their order."""
        return self._table.to(self._mesh.times.device) if self._ragged else None
