"""The accepted steps of a Radau solution, and its polynomial between their ends."""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from model.ode.attempts import Attempt, AttemptLog
from model.ode.interpolation import PiecewisePolynomial
from model.ode.mesh import Mesh
from model.ode.problem import InitialValueProblem
from model.ode.radau.collocation import NUM_STAGES, radau_tableau
from model.ode.radau.host import as_given
from model.ode.radau.rows import Rows


@dataclass(frozen=True)
class RadauPath:
    """Steps and jumps of all samples, in rows: all first ones, all second ones, and so on.

    A jump is a step of no length whose last increment is the amount.

    Parameters
    ----------
    mesh
        The times, with the gradients of t0 and jumps.
    table
        The row that begins at a knot; at a sample's last knot, number of rows + sample.
    samples, knots
        Whose step a row is, and at which knot of the mesh it begins.
    records
        Where every sample has ended.
    """

    mesh: Mesh
    table: Int64[Tensor, "knot sample"]
    samples: Int64[Tensor, " row"]
    knots: Int64[Tensor, " row"]
    y_starts: Float[Tensor, "row state"]
    increments: Float[Tensor, "row stage state"]
    last_states: Float[Tensor, "sample state"]
    records: Rows

    def polynomial(self, last_derivatives: Float[Tensor, "sample state"]) -> PiecewisePolynomial:
        """Return the solution: the collocation polynomials, of degree 3, and tangents at the end."""
        tableau = radau_tableau(self.y_starts.dtype, self.y_starts.device)
        times, samples = self.mesh.times.detach(), self.samples
        # Where a sample runs backward, what is read at a jump is the value before it.
        moves = times[self.knots + 1, samples] != times[self.knots, samples]
        powers = torch.where(moves.view(-1, 1, 1), tableau.powers @ self.increments, 0)
        steps = torch.cat([self.y_starts.unsqueeze(1), powers], 1)
        none = torch.zeros_like(last_derivatives)
        ends = torch.stack([self.last_states, last_derivatives, none, none], 1)
        return PiecewisePolynomial(self.mesh, torch.cat([steps, ends]), self.table)


@dataclass(frozen=True)
class _Entry:
    samples: np.ndarray
    knots: np.ndarray
    ends: np.ndarray
    jumps: np.ndarray
    y: Tensor
    increments: Tensor


@dataclass
class PathLog:
    """Accepted steps as the search finds them."""

    entries: list[_Entry] = field(default_factory=list)

    def add(
        self,
        rows: Rows,
        ends: np.ndarray,
        y: Tensor,
        increments: Tensor,
        *,
        chosen: np.ndarray,
        is_jump: bool = False,
    ) -> None:
        """Append a step of the chosen rows; records and states are those at its start."""
        if not chosen.all():
            where = torch.from_numpy(chosen.nonzero()[0]).to(y.device)
            rows, ends = rows[chosen], ends[chosen]
            y, increments = y[where], increments[where]
        jumps = rows["num_jumps"].copy() if is_jump else np.full(len(rows), -1)
        self.entries.append(
            _Entry(
                rows["sample"].copy(),
                rows["accepted"] + rows["num_jumps"],
                ends,
                jumps,
                y,
                increments,
            )
        )

    def path(self, problem: InitialValueProblem, records: Rows, last_states: Tensor) -> RadauPath:
        """Return all of it in order; `records` and `last_states` are of every sample in order."""
        entries, (num_samples, width) = self.entries, problem.y0.shape
        none = np.zeros(0, dtype=np.int64)
        order = np.argsort(np.concatenate([none, *(e.knots for e in entries)]), kind="stable")
        samples, knots, jumps = (
            (
                as_given(np.concatenate([none, *column])[order], last_states)
                for column in zip(*((e.samples, e.knots, e.jumps) for e in entries), strict=True)
            )
            if entries
            else (as_given(none, last_states),) * 3
        )
        ends = as_given(
            np.concatenate([records["t"][:0], *(e.ends for e in entries)])[order], last_states
        )
        accepted = torch.ones_like(samples, dtype=torch.bool)
        num_knots = as_given(records["accepted"] + records["num_jumps"], last_states)
        last_times = as_given(records["t"].copy(), last_states)
        log = AttemptLog([Attempt(samples, knots, accepted, ends, jumps)])
        mesh, table = log.mesh(problem, num_knots, last_times)
        everyone = torch.arange(num_samples, device=table.device)
        table[num_knots, everyone] = len(samples) + everyone
        place, nowhere = as_given(order, last_states), last_states.new_zeros(0, NUM_STAGES, width)
        y = torch.cat([last_states[:0], *(e.y for e in entries)])[place]
        increments = torch.cat([nowhere, *(e.increments for e in entries)])[place]
        return RadauPath(mesh, table, samples, knots, y, increments, last_states, records)
