"""Solve an `MLPField` on equal steps with the fused kernel, differentiable in everything.

The numbers are those of `integrate` and its dense output on the same grid to rounding. A sample's
answer is the same bits in any batch and with any number of threads.
"""

import ctypes
from collections.abc import Sequence
from ctypes import c_float, c_long
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from model.ode.kernel.library import (
    MAX_LAYERS,
    MAX_STAGES,
    FieldArguments,
    Kernel,
    SolveArguments,
    addresses,
)
from model.ode.mlp import MLPField
from model.ode.problem import InitialValueProblem
from model.ode.tableau import ButcherTableau


@dataclass(frozen=True)
class FusedSolution:
    """The states asked for, and without gradient the states and derivatives at the knots."""

    ys: Float[Tensor, "sample query state"]
    states: Float[Tensor, "knot sample state"]
    derivatives: Float[Tensor, "knot sample state"]


def applies(problem: InitialValueProblem, tableau: ButcherTableau) -> bool:
    """Whether the kernel can solve this problem, on a grid of equal steps for each sample.

    It can for an `MLPField` on the CPU in float32 without jumps, and a method that interpolates by
    cubics; not while a graph is traced or a function transformed (torch.func).
    """
    field = problem.vector_field
    if type(field) is not MLPField or problem.jumps is not None:
        return False
    tensors = [problem.y0, *(x for x in _parameters(field) if x is not None)]
    times = (problem.t0, problem.query_times)
    return _is_suitable(tensors, times, tableau)


def _is_suitable(
    tensors: Sequence[Tensor], times: Sequence[Tensor], tableau: ButcherTableau
) -> bool:
    """Whether y0 and parameters, times and method are such as the kernel takes."""
    if tableau.dense is not None or tableau.num_stages > MAX_STAGES:
        return False
    if len(tensors) > 2 * MAX_LAYERS or not len(tensors[0]) or torch.compiler.is_compiling():
        return False
    if any(x.dtype is not torch.float32 for x in tensors):
        return False
    everything = (*tensors, *times)
    # A tensor under vmap or torch.func.grad has no memory of its own to read.
    if any(torch._C._functorch.is_functorch_wrapped_tensor(x) for x in everything):
        return False
    return all(x.device.type == "cpu" for x in everything)


def solve_fused(
    field: MLPField,
    y0: Float[Tensor, "sample state"],
    t0: Float[Tensor, " sample"],
    step: Float[Tensor, " sample"],
    num_steps: int,
    query_times: Float[Tensor, "sample query"],
    tableau: ButcherTableau,
    kernel: Kernel,
    *,
    keep_stages: bool = False,
) -> FusedSolution:
    """Take `num_steps` steps of each sample's own signed size, and answer its own queries.

    Parameters
    ----------
    query_times
        A time outside the sample's grid is answered with the state at the nearer end.
    keep_stages
        Keep what the way back needs, 4 bytes times the sum of layer widths for each evaluation and
        sample (`direct`); otherwise keep the knots and compute the rest again (`checkpoint`). The
        gradient is the same bits. That of a sample that is not finite is zero from where it breaks.

    Raises
    ------
    ValueError
        If this is not such a problem as `applies` describes, or there is no step.
    """
    gain, decay, *layers = _parameters(field)
    tensors = [x for x in (y0, gain, decay, *layers) if x is not None]
    if not _is_suitable(tensors, (t0, step, query_times), tableau):
        raise ValueError(
            "the fused kernel cannot solve this problem with this method: see `applies`"
        )
    if num_steps < 1 or step.shape != t0.shape:
        raise ValueError("`num_steps` must be at least 1 and `step` a number for each sample")
    task = _Task(kernel, tableau, num_steps, field.time_scale, keep_stages)
    inputs = (y0, t0, step, query_times, gain, decay, *layers)
    if torch.is_grad_enabled():
        ys, states, derivatives = _FusedSolve.apply(task, *inputs)  # type: ignore[no-untyped-call]  # so is torch's
    else:
        ys, states, derivatives, _ = task.run(_Inputs(task, inputs), keeps_tape=False)
    width = y0.shape[1]
    return FusedSolution(ys, states[..., :width], derivatives[..., :width])


def _parameters(field: MLPField) -> list[Tensor | None]:
    """Return gain, decay, and weight and bias of each layer."""
    return [
        field.gain,
        field.decay,
        *(x for layer in field.layers for x in (layer.weight, layer.bias)),
    ]


