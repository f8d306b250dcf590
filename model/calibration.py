"""What held-out series say about the answers: how unusual a series may look, how long errors last.

Post-hoc calibration of the intervals comes here too, once it exists.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Calibration:
    """Tables that an artifact carries beside its weights.

    `encoder_divergences` are sorted KL(q(z0) || p(z0)) of held-out series, in nats;
    `error_hours` is, for each channel, the time constant with which the errors of one series
    lose their correlation.
    """

    encoder_divergences: Float[np.ndarray, " quantile"]
    error_hours: Float[np.ndarray, " channel"]

    def unusualness(
        self, divergences: Float[np.ndarray, " series"]
    ) -> Float[np.ndarray, " series"]:
        """Return the share of held-out series with a smaller divergence, between 0 and 1."""
        rank = np.searchsorted(self.encoder_divergences, divergences, side="left")
        return rank / len(self.encoder_divergences)

    def to_json(self) -> dict[str, Any]:
        """Return plain lists for `calibration.json`."""
        return {
            "encoder_divergences": self.encoder_divergences.tolist(),
            "error_hours": self.error_hours.tolist(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Calibration":
        """Read what `to_json` wrote."""
        return cls(
            np.array(content["encoder_divergences"], dtype=float),
            np.array(content["error_hours"], dtype=float),
        )
