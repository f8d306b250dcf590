"""`fit`: from a MEDS dataset to an artifact."""

import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.artifact import check_replaceable, load_artifact, write_artifact
from model.calibration import Calibration
from model.data.normalization import Normalization
from model.data.rolling import WINDOW_HOURS
from model.data.series import Cohort
from model.data.variables import Catalogue
from model.data.windows import cut_spans
from model.export import Parity
from model.files import remove_directory
from model.golden import Golden
from model.latent_ode import LatentODE
from model.runtime.mixture_predictor import MixturePredictor
from model.runtime.self_test import answer_golden
from model.runtime.torch_network import TorchNetwork
from model.subjects import FittedSubjects
from training.baselines import LeastSquares
from training.calibrate import calibrate
from training.card import model_card
from training.checkpoint import EpochRecord
from training.cohort_mapping import map_cohort
from training.config import TrainingConfig
from training.datasets.meds import Dataset, read_cohort
from training.datasets.metadata import read_absent_subjects
from training.evaluation import Evaluation, judge
from training.graph import Graph, export
from training.home import held_out_scores
from training.loader import Loader
from training.loop import Progress, Trainer, history_json
from training.ranks import join
from training.solver_certificate import SolverCertificate, certify
from training.splits import DEFAULT_SPLIT, Split, SplitChoice
from training.tasks import Task, make_window
from training.trained_variables import (
    VariableCount,
    count_values,
    trained_catalogue,
    untrained_text,
)
from training.validation import Validation

_MIN_OBSERVATIONS = 2
_MIN_SERIES = 20


class FitError(ValueError):
    """Raised for data that no model can be fitted on."""


@dataclass(frozen=True)
class Prepared:
    """A dataset split by subject, and its training and tuning parts cut into windows.

    `catalogue` holds the variables with enough training values, as channels of all cohorts here, and
    apart the others of the data set. `counts` are of all of them.
    """

    dataset: Dataset
    split: Split
    catalogue: Catalogue
    counts: Sequence[VariableCount]
    train: Cohort
    tuning: Cohort
    held_out: Cohort
    normalization: Normalization

    @property
    def subjects(self) -> FittedSubjects:
        """The subjects of every part, hashed anew each time."""
        ids, split = self.dataset.cohort.subject_ids, self.split
        parts = (split.train, split.tuning, split.held_out)
        return FittedSubjects.of(*([ids[place] for place in part] for part in parts))

    @property
    def identity(self) -> str:
        """What must not change between the parts of a run: the data, and who trains."""
        return f"{self.dataset.sha256}:{self.split.sha256}"


@dataclass(frozen=True)
class Fitted:
    """How training went, what the grid of the ODE solver costs, and what was not trained.

    `untrained` is empty where every variable of the data set had values enough.
    """

    history: Sequence[EpochRecord]
    certificate: SolverCertificate
    parity: Parity | None
    untrained: str


def prepare(data_dir: Path, choice: SplitChoice = DEFAULT_SPLIT) -> Prepared:
    """Read a MEDS dataset with its own catalogue and make what training needs.

    Raises
    ------
    FitError
        If fewer than a handful of series remain to train or tune on, or no variable.
    SplitError
        If the file of a choice does not fit the subjects.
    """
    dataset = read_cohort(data_dir)
    split = choice.divide(
        dataset.cohort.subject_ids,
        absent=() if choice.file is None else read_absent_subjects(data_dir),
    )
    counts = count_values(dataset.cohort.select(split.train), dataset.catalogue)
    catalogue = trained_catalogue(counts, dataset.catalogue)
    if not any(variable.is_queryable for variable in catalogue):
        raise FitError(f"{data_dir} leaves no variable to train on: {untrained_text(counts)}")
    mapped = map_cohort(dataset.cohort, dataset.catalogue, catalogue).cohort
    train, tuning = (
        _usable(cut_spans(mapped.select(part).without_empty(), span_hours=WINDOW_HOURS))
        for part in (split.train, split.tuning)
    )
    if len(train) < _MIN_SERIES or len(tuning) < 1:
        raise FitError(
            f"{data_dir} leaves {len(train)} series to train and {len(tuning)} to tune on; "
            f"at least {_MIN_SERIES} and 1 with {_MIN_OBSERVATIONS} observations each are needed"
        )
    return Prepared(
        dataset,
        split,
        catalogue,
        counts,
        train,
        tuning,
        mapped.select(split.held_out).without_empty(),
        Normalization.fit(train, catalogue),
    )


