"""What the tuning subjects say about a trained network: `calibration.json`."""

import numpy as np
import torch
from jaxtyping import Float

from model.calibration import Calibration
from model.latent_ode import LatentODE
from training.validation import Validation

_NUM_DIVERGENCES = 1000
_LAG_HOURS = (0.25, 4.0)
_DEFAULT_HOURS = 4.0
_MIN_PAIRS = 100
_BOUNDS_HOURS = (0.5, 48.0)


def calibrate(network: LatentODE, validation: Validation, device: torch.device) -> Calibration:
    """Collect encoder divergences and the correlation time of forecast errors."""
    forecast = validation.answer(network, validation.forecast, device)
    imputation = validation.answer(network, validation.imputation, device)
    divergences = np.concatenate([forecast.divergences, imputation.divergences])
    levels = np.linspace(0, 1, min(_NUM_DIVERGENCES, len(divergences)))
    return Calibration(
        encoder_divergences=np.quantile(divergences, levels),
        error_hours=_error_hours(forecast.loc, forecast.scale, validation),
    )


def _error_hours(
    loc: Float[np.ndarray, " query"], scale: Float[np.ndarray, " query"], validation: Validation
) -> Float[np.ndarray, " channel"]:
    """Fit exp(-lag / tau) to the signs of consecutive forecast errors of one series and variable.

    Signs are robust to heavy tails; for Gaussian errors E[sign sign] = (2 / pi)
    arcsin(correlation).
    """
    target, normalization = validation.forecast.target, validation.normalization
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
