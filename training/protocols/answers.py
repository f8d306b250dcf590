"""Answers: what a method says about the targets of a part; Method: whatever gives them."""

import typing
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from training.protocols.part import Part

LEVELS = tuple(level / 100 for level in range(5, 100, 5))
"""Levels of the quantiles: .05, .10, ..., .95."""


@dataclass(frozen=True)
class Answers:
    """One answer for each target of a part, in cohort order, in scored units.

    `quantiles` are at `LEVELS`; `log_density` is the log density at the target; `crps` is the
    continuous ranked probability score of the whole distribution, for a method that can do better
    than the nineteen levels. They are absent where a method gives only numbers.
    """

    mean: Float[np.ndarray, " target"]
    median: Float[np.ndarray, " target"]
    quantiles: Float[np.ndarray, "level target"] | None = None
    log_density: Float[np.ndarray, " target"] | None = None
    crps: Float[np.ndarray, " target"] | None = None

    def __post_init__(self) -> None:
        expected = self.mean.shape
        for name in ("median", "log_density", "crps"):
            array = getattr(self, name)
            if array is not None and array.shape != expected:
                raise ValueError(f"answers: {name} needs {expected[0]} numbers, one a target")
        if self.quantiles is not None and self.quantiles.shape != (len(LEVELS), *expected):
            raise ValueError(
                f"answers: quantiles need the shape {(len(LEVELS), *expected)}, "
                f"got {self.quantiles.shape}"
            )

    @classmethod
    def point(cls, values: Float[np.ndarray, " target"]) -> "Answers":
        """Answer with a number only."""
        return cls(values, values)


class Method(typing.Protocol):
    """Anything that answers the targets of a part from its context."""

    def answer(self, part: Part) -> Answers:
        """Answer every target of `part`."""
        ...
