"""Explicit Runge-Kutta on a fixed grid that belongs to each sample: own start, own step.

No host synchronization and no data-dependent control flow: the loop over steps is the only loop.
The position of a knot depends on the sample's own t0 and dt alone, so more steps for the sake of
another sample or a later query change no earlier value.
"""

from fractions import Fraction

import torch
from jaxtyping import Float
from torch import Tensor

from model.ode.interpolation import HermiteInterpolant
from model.ode.problem import VectorField
from model.ode.tableau import ButcherTableau


def solve_fixed_grid(
    vector_field: VectorField,
    y0: Float[Tensor, "sample state"],
    *,
    t0: Float[Tensor, " sample"],
    dt: Float[Tensor, " sample"],
    num_steps: int,
    tableau: ButcherTableau,
) -> HermiteInterpolant:
    """Integrate `num_steps` steps and return the dense solution.

    Costs num_steps * stages + 1 evaluations of the vector field.
    """
    states = [y0]
    derivatives = [vector_field(t0, y0)]
    for step in range(num_steps):
        t = t0 + step * dt
        y = _step(vector_field, t, states[-1], derivatives[-1], dt, tableau)
        states.append(y)
        derivatives.append(vector_field(t0 + (step + 1) * dt, y))
    return HermiteInterpolant(t0, dt, torch.stack(states), torch.stack(derivatives))


def _step(
    vector_field: VectorField,
    t: Float[Tensor, " sample"],
    y: Float[Tensor, "sample state"],
    first_stage: Float[Tensor, "sample state"],
    dt: Float[Tensor, " sample"],
    tableau: ButcherTableau,
) -> Float[Tensor, "sample state"]:
    stages = [first_stage]
    for node, row in zip(tableau.c[1:], tableau.a[1:], strict=True):
        stages.append(vector_field(t + float(node) * dt, y + _combine(stages, row, dt)))
    return y + _combine(stages, tableau.b, dt)


def _combine(
    stages: list[Tensor], weights: tuple[Fraction, ...], dt: Float[Tensor, " sample"]
) -> Float[Tensor, "sample state"]:
    """Return dt * sum of weight * stage, without the zero weights."""
    terms = [float(w) * stage for w, stage in zip(weights, stages, strict=True) if w]
    total = terms[0] if len(terms) == 1 else torch.stack(terms).sum(0)
    return dt.unsqueeze(-1) * total
