"""The Adams method on known steps and orders, with autograd.

The gradient is exactly that of the discrete solution, with step sizes and orders held constant.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from model.ode.adams_active import jump_at, signed_jumps
from model.ode.adams_mesh import AdamsMesh
from model.ode.adams_segments import Segments
from model.ode.divided_differences import History
from model.ode.predictor_corrector import correct, defect, predict
from model.ode.problem import InitialValueProblem, restrict
from model.ode.sample_table import AbstractSampleTable


def replay_adams(problem: InitialValueProblem, mesh: AdamsMesh) -> Segments:
    """Take every step of the mesh.

    The samples with the most steps come first, so that those still under way are a prefix: nothing
    is computed for the others, and no tensor that autograd tracks is written to.
    """
    num_steps = mesh.orders.shape[1]
    samples = mesh.counts.argsort(descending=True, stable=True)
    place = torch.arange(num_steps, device=samples.device)
    num_active = (mesh.counts.unsqueeze(1) > place).sum(0).tolist()
    replay = _Replay(problem, mesh)
    states = _States(
        samples,
        problem.y0[samples],
        History.start(
            torch.zeros_like(problem.y0),
            direction=problem.direction,
            num_rows=int(mesh.orders.max()) + 1,
        ),
    )
    segments = []
    for step in range(num_steps):
        states = states.select(slice(0, num_active[step]))
        order = mesh.orders[states.samples, step]
        for rows, advance in (
            ((order == 0).nonzero().squeeze(1), replay.restart),
            ((order > 0).nonzero().squeeze(1), replay.move),
        ):
            if len(rows):
                part, segment = advance(step, states.select(rows))
                states = states.put(rows, part)
                segments.append(segment)
    return Segments.join(segments)


@dataclass(frozen=True)
class _States(AbstractSampleTable):
    samples: Int[Tensor, " sample"]
    y: Float[Tensor, "sample state"]
    history: History


class _Replay:
    """The two kinds of step; each returns the new states and the segment that led to them."""

    def __init__(self, problem: InitialValueProblem, mesh: AdamsMesh) -> None:
        self._field = problem.vector_field
        self._mesh = mesh
        self._jump_times, self._jump_amounts = signed_jumps(problem)

    def restart(self, step: int, states: _States) -> tuple[_States, Segments]:
        samples = states.samples
        t = self._mesh.starts[samples, step]
        amount = jump_at(t, self._jump_times[samples], self._jump_amounts[samples])
        y = states.y + amount
        # A sample that ends here may have failed here: its field is not to touch the gradient.
        goes_on = (self._mesh.counts[samples] > step + 1).nonzero().squeeze(1)
        derivative = torch.zeros_like(y)
        if len(goes_on):
            found = restrict(self._field, samples[goes_on])(t[goes_on], y[goes_on])
            derivative = derivative.index_copy(0, goes_on, found)
        history = History.start(
            derivative,
            direction=torch.ones_like(t),
            num_rows=states.history.differences.shape[1],
        )
        silent = replace(history, differences=torch.zeros_like(history.differences))
        order = torch.zeros_like(samples)
        segment = Segments(samples, t, torch.zeros_like(t), order, states.y, amount, silent)
        return replace(states, y=y, history=history), segment

    def move(self, step: int, states: _States) -> tuple[_States, Segments]:
        samples = states.samples
        start = self._mesh.starts[samples, step]
        length, order = self._mesh.lengths[samples, step], self._mesh.orders[samples, step]
        field = restrict(self._field, samples)
        prediction = predict(states.y, states.history, length, order)
        derivative = field(start + length, prediction.y)
        y = correct(prediction, derivative, order)
        corrected = field(start + length, y)
        history = states.history.advance(length, corrected, prediction.extrapolations)
        missed = defect(prediction, derivative, corrected, order)
        segment = Segments(samples, start, length, order, states.y, missed, history)
        return replace(states, y=y, history=history), segment
