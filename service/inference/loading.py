"""From an artifact directory to a predictor that has answered once."""

import logging
from pathlib import Path

import numpy as np

from model.artifact import load_artifact
from model.data.batch import Query
from model.data.series import Cohort, Series
from model.errors import ArtifactError
from model.runtime.predictor import Predictor, Request
from service.settings import Device

_logger = logging.getLogger("service.loading")


def load_predictor(directory: Path, *, device: Device, num_threads: int) -> Predictor:
    """Load the artifact and put its network on a device.

    Raises
    ------
    ArtifactError
        If the directory is not a whole and unaltered artifact, or the device is not there.
    """
    if not directory.is_dir():
        raise ArtifactError(f"{directory} is not a directory")
    artifact = load_artifact(directory)
    # Imported here: torch takes seconds, and neither --help nor the OpenAPI document needs it.
    import torch  # noqa: PLC0415

    from model.runtime.torch_predictor import TorchPredictor  # noqa: PLC0415

    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise ArtifactError("no CUDA device was found; choose --device cpu or auto")
    chosen = "cuda" if has_gpu and device != "cpu" else "cpu"
    torch.set_num_threads(num_threads)
    predictor = TorchPredictor(artifact, device=chosen)
    _logger.info(
        "loaded %s %s (sha256 %s) on %s",
        artifact.manifest.name,
        artifact.manifest.version,
        artifact.sha256[:12],
        chosen,
    )
    return predictor


def warm_up(predictor: Predictor) -> Predictor:
    """Answer a small question, so that the first client does not wait for what is done once."""
    catalogue = predictor.artifact.catalogue
    channel = next(number for number, one in enumerate(catalogue) if one.is_queryable)
    low, high = catalogue[channel].plausible_range
    series = Series(
        "warm-up",
        np.array([0.0, 1.0]),
        np.array([channel, channel]),
        np.full(2, (low + high) / 2),
        np.full(len(catalogue.statics), np.nan),
    )
    query = Query(np.array([0, 1]), np.array([2.0]), np.array([channel]))
    predictor.predict(Request(Cohort.from_series([series]), query, num_samples=1))
    return predictor
