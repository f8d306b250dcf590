"""What is solved: dy/dt = vector_field(t, y) with y(t0) = y0, for a batch of independent samples.

Each sample has its own start, its own query times, its own direction of time and, if it needs them,
jumps: amounts that are added to the state at given times. Nothing here integrates.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor


@runtime_checkable
class VectorField(Protocol):
    """The right-hand side of the equation.

    `t` is each sample's own time; the result has the shape of `y`. A sample's derivative may depend
    on that sample only, and must not depend on its row: a solver leaves out samples that are done.
    A field that holds something for each sample is a `PerSampleVectorField`.
    """

    def __call__(
        self, t: Float[Tensor, " sample"], y: Float[Tensor, "sample state"]
    ) -> Float[Tensor, "sample state"]:
        """Return dy/dt."""
        ...


@runtime_checkable
class PerSampleVectorField(VectorField, Protocol):
    """A vector field with something of its own for each sample, such as a patient's rate."""

    def for_samples(self, samples: Int64[Tensor, " sample"]) -> VectorField:
        """Return the vector field of these samples of the batch, in this order."""
        ...


def restrict(vector_field: VectorField, samples: Int64[Tensor, " sample"]) -> VectorField:
    """Return the vector field for some samples of the batch only."""
    if isinstance(vector_field, PerSampleVectorField):
        return vector_field.for_samples(samples)
    return vector_field if isinstance(vector_field, _OnAPart) else _OnAPart(vector_field)


@dataclass(frozen=True)
class _OnAPart:
    """A field of all samples, called for those that are left: it need not know which ones these are."""

    whole: VectorField

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        try:
            return self.whole(t, y)
        except RuntimeError as error:
            msg = (
                f"the vector field fails for {len(y)} samples of the batch alone; one that holds "
                "values for each sample needs `for_samples`, see PerSampleVectorField"
            )
            raise ValueError(msg) from error


@dataclass(frozen=True)
class Jumps:
    """Amounts added to the state at given times: dy/dt = f + sum of amount * delta(t - time).

    The solution is continuous from the right: at a jump's time it has the value after the jump. A
    solve forward in time adds the jumps in [t0, end]; a solve backward in time takes away those in
    (end, t0], so that it undoes the forward one. In any order; pad with times of +inf.
    """

    times: Float[Tensor, "sample jump"]
    amounts: Float[Tensor, "sample jump state"]


@dataclass(frozen=True)
class InitialValueProblem:
    """A vector field, where each sample starts, and when its solution is wanted.

    Parameters
    ----------
    query_times
        In any order, with repetitions, equal to t0 or not; but all of a sample's on one side of its
        t0. Rows of different lengths are padded by repeating any time of the row.

    Raises
    ------
    ValueError
        If the shapes do not agree. Values are checked by `check_values`.
    """

    vector_field: VectorField
    y0: Float[Tensor, "sample state"]
    t0: Float[Tensor, " sample"]
    query_times: Float[Tensor, "sample query"]
    jumps: Jumps | None = None

    def __post_init__(self) -> None:
        num_samples, width = self.y0.shape
        expected: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
            "t0": (self.t0.shape, (num_samples,)),
            "query_times": (self.query_times.shape[:1], (num_samples,)),
        }
        if self.jumps is not None:
            num_jumps = self.jumps.times.shape[-1]
            expected["jumps.times"] = (self.jumps.times.shape, (num_samples, num_jumps))
            shape = (num_samples, num_jumps, width)
            expected["jumps.amounts"] = (self.jumps.amounts.shape, shape)
        for name, (found, wanted) in expected.items():
            if tuple(found) != wanted:
                msg = f"`{name}` must begin with shape {wanted} to match `y0`, found {tuple(found)}"
                raise ValueError(msg)

    @property
    def num_samples(self) -> int:
        """How many independent equations the batch holds."""
        return self.y0.shape[0]

    @cached_property
    def direction(self) -> Float[Tensor, " sample"]:
        """+1 for a sample that runs forward in time (or asks for t0 only), -1 for backward."""
        if not self.query_times.shape[1]:
            return torch.ones_like(self.t0)
        offsets = self.query_times.detach() - self.t0.detach().unsqueeze(1)
        return torch.where((offsets < 0).any(1), -1.0, 1.0).to(self.t0)

    @cached_property
    def end_times(self) -> Float[Tensor, " sample"]:
        """The query time farthest from t0: where the integration ends. Without gradient."""
        t0, direction = self.t0.detach(), self.direction
        if not self.query_times.shape[1]:
            return t0
        return direction * (direction.unsqueeze(1) * self.query_times.detach()).amax(1)

    def check_values(self) -> None:
        """Refuse times that have no meaning. Waits for the device.

        Raises
        ------
        ValueError
            If a time is NaN or infinite, or a sample has query times on both sides of its t0.
        """
        offsets = self.query_times.detach() - self.t0.detach().unsqueeze(1)
        if bool((~offsets.isfinite()).any()):
            row = int((~offsets.isfinite()).any(1).nonzero()[0])
            raise ValueError(
                f"`t0` and `query_times` must be finite; those of sample {row} are not"
            )
        mixed = (offsets < 0).any(1) & (offsets > 0).any(1)
        if bool(mixed.any()):
            msg = (
                "all `query_times` of a sample must lie on one side of its `t0`; those of sample "
                f"{int(mixed.nonzero()[0])} lie on both: solve forward and backward apart"
            )
            raise ValueError(msg)
        if self.jumps is not None and bool(self.jumps.times.isnan().any()):
            raise ValueError("`jumps.times` must not be NaN; pad with +inf")

    def jumps_of(self, samples: Int64[Tensor, " row"]) -> Jumps | None:
        """Return the jumps of some samples of the batch, as given."""
        if self.jumps is None:
            return None
        return Jumps(self.jumps.times[samples], self.jumps.amounts[samples])

    def jumps_in_order(self, *, beyond_end: bool = False) -> Jumps | None:
        """Return the jumps as the integration meets them: sorted along it, amounts signed.

        Jumps outside [t0, end] (forward) or (end, t0] (backward) have the time direction * inf and
        the amount zero. Adding the amounts on reaching their times is all that is left to do;
        only the value at the very time of a jump differs: after it forward, before it backward.
        With `beyond_end` those after the end are kept, for a solver whose last step passes the end.
        """
        if self.jumps is None or not self.jumps.times.shape[1]:
            return None
        sign = self.direction.unsqueeze(1).to(self.jumps.times)
        clock = sign * self.jumps.times
        start, end = sign * self.t0.unsqueeze(1), sign * self.end_times.unsqueeze(1)
        used = (clock >= start) & clock.isfinite()
        if not beyond_end:
            used &= torch.where(sign > 0, clock <= end, clock < end)
        clock, order = torch.where(used, clock, torch.inf).sort(dim=1, stable=True)
        amounts = torch.where(used.unsqueeze(-1), self.jumps.amounts, 0)
        amounts = sign.unsqueeze(-1).to(amounts) * amounts
        index = order.unsqueeze(-1).expand_as(amounts)
        return Jumps(sign * clock, amounts.gather(1, index))
