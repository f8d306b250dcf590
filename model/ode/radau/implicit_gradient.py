"""The gradient of a Radau solution, by the implicit function theorem at each accepted step.

The stages Y of a step are the root of Y = y + D(Y), D = h (A x I) f(t + c h, Y), whatever iteration
found them. So dY = M^-1 (dy + dD), M = I - h (A x J), and backward solves one transposed system of
3d equations for each step; no Newton iteration is differentiated. D is computed once more under
autograd with Y held constant: through it the gradient reaches everything in the vector field, the
times and the step sizes. A jump is a step of no length whose D is the amount.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from model.ode.problem import InitialValueProblem, restrict
from model.ode.radau.collocation import NODES, NUM_STAGES, radau_tableau
from model.ode.radau.jacobian import Jacobian
from model.ode.radau.path import RadauPath
from model.ode.runge_kutta import evaluate

# Numbers in the matrices that backward holds together; evaluations of the field with their graph.
_MATRIX_CHUNK, _FIELD_CHUNK = 2**21, 2**14


def attach_gradient(problem: InitialValueProblem, path: RadauPath) -> RadauPath:
    """Return the same steps as a differentiable function of the problem.

    Step sizes are constant, except where t0 or a jump bounds a step.
    """
    starts = path.mesh.times[path.knots, path.samples]
    h = path.mesh.times[path.knots + 1, path.samples] - starts
    nodes = torch.from_numpy(NODES).to(starts)
    times = starts.unsqueeze(1) + h.unsqueeze(1) * nodes
    walk = _Walk(path, h.detach(), times.detach(), Jacobian(problem.vector_field))
    changes = h.to(path.increments).view(-1, 1, 1) * _weighted_slopes(problem, walk, times)
    if path.mesh.jumps is not None:
        jumps = path.mesh.jumps[path.knots, path.samples].unsqueeze(1)
        changes = torch.cat([changes[:, :-1], changes[:, -1:] + jumps], 1)
    apply = cast(Callable[..., tuple[Tensor, Tensor, Tensor]], _ImplicitStages.apply)
    y_starts, increments, last_states = apply(walk, problem.y0, changes)
    return replace(path, y_starts=y_starts, increments=increments, last_states=last_states)


def _weighted_slopes(problem: InitialValueProblem, walk: "_Walk", times: Tensor) -> Tensor:
    """Return (A x I) f at the stages, held constant, with the graph of everything else."""
    samples = walk.path.samples.repeat_interleave(NUM_STAGES)

    def slopes(which: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return evaluate(restrict(problem.vector_field, which), t, y)

    columns = (samples, times.flatten(), walk.stages.flatten(0, 1))
    parts = zip(*(column.split(_FIELD_CHUNK) for column in columns), strict=True)
    found = [
        cast(Tensor, checkpoint(slopes, *part, use_reentrant=False, preserve_rng_state=False))
        for part in parts
    ]
    derivatives = torch.cat(found).view_as(walk.stages) if found else walk.stages
    return radau_tableau(derivatives.dtype, derivatives.device).a @ derivatives


@dataclass(frozen=True)
class _Walk:
    """The steps, in the order of their knots, and what backward needs to know of them."""

    path: RadauPath
    h: Tensor
    times: Tensor
    jacobian: Jacobian

    @property
    def stages(self) -> Tensor:
        """The states [row stage state] at the stages."""
        return self.path.y_starts.unsqueeze(1) + self.path.increments

    def factors_transposed(self, rows: slice) -> tuple[Tensor, Tensor]:
        """Return the LU factors of M^T of some rows."""
        stages, h = self.stages[rows], self.h[rows].to(self.path.y_starts).view(-1, 1, 1)
        size = NUM_STAGES * stages.shape[2]
        samples = self.path.samples[rows].repeat_interleave(NUM_STAGES)
        jacobian = self.jacobian.evaluate(
            samples, self.times[rows].flatten(), stages.flatten(0, 1)
        ).unflatten(0, stages.shape[:2])
        a = radau_tableau(stages.dtype, stages.device).a
        coupling = torch.einsum("st,rtij->rtjsi", a, jacobian).reshape(-1, size, size)
        identity = torch.eye(size, dtype=stages.dtype, device=stages.device)
        factors: tuple[Tensor, Tensor, Tensor] = torch.linalg.lu_factor_ex(identity - h * coupling)
        return factors[:2]

    def pull_back(self, by_increments: Tensor, by_starts: Tensor, adjoint: Tensor) -> Tensor:
        """Walk from the last steps to the first; return the cotangents of D.

        `adjoint` [sample state] is that of the last states at first, of y0 in the end.
        """
        by_changes = torch.empty_like(by_increments)
        for block in self._blocks():
            lu, pivots = self.factors_transposed(slice(block[0].start, block[-1].stop))
            for rows in reversed(block):
                within = slice(rows.start - block[0].start, rows.stop - block[0].start)
                samples, given = self.path.samples[rows], by_increments[rows]
                right = torch.cat([given[:, :-1], given[:, -1:] + adjoint[samples].unsqueeze(1)], 1)
                solved = torch.linalg.lu_solve(
                    lu[within], pivots[within], right.view(len(lu[within]), -1, 1)
                )
                by_changes[rows] = solved.view_as(given)
                # The end is start + last increment, so that what arrives there cancels.
                adjoint[samples] = by_starts[rows] + by_changes[rows].sum(1) - given.sum(1)
        return by_changes

    def _blocks(self) -> list[list[slice]]:
        """Return the rows that begin at each knot, in blocks to factor together, last block first."""
        ends = torch.bincount(self.path.knots).cumsum(0).tolist()
        numbers = (NUM_STAGES * self.path.y_starts.shape[1]) ** 2
        blocks: list[list[slice]] = []
        for start, stop in zip([0, *ends[:-1]], ends, strict=True):
            if not blocks or (stop - blocks[-1][0].start) * numbers > _MATRIX_CHUNK:
                blocks.append([])
            blocks[-1].append(slice(start, stop))
        return blocks[::-1]


class _ImplicitStages(torch.autograd.Function):
    """From y0 and D to the start and increments of every row, and the last states."""

    @staticmethod
    def forward(
        ctx: Any, walk: _Walk, y0: Tensor, changes: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.walk = walk
        path = walk.path
        return path.y_starts.clone(), path.increments.clone(), path.last_states.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor, Tensor]:
        if torch.is_grad_enabled():
            raise RuntimeError("a Radau solution is differentiable once: leave out `create_graph`")
        by_starts, by_increments, by_last = grads
        adjoint = by_last.clone()
        return None, adjoint, ctx.walk.pull_back(by_increments, by_starts, adjoint)
