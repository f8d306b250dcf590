"""Part: records of one protocol with what is given and what is asked."""

import hashlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from model.data.series import Cohort, joined_ranges


@dataclass(frozen=True)
class Part:
    """Records with what is given (context) and what is scored (targets).

    Values of `cohort` are in the protocol's scored units, times are hours since the record began.
    `statics` are Age, Gender, Height, ICUType and Weight as the challenge writes them, NaN where
    unknown. An observation may be both context and target, or neither.
    """

    cohort: Cohort
    context_mask: Bool[np.ndarray, " observation"]
    target_mask: Bool[np.ndarray, " observation"]

    def __post_init__(self) -> None:
        expected = self.cohort.values.shape
        for name in ("context_mask", "target_mask"):
            found = getattr(self, name).shape
            if found != expected:
                raise ValueError(f"{name}: expected one entry for each of {expected}, got {found}")

    @property
    def context(self) -> Cohort:
        """What a method may look at; a series may be empty."""
        return self.cohort.keep(self.context_mask)

    @property
    def targets(self) -> Cohort:
        """What is scored, in the order of the answers; a series may be empty."""
        return self.cohort.keep(self.target_mask)

    def select(self, indices: Int[np.ndarray, " chosen"]) -> "Part":
        """Return the chosen series in the given order."""
        rows = joined_ranges(self.cohort.offsets[indices], self.cohort.counts[indices])
        return Part(self.cohort.select(indices), self.context_mask[rows], self.target_mask[rows])

    def sha256(self) -> str:
        """Hash of the record ids, of which observations there are, and of both masks."""
        digest = hashlib.sha256("\n".join(self.cohort.subject_ids).encode())
        for array in (self.cohort.offsets, self.cohort.channels):
            digest.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
        for mask in (self.context_mask, self.target_mask):
            digest.update(np.packbits(mask).tobytes())
        return digest.hexdigest()