@dataclass(frozen=True)
class _Task:
    """What is not a tensor."""

    kernel: Kernel
    tableau: ButcherTableau
    num_steps: int
    time_scale: float | None
    keep_stages: bool

    def run(
        self, inputs: "_Inputs", *, keeps_tape: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Solve; return the answers, the states and derivatives at the knots, and the tape."""
        samples, state = inputs.y0.shape
        stride = self.kernel.padded(inputs.widths[0])
        knots, slopes = torch.empty(2, self.num_steps + 1, samples, stride).unbind(0)
        ys = torch.empty(samples, inputs.times.shape[1], state)
        tape = None
        if keeps_tape:
            hidden = sum(self.kernel.padded(width) for width in inputs.widths[1:-1])
            evaluations = self.num_steps * self.tableau.num_stages + 1
            tape = torch.empty(samples, evaluations, 2 * stride + hidden)
        buffers = {"knots": knots, "slopes": slopes, "tape": tape, "ys": ys}
        self.kernel.solve(inputs.arguments(self, buffers))
        return ys, knots, slopes, tape


class _Inputs:
    """The tensors of a call as the kernel reads them; alive as long as this is."""

    def __init__(self, task: _Task, tensors: tuple[Tensor | None, ...]) -> None:
        y0, t0, step, times, gain, decay, *parameters = (
            None if x is None else x.contiguous() for x in tensors
        )
        assert y0 is not None
        self.y0 = y0
        assert t0 is not None
        assert step is not None
        assert times is not None
        self.t0, self.step = t0.to(torch.float64), step.to(torch.float64)
        # Many queries are not converted: torch's threads would still spin while the kernel's run.
        self.times = times if times.dtype is torch.float32 else times.to(torch.float64)
        self.gain, self.decay = gain, decay
        self.parameters = [x for x in parameters if x is not None]
        weights, biases = self.parameters[::2], self.parameters[1::2]
        self.widths = [weights[0].shape[1], *(weight.shape[0] for weight in weights)]
        self.field = FieldArguments(
            num_layers=len(weights),
            has_time=task.time_scale is not None,
            widths=(c_long * len(self.widths))(*self.widths),
            weights=addresses(weights),
            biases=addresses(biases),
            gain=_address(gain),
            decay=_address(decay),
            time_scale=task.time_scale or 0.0,
        )

    def arguments(self, task: _Task, buffers: dict[str, Tensor | None]) -> SolveArguments:
        """Return the kernel's arguments; `buffers` by the names in walk.h."""
        tableau = task.tableau
        size = tableau.num_stages
        # A row of the matrix ends with its last entry: filled up to a square.
        rows = ((*row, *(Fraction(0),) * (size - len(row))) for row in tableau.a)
        matrix = [number for row in rows for number in row]
        times_name = "short_times" if self.times.dtype is torch.float32 else "times"
        return SolveArguments(
            field=self.field,
            samples=len(self.y0),
            steps=task.num_steps,
            queries=self.times.shape[1],
            stages=size,
            threads=torch.get_num_threads(),
            y0=self.y0.data_ptr(),
            t0=self.t0.data_ptr(),
            step=self.step.data_ptr(),
            a=_floats(matrix),
            b=_floats(tableau.b),
            c=_floats(tableau.c),
            **{times_name: self.times.data_ptr()},
            **{name: _address(tensor) for name, tensor in buffers.items()},
        )


def _floats(numbers: Sequence[Fraction]) -> "ctypes.Array[c_float]":
    return (c_float * len(numbers))(*(x.numerator / x.denominator for x in numbers))


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


class _FusedSolve(torch.autograd.Function):
    """One call of the kernel forward, one backward."""

    @staticmethod
    def forward(ctx: Any, task: _Task, *tensors: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        keeps_tape = task.keep_stages and any(ctx.needs_input_grad)
        ys, knots, slopes, tape = task.run(_Inputs(task, tensors), keeps_tape=keeps_tape)
        ctx.task = task
        ctx.save_for_backward(*tensors, knots, slopes, tape)
        ctx.mark_non_differentiable(knots, slopes)
        ctx.set_materialize_grads(False)
        return ys, knots, slopes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_ys: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        *tensors, knots, slopes, tape = ctx.saved_tensors
        if g_ys is None:
            return (None,) * (1 + len(tensors))
        task, needed = ctx.task, ctx.needs_input_grad
        inputs = _Inputs(task, tuple(tensors))
        found = _Gradients(inputs, tuple(needed[1:]))
        found.fill(task, {"knots": knots, "slopes": slopes, "tape": tape}, g_ys.contiguous())
        gradients = (
            None if not wanted or tensor is None else gradient.to(tensor.dtype)
            for wanted, tensor, gradient in zip(needed[1:], tensors, found.all, strict=True)
        )
        return None, *gradients


class _Gradients:
    """The gradients of a call, in the order of its tensors."""

    def __init__(self, inputs: _Inputs, needed: tuple[bool, ...]) -> None:
        self._inputs = inputs
        self._moves_times, self._moves_grid = needed[3], needed[1] or needed[2]
        self._moves_parameters = any(needed[6:])
        vector = inputs.y0.new_empty(2, inputs.y0.shape[1])
        self.all = [
            torch.empty_like(inputs.y0),
            torch.zeros_like(inputs.t0),
            torch.zeros_like(inputs.step),
            inputs.times.new_zeros(inputs.times.shape if needed[3] else 0, dtype=torch.float64),
            vector[0],
            vector[1],
            *(torch.empty_like(parameter) for parameter in inputs.parameters),
        ]

    def fill(self, task: _Task, kept: dict[str, Tensor | None], g_ys: Tensor) -> None:
        """Let the kernel compute them."""
        g_y0, g_t0, g_step, g_times, g_gain, g_decay, *g_parameters = self.all
        buffers = {
            **kept,
            "g_ys": g_ys,
            "g_y0": g_y0,
            "g_gain": g_gain,
            "g_decay": g_decay,
            "g_times": g_times if self._moves_times else None,
            "g_t0": g_t0 if self._moves_grid else None,
            "g_step": g_step if self._moves_grid else None,
        }
        arguments = self._inputs.arguments(task, buffers)
        if self._moves_parameters:
            arguments.g_weights = addresses(g_parameters[::2])
            arguments.g_biases = addresses(g_parameters[1::2])
        task.kernel.gradient(arguments)
