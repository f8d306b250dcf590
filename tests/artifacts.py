"""An artifact that nobody trained: seeded random weights for the whole catalogue."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from model.artifact import write_artifact
from model.calibration import Calibration
from model.config import LatentODEConfig
from model.data.catalogue import CATALOGUE
from model.data.normalization import Normalization
from model.latent_ode import LatentODE
from tests.series import random_cohort

_SEED = 20120101


def write_tiny_artifact(directory: Path) -> None:
    """Write a complete artifact into `directory`."""
    generator = np.random.default_rng(_SEED)
    uncalibrated = Calibration.uncalibrated(len(CATALOGUE))
    config = LatentODEConfig(
        num_channels=len(CATALOGUE),
        num_statics=len(CATALOGUE.statics),
        latent_dim=6,
        encoder_dim=12,
        dynamics_dim=12,
        decoder_dim=12,
    )
    write_artifact(
        directory,
        config=config,
        weights=_random_weights(config, generator),
        catalogue=CATALOGUE,
        normalization=Normalization.fit(random_cohort(60, generator), CATALOGUE),
        calibration=replace(
            uncalibrated,
            encoder_divergences=np.geomspace(1.0, 1e6, 1001),
            error_hours=np.full(len(CATALOGUE), 6.0),
            num_subjects=np.full_like(uncalibrated.num_subjects, 1000),
        ),
        metrics={"note": "nobody trained this model"},
        card="# Tiny\n\nRandom weights, for tests only.\n",
        provenance={
            "name": "tiny",
            "version": "1",
            "created": "2026-01-01T00:00:00+00:00",
            "seed": _SEED,
            "preset": "none",
            "data_sha256": "0" * 64,
            "split_sha256": "0" * 64,
            "versions": {},
        },
    )


def _random_weights(
    config: LatentODEConfig, generator: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return weights without zeros, so that every input matters."""
    with torch.random.fork_rng():
        torch.manual_seed(_SEED)  # noqa: TID251  torch's layers take no generator
        network = LatentODE(config)
    return {
        name: value.numpy() + 0.1 * generator.standard_normal(value.shape).astype(np.float32)
        for name, value in network.state_dict().items()
    }
