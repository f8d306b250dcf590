"""What the tuning subjects say about a trained network: `calibration.json`."""

import numpy as np
import torch
from jaxtyping import Float

from model.calibration import Calibration
from model.data.normalization import Normalization
from model.data.windows import Window
from model.latent_ode import LatentODE
from training.validation import Validation

_NUM_DIVERGENCES = 1000
_LAG_HOURS = (0.25, 4.0)
_DEFAULT_HOURS = 4.0
_MIN_PAIRS = 100
_BOUNDS_HOURS = (0.5, 48.0)


def calibrate(network: LatentODE, validation: Validation, device: torch.device) -> Calibration:
    """Collect encoder divergences and the correlation time of forecast errors."""
    answers = [validation.answer(network, window, device) for window in validation.windows]
    divergences = np.concatenate([answer.divergences for answer in answers])
    levels = np.linspace(0, 1, min(_NUM_DIVERGENCES, len(divergences)))
    return Calibration(
        encoder_divergences=np.quantile(divergences, levels),
        error_hours=_error_hours(answers[0].loc, validation.windows[0], validation.normalization),
    )


def _error_hours(
    loc: Float[np.ndarray, " query"], window: Window, normalization: Normalization
) -> Float[np.ndarray, " channel"]:
    """Fit exp(-lag / tau) to the signs of consecutive errors of one series and variable.

    Signs are robust to heavy tails; for Gaussian errors E[sign sign] = (2 / pi)
    arcsin(correlation).
    """
    target = window.target
    errors = np.sign(normalization.apply(target.values, target.channels) - loc)
    order = np.lexsort((target.times_hours, target.channels, target.series_indices))
    series, channels = target.series_indices[order], target.channels[order]
    lags = np.diff(target.times_hours[order])
    low, high = _LAG_HOURS
    is_pair = (np.diff(series) == 0) & (np.diff(channels) == 0) & (lags >= low) & (lags <= high)
    products = errors[order][1:] * errors[order][:-1]
    result = np.full(len(normalization.loc), _DEFAULT_HOURS)
    for channel in range(len(result)):
        rows = is_pair & (channels[1:] == channel)
        if rows.sum() >= _MIN_PAIRS:
            correlation = np.clip(np.sin(np.pi / 2 * products[rows].mean()), 0.05, 0.99)
            result[channel] = -lags[rows].mean() / np.log(correlation)
    return np.clip(result, *_BOUNDS_HOURS)
