"""`evaluate`: an artifact and a MEDS dataset to figures and a report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from model.artifact import Artifact, load_artifact
from model.data.series import Cohort
from model.files import write_atomically
from model.runtime.mixture_predictor import MixturePredictor
from model.runtime.torch_network import TorchNetwork
from training.baselines import LeastSquares
from training.cohort_mapping import map_cohort
from training.datasets.meds import read_cohort
from training.evaluation import answer, score
from training.home import HomeComparison
from training.judged_subjects import JudgedPart, choose_subjects
from training.report import (
    Provenance,
    write_report,
    write_summary_markdown,
    write_truth_report,
    write_truth_summary,
)
from training.tasks import Task, make_window
from training.truth import HALF_HOURS, LOOKS, Truth, answer_truth, score_truth

TRUTH = "truth"
"""The task of a simulated cohort: the imputed trajectory against the noiseless one."""


class EvaluateError(ValueError):
    """Raised for a task or data that cannot be judged."""


@dataclass(frozen=True)
class _Judged:
    """Whose answers are judged on what."""

    predictor: MixturePredictor
    cohort: Cohort
    data_dir: Path
    is_home: bool
    provenance: Provenance
    seed: int


def evaluate(
    artifact_dir: Path,
    data_dir: Path,
    *,
    task: str,
    out: Path,
    part: str,
    device: str,
    seed: int,
    command: Sequence[str],
) -> str:
    """Write `metrics.json`, `report.html` and `summary.md`; return the summary.

    The records are judged in the variables and units of the artifact, and only those of subjects
    that training and tuning did not see, whatever the data set (see `training.judged_subjects`).

    Parameters
    ----------
    part
        One of `JudgedPart`.

    Raises
    ------
    EvaluateError
        For an unknown task, or data with nothing to judge.
    NobodyLeftError
        If no subject is left to judge.

    Examples
    --------
    `data` is the directory of a data set, `folder` holds an artifact that was fitted on it:

    >>> options = {"part": "auto", "device": "cpu", "seed": 0, "command": []}
    >>> said = evaluate(
    ...     folder / "icu", data, task="forecast", out=folder / "report", **options
    ... )
    >>> (folder / "report" / "report.html").is_file()
    True
    """
    if task not in (*Task, TRUTH):
        expected = ", ".join((*Task, TRUTH))
        raise EvaluateError(f"unknown task {task!r}; expected one of: {expected}")
    artifact = load_artifact(artifact_dir)
    dataset = read_cohort(data_dir)
    subjects = choose_subjects(dataset.cohort, artifact.subjects, JudgedPart(part))
    mapped = map_cohort(
        dataset.cohort.select(subjects.positions), dataset.catalogue, artifact.catalogue
    )
    cohort = mapped.cohort.without_empty()
    if len(cohort) == 0:
        raise EvaluateError(f"{data_dir} has no values that the artifact can use ({mapped.text})")
    judged = _Judged(
        MixturePredictor(artifact, TorchNetwork.load(artifact, device=device)),
        cohort,
        data_dir,
        subjects.is_home,
        Provenance.collect(
            artifact=artifact,
            data_name=dataset.name,
            data_sha256=dataset.sha256,
            subjects=subjects.text,
            left_out=mapped.text,
            seed=seed,
            command=command,
            device=device,
        ),
        seed,
    )
    summary = _truth(judged, out) if task == TRUTH else _task(judged, Task(task), out)
    write_atomically(out / "summary.md", summary.encode())
    return summary


def _task(judged: _Judged, task: Task, out: Path) -> str:
    predictor, artifact = judged.predictor, judged.predictor.artifact
    window = make_window(judged.cohort, artifact.catalogue, task, seed=judged.seed)
    if len(window.context) == 0:
        raise EvaluateError(
            f"{judged.data_dir} has no series with both context and target for {task}"
        )
    rules = _least_squares(artifact, task)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        answers = answer(
            predictor,
            window,
            least_squares=rules,
            seed=judged.seed,
            on_progress=_on(bar, len(window.context)),
        )
    evaluation = score(answers, artifact.normalization, task, seed=judged.seed)
    home = None
    if not judged.is_home:
        held_out = artifact.metrics.get("held_out", {})
        home = HomeComparison.of(evaluation, held_out, artifact.catalogue)
    write_report(
        out,
        evaluation=evaluation,
        answers=answers,
        predictor=predictor,
        provenance=judged.provenance,
        seed=judged.seed,
        home=home,
    )
    return write_summary_markdown(evaluation, judged.provenance, home)


def _truth(judged: _Judged, out: Path) -> str:
    """Judge imputed trajectories; see `training.truth`."""
    predictor, cohort = judged.predictor, judged.cohort
    catalogue = predictor.artifact.catalogue
    truth = Truth.read(judged.data_dir, cohort, catalogue)
    window = make_window(cohort, catalogue, Task.IMPUTATION, seed=judged.seed)
    asked = {
        HALF_HOURS: (cohort, truth.between_entries()),
        LOOKS: (window.context, truth.at(window.target)),
    }
    evaluations = {}
    for name, (context, values) in asked.items():
        if len(values.values) == 0:
            raise EvaluateError(f"{judged.data_dir} has no truth to compare with at {name}")
        with Progress(console=Console(stderr=True), transient=True) as bar:
            answers = answer_truth(
                predictor, context, values, seed=judged.seed, on_progress=_on(bar, len(context))
            )
        evaluations[name] = score_truth(answers, len(catalogue))
    write_truth_report(out, evaluations, judged.provenance)
    return write_truth_summary(evaluations, judged.provenance)


def _on(bar: Progress, total: int) -> Callable[[int, int], None]:
    task = bar.add_task("asking the model", total=total)
    return lambda done, total: bar.update(task, completed=done, total=total)


def _least_squares(artifact: Artifact, task: Task) -> LeastSquares:
    """Return the rules that `fit` fitted on the subjects that the weights were fitted on."""
    try:
        return LeastSquares.from_json(artifact.metrics["least_squares"][task.value])
    except KeyError:
        raise EvaluateError("the artifact holds no least squares; fit it again") from None
