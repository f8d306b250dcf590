"""An artifact that nobody trained: seeded random weights for the whole catalogue."""

import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.artifact import Artifact, load_artifact, write_artifact
from model.calibration import Calibration
from model.config import LatentODEConfig
from model.data.normalization import Normalization
from model.latent_ode import LatentODE
from model.runtime.backends import load_predictor
from model.runtime.self_test import answer_golden
from model.subjects import FittedSubjects
from tests.catalogues import CHALLENGE
from tests.series import random_cohort

_SEED = 20120101


def write_tiny_artifact(directory: Path, **changes: Any) -> None:
    """Write an artifact without a graph into `directory`; `changes` are of its architecture."""
    generator = np.random.default_rng(_SEED)
    uncalibrated = Calibration.uncalibrated(len(CHALLENGE))
    config = LatentODEConfig(
        num_channels=len(CHALLENGE),
        num_statics=len(CHALLENGE.statics),
        latent_dim=6,
        encoder_dim=12,
        dynamics_dim=12,
        decoder_dim=12,
        reads_limits=True,
    )
    config = replace(config, **changes)
    network = random_network(config, generator)
    write_artifact(
        directory,
        config=config,
        weights={name: value.numpy() for name, value in network.state_dict().items()},
        catalogue=CHALLENGE,
        normalization=Normalization.fit(random_cohort(60, generator), CHALLENGE),
        subjects=FittedSubjects.nobody(),
        calibration=replace(
            uncalibrated,
            encoder_divergences=np.geomspace(1.0, 1e6, 1001),
            error_hours=np.full(len(CHALLENGE), 6.0),
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


_EXPORT = """
import sys
from pathlib import Path
from model.artifact import load_artifact
from model.export import export_onnx
from model.runtime.torch_network import load_network

network = load_network(load_artifact(Path(sys.argv[1])))
Path(sys.argv[2]).write_bytes(export_onnx(network))
"""


def export_in_another_process(directory: Path) -> bytes:
    """Return the graph of an artifact; what checks shapes in the tests is not there to be traced."""
    file = directory.with_name(f"{directory.name}.onnx")
    subprocess.run([sys.executable, "-c", _EXPORT, str(directory), str(file)], check=True)
    return file.read_bytes()


def add_graph(directory: Path, graph: bytes) -> None:
    """Write the artifact again, with a graph."""
    write_again(replace(load_artifact(directory), onnx=graph), directory)


def write_version(source: Path, directory: Path, version: str, *, has_golden: bool = True) -> None:
    """Write an artifact as another version, whose answers are unlike those of every other version."""
    artifact = load_artifact(source)
    generator = np.random.default_rng([_SEED, *version.encode()])
    altered = replace(
        artifact,
        manifest=replace(artifact.manifest, version=version),
        weights={name: _shaken(value, generator) for name, value in artifact.weights.items()},
        onnx=None,
    )
    golden = answer_golden(load_predictor(altered, device="cpu"), generator)
    write_again(replace(altered, golden=golden if has_golden else None), directory)


def write_again(artifact: Artifact, directory: Path) -> None:
    """Write what was read, or a changed copy of it."""
    provenance = asdict(artifact.manifest)
    del provenance["files"], provenance["schema_version"]
    write_artifact(
        directory,
        config=artifact.config,
        weights=artifact.weights,
        catalogue=artifact.catalogue,
        subjects=artifact.subjects,
        normalization=artifact.normalization,
        calibration=artifact.calibration,
        metrics=artifact.metrics,
        card=artifact.card,
        provenance=provenance,
        onnx=artifact.onnx,
        golden=artifact.golden,
    )


def _shaken(value: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    noise = generator.standard_normal(value.shape)
    return (value + 0.1 * noise).astype(value.dtype)


def random_network(config: LatentODEConfig, generator: np.random.Generator) -> LatentODE:
    """Return a network without a zero weight, so that every input matters."""
    with torch.random.fork_rng():
        torch.manual_seed(_SEED)  # noqa: TID251  torch's layers take no generator
        network = LatentODE(config)
    with torch.no_grad():
        for value in network.state_dict().values():
            noise = generator.standard_normal(value.shape).astype(np.float32)
            value.add_(torch.from_numpy(0.1 * noise))
    return network.eval()
