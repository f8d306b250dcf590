"""How a training went: validation errors over CPU time, and records per second."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Point:
    """The validation error after some training."""

    cpu_seconds: float
    """Of training alone, without validation."""
    error: float


@dataclass(frozen=True)
class Course:
    """One contender's training."""

    name: str
    num_records: int
    """Records that went through a training step, counted each time."""
    cpu_seconds: float
    points: tuple[Point, ...]

    @property
    def records_per_second(self) -> float:
        """Training records per CPU second."""
        return self.num_records / self.cpu_seconds

    @property
    def best_error(self) -> float:
        """The smallest validation error on the way."""
        return min(point.error for point in self.points)

    def seconds_to(self, error: float) -> float | None:
        """Return the CPU seconds until the validation error was at most `error`; None if it never was."""
        reached = (point.cpu_seconds for point in self.points if point.error <= error)
        return next(reached, None)


def warm_up() -> None:
    """Take a step with an optimizer, which makes torch load seconds of code: no contender pays for it."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adamax([parameter])
    parameter.sum().backward()
    optimizer.step()
