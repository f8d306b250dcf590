"""The built kernel as ctypes sees it. The structures mirror `walk.h` and `field.h`."""

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, c_float, c_long, c_void_p
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from torch import Tensor

from model.ode.kernel import compiler

MAX_LAYERS = 16
MAX_STAGES = 8


class FieldArguments(ctypes.Structure):
    """`Field` in field.h."""

    _fields_ = (
        ("num_layers", c_long),
        ("has_time", c_long),
        ("widths", POINTER(c_long)),
        ("weights", POINTER(c_void_p)),
        ("biases", POINTER(c_void_p)),
        ("gain", c_void_p),
        ("decay", c_void_p),
        ("time_scale", c_float),
    )


class SolveArguments(ctypes.Structure):
    """`Solve` in walk.h."""

    _fields_ = (
        ("field", FieldArguments),
        *((name, c_long) for name in ("samples", "steps", "queries", "stages", "threads")),
        *((name, POINTER(c_float)) for name in ("a", "b", "c")),
        *((name, c_void_p) for name in ("y0", "t0", "step", "times", "short_times")),
        *((name, c_void_p) for name in ("knots", "slopes", "tape", "ys", "g_ys", "g_y0")),
        ("g_weights", POINTER(c_void_p)),
        ("g_biases", POINTER(c_void_p)),
        *((name, c_void_p) for name in ("g_gain", "g_decay", "g_times", "g_t0", "g_step")),
    )


def addresses(tensors: Sequence[Tensor]) -> "ctypes.Array[c_void_p]":
    """Return the tensors' data as an array of pointers; keep the tensors alive yourself."""
    return (c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))


@dataclass(frozen=True)
class Kernel:
    """A loaded kernel."""

    path: Path
    width: int
    """Floats in a vector: rows of states are padded to a multiple of it."""
    library: ctypes.CDLL

    def padded(self, length: int) -> int:
        """Return the length of a row in memory."""
        return -(-length // self.width) * self.width

    def solve(self, arguments: SolveArguments) -> None:
        """Solve forward. Releases the interpreter while it runs."""
        if not self.library.fused_solve(ctypes.byref(arguments)):
            raise MemoryError("the fused kernel could not get its working memory")

    def gradient(self, arguments: SolveArguments) -> None:
        """Pull cotangents back."""
        if not self.library.fused_gradient(ctypes.byref(arguments)):
            raise MemoryError("the fused kernel could not get its working memory")


def open_kernel(path: Path) -> Kernel:
    """Load a built kernel.

    Raises
    ------
    OSError
        If it is not a library of this machine.
    """
    library = ctypes.CDLL(str(path))
    for function in (library.fused_solve, library.fused_gradient):
        function.argtypes, function.restype = (POINTER(SolveArguments),), c_long
    library.fused_width.argtypes, library.fused_width.restype = (), c_long
    return Kernel(path, int(library.fused_width()), library)


@cache
def load(folder: Path | None = None) -> Kernel | None:
    """Return the kernel that was built on this machine, or None. Looks once in each process."""
    path = compiler.find(folder or compiler.cache_folder())
    return None if path is None else open_kernel(path)


def build(folder: Path | None = None) -> Kernel:
    """Compile the kernel, with the compiler in CC or `cc`, and load it.

    Raises
    ------
    KernelBuildError
        If there is no compiler or it fails.
    """
    kernel = open_kernel(compiler.build(folder or compiler.cache_folder()))
    load.cache_clear()
    return kernel
