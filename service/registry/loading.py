"""From an artifact directory to a predictor that has answered, and answers as it did at training."""

import logging
from pathlib import Path

import numpy as np

from model.artifact import load_artifact
from model.data.query import Query
from model.data.series import Cohort, Series
from model.errors import ArtifactError
from model.files import standing
from model.runtime.backends import Backend, Device, load_predictor
from model.runtime.predictor import Predictor, Request
from model.runtime.self_test import self_test
from service.model_process.process_predictor import ProcessPredictor
from service.registry.registry import active_artifact_dir
from service.settings import Settings

_logger = logging.getLogger("service.loading")


def open_predictor(
    directory: Path,
    *,
    backend: Backend,
    device: Device,
    num_threads: int,
    own_process: bool = False,
) -> Predictor:
    """Load an artifact, or the active one of a registry, warm up and test what computes its answers.

    Parameters
    ----------
    own_process
        Whether the model runs in a process of its own; see `ProcessPredictor`.

    >>> predictor = open_predictor(artifact, backend="auto", device="cpu", num_threads=1)
    >>> predictor.artifact.manifest.name
    'tiny'

    Raises
    ------
    ArtifactError
        If the directory is not a whole and unaltered artifact, or the backend or device is not
        there, or it does not answer its golden series as at training.
    """
    directory = standing(directory)
    if not directory.is_dir():
        raise ArtifactError(f"{directory} is not a directory")
    artifact = load_artifact(active_artifact_dir(directory))
    make = ProcessPredictor if own_process else load_predictor
    predictor = make(artifact, backend=backend, device=device, num_threads=num_threads)
    warm_up(predictor)
    name = f"{artifact.manifest.name} {artifact.manifest.version}"
    if not self_test(predictor):
        _logger.warning(
            "%s carries no golden.json: nobody can tell whether this machine answers as the one that "
            "fitted it; fit again to get one",
            name,
        )
    _logger.info("loaded %s (sha256 %s) for %s", name, artifact.sha256[:12], predictor.computed_by)
    return predictor


def open_as_set(directory: Path, settings: Settings, *, own_process: bool = False) -> Predictor:
    """Open what the settings have: backend, device and threads; raises as `open_predictor` does."""
    return open_predictor(
        directory,
        backend=settings.backend,
        device=settings.device,
        num_threads=settings.num_threads,
        own_process=own_process,
    )


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
    query = Query.grid([np.array([2.0])], [np.array([channel])])
    predictor.predict(Request(Cohort.from_series([series]), query, num_samples=1))
    return predictor
