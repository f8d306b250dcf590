"""`python -m model.ode.kernel`: build the fused kernel, say where it is, and what it does here."""

import sys
import time
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn

from model.ode.kernel import Kernel, KernelBuildError, build, solve_fused
from model.ode.mesh import step_mesh
from model.ode.mlp import MLPField
from model.ode.runge_kutta import integrate
from model.ode.tableau import RK4

_WIDTHS = (20, 100, 100, 20)
_NUM_STEPS, _NUM_QUERIES, _REPETITIONS = 8, 80, 21


def main() -> int:
    """Return 0, or 1 if there is no usable compiler."""
    try:
        kernel = build()
    except KernelBuildError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"built {kernel.path}")
    torch.set_num_threads(1)
    for num_samples in (1, 64, 512):
        print(_measure(kernel, num_samples))
    return 0


def _measure(kernel: Kernel, num_samples: int) -> str:
    generator = torch.Generator().manual_seed(0)
    field = _field(generator)
    y0 = torch.randn(num_samples, _WIDTHS[0], generator=generator)
    times = torch.rand(num_samples, _NUM_QUERIES, generator=generator)
    t0, step = torch.zeros(num_samples), torch.full((num_samples,), 1 / _NUM_STEPS)

    def fused() -> torch.Tensor:
        return solve_fused(field, y0, t0, step, _NUM_STEPS, times, RK4, kernel).ys

    with torch.no_grad():
        eager = integrate(field, y0, step_mesh(t0, step, _NUM_STEPS), RK4).evaluate(times)
        difference = float((fused() - eager).abs().max())
        forward = _median_seconds(fused)
    whole = _median_seconds(lambda: fused().sum().backward())
    products = sum(a * b for a, b in pairwise(_WIDTHS))
    rate = 2 * products * num_samples * (4 * _NUM_STEPS + 1) / forward * 1e-9
    return (
        f"{num_samples:4d} samples, {_NUM_STEPS} steps of rk4, one thread: forward "
        f"{1e3 * forward:.2f} ms ({rate:.0f} GFLOP/s), with gradient {1e3 * whole:.2f} ms, "
        f"{difference:.0e} from plain torch"
    )


def _field(generator: torch.Generator) -> MLPField:
    modules: list[nn.Module] = []
    for inputs, outputs in pairwise(_WIDTHS):
        layer = nn.Linear(inputs, outputs)
        with torch.no_grad():
            layer.weight.copy_(torch.randn(outputs, inputs, generator=generator) / inputs**0.5)
        modules += [layer, nn.Tanh()]
    return MLPField(nn.Sequential(*modules[:-1]))


def _median_seconds(call: Callable[[], object]) -> float:
    call()
    found = []
    for _ in range(_REPETITIONS):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return sorted(found)[len(found) // 2]


if __name__ == "__main__":
    sys.exit(main())