def fit(
    data_dir: Path,
    artifact_dir: Path,
    config: TrainingConfig,
    *,
    name: str,
    artifact_version: str,
    device: torch.device,
    resume: bool,
    progress: Progress,
    exports: bool = True,
    split: SplitChoice = DEFAULT_SPLIT,
) -> Fitted | None:
    """Train, certify the solver, calibrate, judge and write the artifact.

    With `exports` the artifact holds the network as an ONNX graph too, for a service without torch.
    Under `torchrun` every process trains, the first one writes; the others return None.

    Raises
    ------
    ArtifactError
        If something that is no artifact stands at `artifact_dir`; before anything is trained.
    FitError, SplitError
        As for `prepare`.

    Examples
    --------
    `data` is the directory of a data set, `folder` any other:

    >>> from rich.console import Console
    >>> from training.config import configure
    >>> from training.console import FitConsole
    >>> config = configure("quick", ["epochs=1"], seed=0)
    >>> options = {"name": "icu", "artifact_version": "1", "resume": False, "exports": False}
    >>> with FitConsole(Console(quiet=True), num_epochs=1) as progress:
    ...     fitted = fit(
    ...         data,
    ...         folder / "icu",
    ...         config,
    ...         device=torch.device("cpu"),
    ...         progress=progress,
    ...         **options,
    ...     )
    >>> len(fitted.history)
    1
    """
    check_replaceable(artifact_dir)
    prepared = prepare(data_dir, split)
    rank = join(device)
    catalogue, normalization = prepared.catalogue, prepared.normalization
    loader = Loader(prepared.train, catalogue, normalization, config, rank)
    validation = Validation.of(prepared.tuning, catalogue, normalization, config.horizon_hours)
    if not validation.windows:
        raise FitError(f"{data_dir} leaves nothing to score on its tuning subjects")
    trainer = Trainer(loader, validation, data_sha256=prepared.identity, device=device)
    checkpoint_dir = artifact_dir.with_name(artifact_dir.name + ".training")
    best = trainer.run(checkpoint_dir, resume=resume, progress=progress)
    trainer.average.load_state_dict(best)
    if not rank.is_first:
        return None
    network, certificate = certify(trainer.average, validation, device)
    graph = export(network, validation) if exports else None
    served = _Served(network, certificate, graph, calibrate(network, validation, device))
    _write(artifact_dir, prepared, trainer, served, name, artifact_version)
    remove_directory(checkpoint_dir)
    parity = None if graph is None else graph.parity
    return Fitted(trainer.history, certificate, parity, untrained_text(prepared.counts))


@dataclass(frozen=True)
class _Served:
    """What an artifact serves."""

    network: LatentODE
    certificate: SolverCertificate
    graph: Graph | None
    calibration: Calibration


def _write(
    artifact_dir: Path,
    prepared: Prepared,
    trainer: Trainer,
    served: _Served,
    name: str,
    artifact_version: str,
) -> None:
    """Judge on held-out subjects, and write the artifact."""
    rules, subjects = _least_squares(prepared), prepared.subjects

    def write(
        directory: Path, evaluations: Sequence[Evaluation], golden: Golden | None = None
    ) -> None:
        write_artifact(
            directory,
            config=served.network.config,
            weights={key: value.cpu().numpy() for key, value in trainer.best.items()},
            catalogue=prepared.catalogue,
            subjects=subjects,
            normalization=prepared.normalization,
            calibration=served.calibration,
            metrics={
                "training": history_json(trainer.history),
                "config": trainer.config.to_json(),
                "solver": served.certificate.to_json(),
                "onnx": None if served.graph is None else served.graph.parity.to_json(),
                "least_squares": {task.value: rule.to_json() for task, rule in rules.items()},
                "held_out": held_out_scores(evaluations, prepared.catalogue),
            },
            card=_card(prepared, trainer, served.certificate, evaluations, name, artifact_version),
            provenance=_provenance(prepared, trainer.config, name, artifact_version),
            onnx=None if served.graph is None else served.graph.content,
            golden=golden,
        )

    # The held-out subjects and the golden series are answered by what is served, so it is written
    # once without them.
    unjudged = artifact_dir.with_name(artifact_dir.name + ".unjudged")
    write(unjudged, ())
    predictor = MixturePredictor(
        load_artifact(unjudged), TorchNetwork(served.network.to(trainer.device))
    )
    golden = answer_golden(predictor, np.random.default_rng(trainer.config.seed))
    evaluations = judge(predictor, prepared.held_out, rules, seed=trainer.config.seed)
    write(artifact_dir, evaluations, golden)
    shutil.rmtree(unjudged)


def _card(
    prepared: Prepared,
    trainer: Trainer,
    certificate: SolverCertificate,
    evaluations: Sequence[Evaluation],
    name: str,
    artifact_version: str,
) -> str:
    return model_card(
        name=name,
        version=artifact_version,
        config=trainer.config,
        dataset_name=prepared.dataset.name,
        num_train=len(prepared.train),
        num_tuning=len(prepared.tuning),
        history=trainer.history,
        certificate=certificate,
        catalogue=prepared.catalogue,
        num_values=np.bincount(prepared.train.channels, minlength=len(prepared.catalogue)),
        untrained=untrained_text(prepared.counts),
        hashes={
            "data set": prepared.dataset.sha256,
            "split of the subjects": prepared.split.sha256,
        },
        evaluations=evaluations,
    )


def _least_squares(prepared: Prepared) -> Mapping[Task, LeastSquares]:
    """Fit the strongest trivial answer on the training subjects; `evaluate` compares with it."""
    rules = {}
    for task in Task:
        window = make_window(prepared.train, prepared.catalogue, task, seed=0)
        if len(window.context) == 0:
            continue
        is_forecast = task is Task.FORECAST
        rules[task] = LeastSquares.of(window, prepared.normalization, is_forecast=is_forecast)
    return rules


def _usable(cohort: Cohort) -> Cohort:
    return cohort.select(np.flatnonzero(cohort.counts >= _MIN_OBSERVATIONS))


def _provenance(
    prepared: Prepared, config: TrainingConfig, name: str, artifact_version: str
) -> Mapping[str, Any]:
    return {
        "name": name,
        "version": artifact_version,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": config.seed,
        "preset": config.preset,
        "data_sha256": prepared.dataset.sha256,
        "split_sha256": prepared.split.sha256,
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in ("lacuna", "numpy", "torch")},
        },
    }
