"""Protocol: one published benchmark, loaded."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from training.protocols.part import Part


@dataclass(frozen=True)
class Protocol:
    """A published benchmark with its records.

    Attributes
    ----------
    variables
        The challenge's parameter names in channel order.
    train, validation, test
        The masks of `train` are the protocol's own default; a method may draw others.
    seed
        Of the split, of the fold or of the masks, as the protocol means it.
    loc, scale
        A scored value is `(raw - loc) / scale`.
    sets
        The challenge's sets the records are from, "A+B".
    num_records
        How many records these sets hold, those in no part included.
    options
        The other choices as text, in the order in which they are printed.
    """

    name: str
    variables: tuple[str, ...]
    train: Part
    validation: Part
    test: Part
    seed: int
    loc: Float[np.ndarray, " channel"]
    scale: Float[np.ndarray, " channel"]
    sets: str
    num_records: int
    options: tuple[tuple[str, str], ...] = ()
    mask_sha256: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask_sha256", self.test.sha256())

    @property
    def num_channels(self) -> int:
        """Number of variables."""
        return len(self.variables)

    @property
    def options_text(self) -> str:
        """Seed and options as one line of text."""
        return ", ".join(f"{name} {value}" for name, value in (("seed", self.seed), *self.options))
