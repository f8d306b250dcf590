"""What the encoder hands on: q(z0) of each series, and a vector for each of its knots."""

from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor
from torch.distributions import Normal


@dataclass(frozen=True)
class Encoding:
    """The posterior of z0 and the encoded knots, padded to the longest series of the batch."""

    posterior: Normal
    knots: Float[Tensor, "series knot token"]
    knot_counts: Int64[Tensor, " series"]
