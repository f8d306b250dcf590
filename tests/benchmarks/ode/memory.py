"""How much a solve keeps for its backward pass."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from model.ode import odeint
from tests.benchmarks.ode.bar import Bar
from tests.benchmarks.ode.workload import Workload
from tests.benchmarks.table import Table

_NUM_STEPS = 1000
_ADJOINTS = ("direct", "checkpoint", "interpolated", "backsolve")
_MIB = 2**20


@dataclass(frozen=True)
class Memory:
    """Bytes kept after the forward pass, by adjoint; the answer itself not counted."""

    num_patients: int
    kept: dict[str, int]

    @classmethod
    def run(cls, num_patients: int = 64) -> "Memory":
        """Solve once with each adjoint."""
        workload = Workload.draw(num_patients)
        kept = {adjoint: _kept(workload, adjoint) for adjoint in _ADJOINTS}
        return cls(num_patients, kept)

    def table(self) -> Table:
        """Return a row for each adjoint."""
        direct = self.kept["direct"]
        return Table(
            f"Memory kept for the backward pass, rk4, {_NUM_STEPS:,} steps, {self.num_patients} patients",
            "Bytes of every tensor made in the forward pass that is still held after it, without the "
            "answer itself.",
            ("adjoint", "MiB", "of direct"),
            [
                (adjoint, f"{kept / _MIB:.3g}", f"1/{direct / kept:.3g}")
                for adjoint, kept in self.kept.items()
            ],
        )

    def bars(self) -> list[Bar]:
        """Return the two sizes that the issue bounds."""
        return [
            Bar(
                f"memory at {_NUM_STEPS:,} steps, direct over checkpoint",
                15,
                self.kept["direct"] / self.kept["checkpoint"],
            ),
            Bar(
                f"memory at {_NUM_STEPS:,} steps, backsolve",
                1,
                self.kept["backsolve"] / _MIB,
                "MiB",
                at_most=True,
            ),
        ]


class _Allocations(TorchDispatchMode):
    """Remembers, without holding it, the memory of every tensor made while this is open."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own
        self._storages: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {_address(one) for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)}
        for one in tree_leaves(result):
            if isinstance(one, Tensor) and _address(one) not in given:
                storage = one.untyped_storage()
                self._storages[_address(one)] = (StorageWeakRef(storage), storage.nbytes())
        return result

    def alive(self) -> int:
        """Return the bytes that somebody still holds."""
        return sum(size for storage, size in self._storages.values() if not storage.expired())


def _address(tensor: Tensor) -> int:
    address: int = tensor.untyped_storage()._cdata
    return address


def _kept(workload: Workload, adjoint: str) -> int:
    y0 = workload.y0.clone().requires_grad_()
    with _Allocations() as allocations:
        states = odeint(
            workload.field,
            y0,
            workload.times,
            method="rk4",
            options={"num_steps": _NUM_STEPS},
            adjoint=adjoint,
        )
    return allocations.alive() - states.untyped_storage().nbytes()
