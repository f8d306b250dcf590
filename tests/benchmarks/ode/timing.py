"""CPU time, measured in turns, so that a busy minute of the machine falls on all alike."""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

Task = Callable[[], object]


@dataclass(frozen=True)
class Timing:
    """CPU seconds of every run."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The figure that ratios are made of."""
        return median(self.seconds)

    def __str__(self) -> str:
        """Return median, smallest and largest in milliseconds."""
        figures = (1000 * one for one in (self.median, min(self.seconds), max(self.seconds)))
        middle, low, high = (_three_digits(one) for one in figures)
        return f"{middle} ({low}–{high})"


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def cpu_seconds(task: Task) -> float:
    """Return what one run costs."""
    start = time.process_time()
    task()
    return time.process_time() - start


def take_turns(tasks: Mapping[str, Task], num_runs: int, warm_up: int = 2) -> dict[str, Timing]:
    """Return every task's timing; each round runs every task once, in the same order."""
    for task in tasks.values():
        for _ in range(warm_up):
            task()
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for _ in range(num_runs):
            for name, task in tasks.items():
                seconds[name].append(cpu_seconds(task))
            gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()
    return {name: Timing(tuple(values)) for name, values in seconds.items()}
