"""From the latent state at a query to the distribution of one variable."""

from model.decoder.decoder import DecodedQueries, Decoder
from model.decoder.residual import NUM_FEATURES, NUM_REGIMES, Record

__all__ = ["NUM_FEATURES", "NUM_REGIMES", "DecodedQueries", "Decoder", "Record"]
