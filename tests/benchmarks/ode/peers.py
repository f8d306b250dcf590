"""The peers, each called as its users call it."""

from collections.abc import Sequence

import diffrax
import jax
import jax.numpy as jnp
import torchdiffeq
import torchode
from torch import Tensor

from tests.benchmarks.ode.contender import Contender
from tests.benchmarks.ode.torchdiffeq_output import StackedOutput
from tests.benchmarks.ode.workload import ATOL, RTOL, Workload

Layers = list[tuple[jax.Array, jax.Array]]


def torchdiffeq_as_released(workload: Workload) -> Contender:
    """One shared step, on the union of all patients' times: what latent ODE does."""
    times, _ = workload.union

    def answers(y0: Tensor) -> Tensor:
        on_union = torchdiffeq.odeint(
            workload.field, y0, times, rtol=RTOL, atol=ATOL, method="dopri5"
        )
        return workload.pick(on_union)

    return Contender.of("torchdiffeq dopri5, union", workload, answers)


def torchdiffeq_patched(workload: Workload) -> Contender:
    """The same without the output written in place."""
    released = torchdiffeq_as_released(workload)

    def forward() -> Tensor:
        with StackedOutput():
            states: Tensor = released.forward()
            return states

    def training_step() -> Sequence[Tensor]:
        with StackedOutput():
            return released.training_step()

    return Contender("torchdiffeq dopri5, union, patched", forward, training_step)


def torchode_dopri5(workload: Workload) -> Contender:
    """Own steps and own times of every patient, eager."""
    term = torchode.ODETerm(workload.field)
    controller = torchode.IntegralController(atol=ATOL, rtol=RTOL, term=term)
    solver = torchode.AutoDiffAdjoint(torchode.Dopri5(term), controller)

    def answers(y0: Tensor) -> Tensor:
        problem = torchode.InitialValueProblem(y0=y0, t_eval=workload.times)
        states: Tensor = solver.solve(problem).ys
        return states

    return Contender.of("torchode dopri5, own times", workload, answers)


def diffrax_dopri5(workload: Workload) -> Contender:
    """Own steps and own times by vmap, compiled; the first call, not timed, compiles."""
    y0, times = (jnp.asarray(one.numpy()) for one in (workload.y0, workload.times))
    flat = [jnp.asarray(one.detach().numpy()) for one in workload.field.parameters()]
    layers: Layers = list(zip(flat[::2], flat[1::2], strict=True))
    solve = jax.vmap(_diffrax_solve, in_axes=(0, None, 0))
    forward = jax.jit(solve)
    gradient = jax.jit(jax.grad(lambda *inputs: (solve(*inputs) ** 2).mean(), argnums=(0, 1)))

    def training_step() -> Sequence[jax.Array]:
        found: list[jax.Array] = jax.tree.leaves(gradient(y0, layers, times))
        return [one.block_until_ready() for one in found]

    return Contender(
        "diffrax Dopri5, vmap, jit",
        lambda: forward(y0, layers, times).block_until_ready(),
        training_step,
    )


def _diffrax_solve(y0: jax.Array, layers: Layers, times: jax.Array) -> jax.Array:
    states: jax.Array = diffrax.diffeqsolve(
        diffrax.ODETerm(_network),
        diffrax.Dopri5(),
        t0=times[0],
        t1=times[-1],
        dt0=None,
        y0=y0,
        args=layers,
        saveat=diffrax.SaveAt(ts=times),
        stepsize_controller=diffrax.PIDController(rtol=RTOL, atol=ATOL),
    ).ys
    return states


def _network(t: object, y: jax.Array, layers: Layers) -> jax.Array:
    *hidden, (last_weight, last_bias) = layers
    for weight, bias in hidden:
        y = jnp.tanh(weight @ y + bias)
    return last_weight @ y + last_bias
