"""What the tuning subjects say about a trained network: `calibration.json`."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int

from model.calibration import Calibration, HeldOutTargets, Surroundings
from model.data.normalization import Normalization
from model.data.query import Query
from model.data.windows import Window
from model.latent_ode import LatentODE
from model.runtime.decoding import Decoded, decode, summary_noise
from model.runtime.torch_network import TorchNetwork
from training.validation import NetworkAnswers, Validation

_NUM_DIVERGENCES = 1000
_LAG_HOURS = (0.25, 4.0)
_DEFAULT_HOURS = 4.0
_MIN_PAIRS = 100
_BOUNDS_HOURS = (0.5, 48.0)
# Fixed like the windows of `Validation`: the same network has the same calibration.
_SEED = 20_12
# Targets whose mixtures are looked at together: tens of megabytes.
_PIECE = 2**14


def calibrate(network: LatentODE, validation: Validation, device: torch.device) -> Calibration:
    """Fit every table of the artifact's calibration on both tasks of the tuning subjects.

    What is calibrated is what is served: the mixture over posterior draws.
    """
    generator = np.random.default_rng(_SEED)
    noise = summary_noise(network.config.latent_dim, generator)
    windows, normalization = validation.windows, validation.normalization
    ids = sorted({one for window in windows for one in window.target.subject_ids})
    numbers = {subject_id: number for number, subject_id in enumerate(ids)}
    served = TorchNetwork(network.to(device))
    decoded = [
        decode(served, normalization, window.context, Query.at(window.target), noise)
        for window in windows
    ]
    targets = [
        judge_targets(answers, window, normalization, numbers, generator)
        for answers, window in zip(decoded, windows, strict=True)
    ]
    divergences = np.concatenate([answers.divergences for answers in decoded])
    levels = np.linspace(0, 1, min(_NUM_DIVERGENCES, len(divergences)))
    return Calibration.fit(
        HeldOutTargets.join(targets),
        encoder_divergences=np.quantile(divergences, levels),
        error_hours=_error_hours(
            _transforms(decoded[0], windows[0], normalization, 0.5), windows[0], normalization
        ),
    )


def judge_targets(
    answers: Decoded | NetworkAnswers,
    window: Window,
    normalization: Normalization,
    numbers: Mapping[str, int],
    generator: np.random.Generator,
) -> HeldOutTargets:
    """Compare the answers with the targets of a window. `numbers` numbers the subjects."""
    target = window.target
    subjects = np.array([numbers[subject_id] for subject_id in target.subject_ids])
    mean, variance = np.empty(len(target.values)), np.empty(len(target.values))
    for piece in _pieces(len(target.values)):
        moments = answers.mixture(target.channels, piece).moments(normalization)
        mean[piece] = moments.mean
        variance[piece] = moments.latent_variance + moments.observation_variance
    uniform = generator.random(len(target.values))
    num_channels = len(normalization.loc)
    return HeldOutTargets(
        surroundings=Surroundings.of(window.context, Query.at(target), num_channels),
        subjects=subjects[target.series_indices],
        values=normalization.apply(target.values, target.channels),
        transforms=_transforms(answers, window, normalization, uniform),
        squared_errors=(mean - target.values) ** 2,
        variances=variance,
    )


def _transforms(
    answers: Decoded | NetworkAnswers,
    window: Window,
    normalization: Normalization,
    uniform: Float[np.ndarray, " target"] | float,
) -> Float[np.ndarray, " target"]:
    """Return the randomized probability integral transform of every target."""
    target = window.target
    low, high = normalization.interval(target.values, target.channels)
    uniform = np.broadcast_to(np.asarray(uniform, dtype=float), low.shape)
    result = np.empty(len(low))
    for piece in _pieces(len(low)):
        mixture = answers.mixture(target.channels, piece)
        result[piece] = mixture.probability_integral_transform(
            low[piece], high[piece], uniform[piece]
        )
    return result


def _pieces(num_targets: int) -> list[Int[np.ndarray, " chosen"]]:
    return np.array_split(np.arange(num_targets), 1 + num_targets // _PIECE)


def _error_hours(
    transforms: Float[np.ndarray, " target"], window: Window, normalization: Normalization
) -> Float[np.ndarray, " channel"]:
    """Fit exp(-lag / tau) to the sides on which consecutive values of one series and variable lie.

    `transforms` are those in the middle of each value's step: chance would hide that a score that is
    charted unchanged errs the same way. Signs are robust to heavy tails; for Gaussian errors
    E[sign sign] = (2 / pi) arcsin(correlation).
    """
    target = window.target
    sides = np.sign(transforms - 0.5)
    order = np.lexsort((target.times_hours, target.channels, target.series_indices))
    series, channels = target.series_indices[order], target.channels[order]
    lags = np.diff(target.times_hours[order])
    low, high = _LAG_HOURS
    is_pair = (np.diff(series) == 0) & (np.diff(channels) == 0) & (lags >= low) & (lags <= high)
    products = sides[order][1:] * sides[order][:-1]
    result = np.full(len(normalization.loc), _DEFAULT_HOURS)
    for channel in range(len(result)):
        rows = is_pair & (channels[1:] == channel)
        if rows.sum() >= _MIN_PAIRS:
            correlation = np.clip(np.sin(np.pi / 2 * products[rows].mean()), 0.05, 0.99)
            result[channel] = -lags[rows].mean() / np.log(correlation)
    return np.clip(result, *_BOUNDS_HOURS)
