"""One run that may take minutes: in a process of its own, with a limit on its CPU time."""

import multiprocessing
import resource
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

import torch

from tests.benchmarks.ode.peers import torchdiffeq_as_released
from tests.benchmarks.ode.timing import cpu_seconds
from tests.benchmarks.ode.workload import Workload


@dataclass(frozen=True)
class BoundedRun:
    """CPU seconds until it was done, or, if not finished, until it was stopped."""

    cpu_seconds: float
    finished: bool

    @classmethod
    def of_released_step(cls, num_patients: int, limit: float) -> "BoundedRun":
        """Run one training step of torchdiffeq as released for at most `limit` CPU seconds."""
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_released_step, args=(num_patients, limit, sender))
        child.start()
        sender.close()
        try:
            return cls(receiver.recv(), finished=True)
        except EOFError:
            return cls(limit, finished=False)
        finally:
            child.join()

    def __str__(self) -> str:
        """Return milliseconds."""
        prefix = "" if self.finished else "> "
        return f"{prefix}{1000 * self.cpu_seconds:,.0f} (one run)"


def _released_step(num_patients: int, limit: float, sender: Connection) -> None:
    torch.set_num_threads(1)
    step: Callable[[], object] = torchdiffeq_as_released(Workload.draw(num_patients)).training_step
    usage = resource.getrusage(resource.RUSAGE_SELF)
    end = int(usage.ru_utime + usage.ru_stime + limit) + 1
    # The kernel ends the process there, even inside a backward pass.
    resource.setrlimit(resource.RLIMIT_CPU, (end, end))
    sender.send(cpu_seconds(step))
