"""The predictor: a network's mixtures, calibrated, in canonical units. Numpy only."""

from typing import final

import numpy as np
from jaxtyping import Float

from model.artifact import Artifact
from model.calibration import Surroundings
from model.runtime.courses import normal_courses
from model.runtime.decoding import NUM_DRAWS, Decoded, decode, summary_noise
from model.runtime.mixture import LaplaceMixture
from model.runtime.network import Network
from model.runtime.predictor import Prediction, Request
from model.runtime.samples import Draws, joint_samples


@final
class MixturePredictor:
    """Answers with the calibration of an artifact and its network, whatever computes that."""

    def __init__(self, artifact: Artifact, network: Network) -> None:
        self._artifact = artifact
        self._network = network

    @property
    def artifact(self) -> Artifact:
        """The artifact that answers."""
        return self._artifact

    @property
    def computed_by(self) -> str:
        """Library and device that run the network, for people."""
        return self._network.computed_by

    def predict(self, request: Request) -> Prediction:
        """Answer every query of the request; see `Predictor`."""
        latent_dim = self._artifact.config.latent_dim
        generator = np.random.default_rng(request.seed)
        noise = summary_noise(latent_dim, generator)
        extra = generator.standard_normal((request.num_samples, 1, latent_dim))
        decoded = decode(
            self._network,
            self._artifact.normalization,
            request.context,
            request.query,
            np.concatenate([noise, extra]),
        )
        return self._summarize(request, decoded)

    def _summarize(self, request: Request, decoded: Decoded) -> Prediction:
        """Calibrate, and turn everything into canonical units."""
        normalization, calibration = self._artifact.normalization, self._artifact.calibration
        channels, num_channels = request.query.channels, len(normalization.loc)
        surroundings = Surroundings.of(request.context, request.query, num_channels)
        mixture = decoded.mixture(channels, slice(None))
        moments = mixture.moments(normalization)
        factor = calibration.variance_factor(surroundings)
        levels = calibration.levels(np.array(request.quantile_levels), surroundings)
        core = mixture.cdf(calibration.population_core(channels))
        return Prediction(
            mean=moments.mean,
            latent_variance=factor * moments.latent_variance,
            observation_variance=factor * moments.observation_variance,
            quantiles=mixture.quantiles(levels, normalization),
            samples=self._samples(request, decoded, mixture, surroundings),
            support=_support(request, num_channels),
            held_out_subjects=calibration.held_out_subjects(surroundings),
            is_uninformative=calibration.is_uninformative(core, surroundings)
            | calibration.is_unfounded(surroundings),
            out_of_distribution=calibration.unusualness(decoded.divergences),
        )

    def _samples(
        self,
        request: Request,
        decoded: Decoded,
        mixture: LaplaceMixture,
        surroundings: Surroundings,
    ) -> Float[np.ndarray, "sample query"]:
        if request.num_samples == 0:
            return np.empty((0, request.query.num_queries))
        query, channels = request.query, request.query.channels
        origins = request.context.times_hours[request.context.offsets[:-1]]
        courses = normal_courses(
            (query.times_hours - origins[query.series_of_points])[query.points_of_queries],
            channels,
            error_hours=self._artifact.calibration.error_hours,
            num_samples=request.num_samples,
            seed=request.seed,
        )
        own = Draws(*(part[NUM_DRAWS:] for part in (decoded.loc, decoded.scale, decoded.weight)))
        standardized = joint_samples(
            own, courses, mixture, self._artifact.calibration, surroundings
        )
        normalization = self._artifact.normalization
        canonical = normalization.invert(standardized, channels[None])
        return normalization.to_grid(canonical, channels[None])


def _support(request: Request, num_channels: int) -> np.ndarray:
    context, query = request.context, request.query
    flat = context.series_indices * num_channels + context.channels
    counts = np.bincount(flat, minlength=len(context) * num_channels)
    return counts[query.series_of_queries * num_channels + query.channels]
