"""A fused CPU kernel for perceptron fields on a fixed grid: optional, built on the user's machine.

`python -m model.ode.kernel` builds it. Without it everything works in plain torch.
"""

from model.ode.kernel.compiler import KernelBuildError
from model.ode.kernel.library import Kernel, build, load
from model.ode.kernel.solve_fused import FusedSolution, applies, solve_fused

__all__ = [
    "FusedSolution",
    "Kernel",
    "KernelBuildError",
    "applies",
    "build",
    "load",
    "solve_fused",
]
