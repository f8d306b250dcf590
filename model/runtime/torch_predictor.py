"""The predictor that runs the network in PyTorch, on a CPU or a CUDA device."""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import kl_divergence

from model.artifact import Artifact
from model.data.batch import Query, build_batch
from model.data.rolling import RollingWindows, roll
from model.data.series import Cohort
from model.latent_ode import LatentODE
from model.runtime.courses import normal_cdf, normal_courses
from model.runtime.mixture import LaplaceMixture, laplace_quantile
from model.runtime.predictor import Prediction, Request

# Pairs of opposite draws: the mean of the latent noise is exactly zero.
_NUM_DRAWS = 8
_MAX_POINTS = 8192


@dataclass(frozen=True)
class _Decoded:
    loc: Float[np.ndarray, "draw query"]
    scale: Float[np.ndarray, "draw query"]
    divergences: Float[np.ndarray, " series"]


@final
class TorchPredictor:
    """Loads the weights of an artifact and answers with them."""

    def __init__(self, artifact: Artifact, *, device: str = "cpu") -> None:
        self._artifact = artifact
        self._device = torch.device(device)
        self._network = LatentODE(artifact.config)
        self._network.load_state_dict(
            {name: torch.from_numpy(np.array(value)) for name, value in artifact.weights.items()}
        )
        self._network.to(self._device).eval().requires_grad_(False)

    @property
    def artifact(self) -> Artifact:
        """The artifact that answers."""
        return self._artifact

    def predict(self, request: Request) -> Prediction:
        """Answer every query of the request; see `Predictor`."""
        rolled = roll(request.context, request.query)
        latent_dim = self._artifact.config.latent_dim
        generator = np.random.default_rng(request.seed)
        half = generator.standard_normal((_NUM_DRAWS // 2, 1, latent_dim))
        extra = generator.standard_normal((request.num_samples, 1, latent_dim))
        decoded = self._decode(rolled, np.concatenate([half, -half, extra]))
        channels = request.query.channels
        mixture = LaplaceMixture(decoded.loc[:_NUM_DRAWS], decoded.scale[:_NUM_DRAWS], channels)
        normalization = self._artifact.normalization
        mean, latent_variance, observation_variance = mixture.moments(normalization)
        return Prediction(
            mean=mean,
            latent_variance=latent_variance,
            observation_variance=observation_variance,
            quantiles=mixture.quantiles(np.array(request.quantile_levels), normalization),
            samples=self._samples(request, decoded),
            outside_hours=_outside_hours(request),
            support=_support(request, len(normalization.loc)),
            out_of_distribution=self._artifact.calibration.unusualness(
                rolled.maximum(decoded.divergences)
            ),
        )

    def _decode(self, rolled: RollingWindows, noise: np.ndarray) -> _Decoded:
        """Run the network over windows in pieces of bounded size."""
        num_queries = len(rolled.query.times_hours)
        loc = np.empty((len(noise), num_queries))
        scale = np.empty((len(noise), num_queries))
        divergences = np.empty(len(rolled.context))
        for windows in rolled.pieces(_MAX_POINTS):
            part = rolled.select(windows)
            batch = build_batch(part.context, part.query, self._artifact.normalization)
            tensors = batch.map(lambda array: torch.from_numpy(array).to(self._device))
            output = self._network(tensors, torch.from_numpy(noise).float().to(self._device))
            loc[:, part.positions] = _to_numpy(output.decoded.loc)
            scale[:, part.positions] = _to_numpy(output.decoded.scale)
            divergence = kl_divergence(output.posterior, output.prior).sum(-1)
            divergences[windows] = _to_numpy(divergence)
        return _Decoded(loc, scale, divergences)

    def _samples(self, request: Request, decoded: _Decoded) -> Float[np.ndarray, "sample query"]:
        series = np.repeat(np.arange(len(request.context)), np.diff(request.query.offsets))
        origins = request.context.times_hours[request.context.offsets[:-1]]
        courses = normal_courses(
            request.query.times_hours - origins[series],
            request.query.channels,
            error_hours=self._artifact.calibration.error_hours,
            num_samples=request.num_samples,
            seed=request.seed,
        )
        noise = laplace_quantile(normal_cdf(courses))
        standardized = decoded.loc[_NUM_DRAWS:] + decoded.scale[_NUM_DRAWS:] * noise
        return self._artifact.normalization.invert(standardized, request.query.channels[None])


def _to_numpy(tensor: Tensor) -> np.ndarray:
    return tensor.double().cpu().numpy()


def _outside_hours(request: Request) -> Float[np.ndarray, " query"]:
    context, query = request.context, request.query
    series = np.repeat(np.arange(len(context)), np.diff(query.offsets))
    first = context.times_hours[context.offsets[:-1]][series]
    last = context.times_hours[context.offsets[1:] - 1][series]
    return np.maximum(0.0, np.maximum(first - query.times_hours, query.times_hours - last))


def _support(request: Request, num_channels: int) -> np.ndarray:
    context: Cohort = request.context
    query: Query = request.query
    series = np.repeat(np.arange(len(context)), np.diff(query.offsets))
    flat = context.series_indices * num_channels + context.channels
    counts = np.bincount(flat, minlength=len(context) * num_channels)
    return counts[series * num_channels + query.channels]
