"""All measurements in order, printed as they come."""

from collections.abc import Sequence

import torch

from tests.benchmarks.environment import Environment
from tests.benchmarks.ode.bar import Bar
from tests.benchmarks.ode.decoding import Decoding
from tests.benchmarks.ode.memory import Memory
from tests.benchmarks.ode.stiff import Stiff
from tests.benchmarks.ode.tight import Tight
from tests.benchmarks.table import Table

_BATCHES = (64, 512)
_PACKAGES = ("torch", "torchdiffeq", "torchode", "diffrax", "jax", "scipy", "numpy")


def compare(num_runs: int, released_limit: float | None, arguments: Sequence[str]) -> str:
    """Return the result file's text. `released_limit` as in `Decoding.run`."""
    vectors = torch.backends.cpu.get_cpu_capability()
    placement = f"{vectors}, {torch.get_num_threads()} PyTorch thread, pinned to one core"
    environment = Environment.look(
        "tests.benchmarks.ode", arguments, placement=placement, packages=_PACKAGES
    )
    tables: list[Table] = []
    bars: list[Bar] = []
    for num_patients in _BATCHES:
        decoding = Decoding.run(num_patients, num_runs, released_limit)
        bars += decoding.bars()
        tables.append(_shown(decoding.table()))
    stiff = Stiff.run(num_runs)
    tables += [_shown(stiff.table()), _shown(Tight.run(num_runs).table())]
    memory = Memory.run()
    tables.append(_shown(memory.table()))
    bars += [*stiff.bars(), *memory.bars()]
    verdicts = _shown(_verdicts(bars, num_runs))
    return "\n".join(
        ["# The solver beside its peers\n", *map(str, [verdicts, *tables, environment])]
    )


def _verdicts(bars: Sequence[Bar], num_runs: int) -> Table:
    missed = sum(bar.verdict == "**missed**" for bar in bars)
    met = sum(bar.verdict == "met" for bar in bars)
    return Table(
        "Bars",
        f"{met} met, {missed} missed, {len(bars) - met - missed} without a figure. CPU time of one "
        f"thread in one process, median of {num_runs} runs, the contenders taking turns; errors are "
        "no larger than the peer's.",
        ("", "asked", "found", ""),
        [bar.cells() for bar in bars],
    )


def _shown(table: Table) -> Table:
    print(table, flush=True)
    return table
