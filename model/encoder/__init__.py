"""From the context of a series to q(z0) and the control of its latent state."""

from model.encoder.encoder import Encoder

__all__ = ["Encoder"]
