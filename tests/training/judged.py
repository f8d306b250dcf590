"""A small evaluation for tests: simulated answers, or those of the artifact that nobody trained."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.artifact import load_artifact
from model.data.series import Cohort
from model.runtime.backends import load_predictor
from model.runtime.mixture_predictor import MixturePredictor
from tests.artifacts import write_tiny_artifact
from tests.catalogues import CHALLENGE
from tests.series import random_cohort
from training.baselines import LeastSquares
from training.evaluation import Answers, Evaluation, answer, score
from training.report import Provenance
from training.tasks import Task, make_window


@dataclass(frozen=True)
class Judged:
    """What `write_report` needs."""

    evaluation: Evaluation
    answers: Answers
    predictor: MixturePredictor
    provenance: Provenance


def judge(folder: Path, task: Task, cohort: Cohort | None = None) -> Judged:
    """Write the tiny artifact into `folder` and evaluate it."""
    write_tiny_artifact(folder / "artifact")
    predictor = load_predictor(load_artifact(folder / "artifact"), backend="torch", device="cpu")
    judged = random_cohort(10, np.random.default_rng(1), mean_observations=250)
    training = random_cohort(40, np.random.default_rng(2), mean_observations=200)
    window = make_window(judged if cohort is None else cohort, CHALLENGE, task, seed=0)
    answers = answer(
        predictor,
        window,
        least_squares=LeastSquares.of(
            make_window(training, CHALLENGE, task, seed=0),
            predictor.artifact.normalization,
            is_forecast=task is Task.FORECAST,
        ),
        seed=0,
        on_progress=lambda done, total: None,
    )
    normalization = predictor.artifact.normalization
    return Judged(
        evaluation=score(answers, normalization, task, seed=0),
        answers=answers,
        predictor=predictor,
        provenance=Provenance.collect(
            artifact=predictor.artifact,
            data_name="random <cohort>",
            data_sha256="ab" * 32,
            seed=0,
            command=["evaluate", "an artifact", "--task", task.value],
        ),
    )
