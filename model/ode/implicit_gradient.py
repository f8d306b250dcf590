"""The gradient of a Radau solution, by the implicit function theorem at each accepted step.

The stages Y of a step are the root of Y = y + D(Y), D = h (A x I) f(t + c h, Y), whatever iteration
found them. So dY = M^-1 (dy + dD), M = I - h (A x J), and backward solves one transposed system of
3d equations for each step; no Newton iteration is differentiated. D is computed once more under
autograd with Y held constant, for all steps at once: through it the gradient reaches everything in
the vector field, the times and the step sizes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from model.ode.collocation import NUM_STAGES, radau_tableau
from model.ode.jacobian import batched_jacobian
from model.ode.problem import InitialValueProblem, VectorField, restrict
from model.ode.radau_steps import RadauSteps, sum_of_first_jumps

# Evaluations of the field that backward holds in memory together; more are recomputed in turn.
_CHUNK = 16_384


def attach_gradient(problem: InitialValueProblem, steps: RadauSteps) -> RadauSteps:
    """Return the same steps as a differentiable function of the problem.

    Step sizes are constant, except where t0 or a jump bounds a step.
    """
    steps = _attach_times(problem, steps)
    rows = steps.moving.nonzero().squeeze(1)
    moving = steps.select(rows)
    jacobians = _StageJacobians(
        problem.vector_field, moving.samples, _stage_times(moving).detach(), _stage_states(moving)
    )
    walk = _Walk(
        steps.increments,
        steps.y_starts,
        rows,
        steps.index(problem.num_samples).rows_by_place(),
        steps.samples,
        (moving.ends - moving.starts).detach(),
        jacobians,
    )
    changes = _stage_changes(problem.vector_field, moving) if len(rows) else moving.increments
    apply = cast(Callable[..., tuple[Tensor, Tensor]], _ImplicitStages.apply)
    y_starts, increments = apply(walk, problem.y0, _jumps_before_rows(problem, steps), changes)
    return replace(steps, y_starts=y_starts, increments=increments)


def _attach_times(problem: InitialValueProblem, steps: RadauSteps) -> RadauSteps:
    """Let the bounds of the steps that are t0 or the time of a jump move with it."""
    anchors = problem.t0.unsqueeze(1)
    jumps = problem.jumps_in_order()
    if jumps is not None:
        anchors = torch.cat([anchors, jumps.times.to(anchors)], 1)
    if not anchors.requires_grad:
        return steps
    shifts = torch.where(anchors.isfinite(), anchors - anchors.detach(), 0.0)
    # The n-th row of a sample starts where its (n-1)-th ends; the first is at t0, both ends.
    at_t0 = steps.starts == problem.t0.detach()[steps.samples]
    at_end = steps.jumps_after > steps.jumps_before
    end = torch.where(at_end, shifts[steps.samples, steps.jumps_after], 0.0)
    start = torch.cat([end[:1], end[:-1]])
    start = torch.where(at_t0, shifts[steps.samples, 0], start)
    end = torch.where(at_t0 & ~steps.moving, start, end)
    return replace(steps, starts=steps.starts + start, ends=steps.ends + end)


def _jumps_before_rows(
    problem: InitialValueProblem, steps: RadauSteps
) -> Float[Tensor, "row state"]:
    """Return what is added to the state between the end of the row before and each row."""
    jumps = problem.jumps_in_order()
    if jumps is None:
        return torch.zeros_like(steps.y_starts)
    sums = sum_of_first_jumps(jumps.amounts)
    first = torch.zeros_like(steps.samples, dtype=torch.bool)
    first[steps.index(problem.num_samples).first] = True
    behind = torch.where(first, 0, steps.jumps_before.roll(1))
    return sums[steps.samples, steps.jumps_before] - sums[steps.samples, behind]


def _stage_times(steps: RadauSteps) -> Float[Tensor, "row stage"]:
    nodes = radau_tableau(steps.starts.dtype, steps.starts.device).nodes
    return steps.starts.unsqueeze(1) + (steps.ends - steps.starts).unsqueeze(1) * nodes


def _stage_states(steps: RadauSteps) -> Float[Tensor, "row stage state"]:
    return steps.y_starts.unsqueeze(1) + steps.increments


def _stage_changes(
    vector_field: VectorField, steps: RadauSteps
) -> Float[Tensor, "row stage state"]:
    """Return D at the stages, held constant, with the graph of everything else."""
    samples = steps.samples.repeat_interleave(NUM_STAGES)
    times, states = _stage_times(steps).flatten(), _stage_states(steps).flatten(0, 1)
    parts = zip(samples.split(_CHUNK), times.split(_CHUNK), states.split(_CHUNK), strict=True)
    found = [
        checkpoint(
            restrict(vector_field, which), *part, use_reentrant=False, preserve_rng_state=False
        )
        for which, *part in parts
    ]
    derivatives = torch.cat([cast(Tensor, one) for one in found]).view_as(steps.increments)
    h = (steps.ends - steps.starts).to(states.dtype).view(-1, 1, 1)
    a = radau_tableau(states.dtype, states.device).a
    return h * torch.einsum("st,rtd->rsd", a, derivatives)


@dataclass(frozen=True)
class _StageJacobians:
    """Of the vector field at all stages of the moving rows."""

    vector_field: VectorField
    samples: Int64[Tensor, " row"]
    times: Float[Tensor, "row stage"]
    states: Float[Tensor, "row stage state"]

    def evaluate(self, rows: slice) -> Float[Tensor, "row stage state state"]:
        times, states = self.times[rows], self.states[rows]
        jacobian = batched_jacobian(
            self.vector_field,
            self.samples[rows].repeat_interleave(NUM_STAGES),
            times.flatten(),
            states.flatten(0, 1),
        )
        return jacobian.unflatten(0, times.shape)


@dataclass(frozen=True)
class _Walk:
    """What was found, and the order of the rows in which backward walks."""

    increments: Float[Tensor, "row stage state"]
    y_starts: Float[Tensor, "row state"]
    moving: Int64[Tensor, " moving_row"]
    rows_by_place: list[Int64[Tensor, " some_row"]]
    samples: Int64[Tensor, " row"]
    h: Float[Tensor, " moving_row"]
    jacobians: _StageJacobians

    def solve_transposed(
        self, right: Float[Tensor, "moving_row stage state"]
    ) -> tuple[
        Float[Tensor, "moving_row stage state"], Float[Tensor, "moving_row stage state state"]
    ]:
        """Return M^-T right, and M^-T applied to the identity in the last stage."""
        width = right.shape[-1]
        a = radau_tableau(right.dtype, right.device).a
        size = NUM_STAGES * width
        last = torch.eye(size, dtype=right.dtype, device=right.device)[:, -width:]
        identity = torch.eye(size, dtype=right.dtype, device=right.device)
        found = []
        many = max(1, _CHUNK // size)
        for begin in range(0, len(right), many):
            rows = slice(begin, begin + many)
            jacobian = self.jacobians.evaluate(rows)
            h = self.h[rows].to(right.dtype).view(-1, 1, 1)
            coupling = torch.einsum("st,rtij->rtjsi", a, jacobian).reshape(-1, size, size)
            columns = torch.cat(
                [right[rows].flatten(1).unsqueeze(-1), last.expand(len(h), -1, -1)], -1
            )
            found.append(torch.linalg.solve(identity - h * coupling, columns))
        solved = torch.cat(found).unflatten(1, (NUM_STAGES, width))
        return solved[..., 0], solved[..., 1:]


class _ImplicitStages(torch.autograd.Function):
    """From y0, jumps and stage changes to the start and increments of every row."""

    @staticmethod
    def forward(
        ctx: Any, walk: _Walk, y0: Tensor, jumps: Tensor, changes: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.walk = walk
        ctx.num_samples = len(y0)
        return walk.y_starts.clone(), walk.increments.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor, Tensor, Tensor]:
        if torch.is_grad_enabled():
            raise RuntimeError("a Radau solution is differentiable once: leave out `create_graph`")
        by_starts, by_increments = grads
        walk: _Walk = ctx.walk
        # Stages are start + increment; a row that does not move passes its cotangent on.
        by_starts = by_starts - by_increments.sum(1)
        direct, transfer = by_increments.clone(), torch.zeros_like(by_increments).unsqueeze(-1)
        width = by_starts.shape[1]
        transfer = transfer.repeat(1, 1, 1, width)
        transfer[:, -1] = torch.eye(width, dtype=direct.dtype, device=direct.device)
        if len(walk.moving):
            direct[walk.moving], transfer[walk.moving] = walk.solve_transposed(
                by_increments[walk.moving]
            )
        by_start, propagator = by_starts + direct.sum(1), transfer.sum(1)
        arriving = torch.zeros_like(by_starts)
        adjoint = by_starts.new_zeros(ctx.num_samples, width)
        for rows in reversed(walk.rows_by_place):
            samples = walk.samples[rows]
            arriving[rows] = adjoint[samples]
            step = (propagator[rows] @ adjoint[samples].unsqueeze(-1)).squeeze(-1)
            adjoint[samples] = by_start[rows] + step
        by_stages = direct + (transfer @ arriving[:, None, :, None]).squeeze(-1)
        by_jumps = by_stages.sum(1) + by_starts
        return None, adjoint, by_jumps, by_stages[walk.moving]
