"""`evaluate`: an artifact and a MEDS dataset to figures and a report."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from model.artifact import Artifact, load_artifact
from model.data.series import Cohort
from model.runtime.torch_predictor import TorchPredictor
from training.baselines import LeastSquares
from training.datasets.meds import Dataset, read_cohort
from training.evaluation import Task, answer, make_window, score
from training.report import Provenance, write_report, write_summary_markdown
from training.splits import split_subjects


class EvaluateError(ValueError):
    """Raised for a task or data that cannot be judged."""


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
    """Write `metrics.json`, `report.html` and `summary.md`; return the summary."""
    if task not in list(Task):
        raise EvaluateError(f"unknown task {task!r}; expected one of: {', '.join(Task)}")
    artifact = load_artifact(artifact_dir)
    dataset = read_cohort(data_dir, artifact.catalogue)
    judged = _judged(dataset, artifact, part)
    window = make_window(judged, artifact.catalogue, Task(task), seed=seed)
    if len(window.context) == 0:
        raise EvaluateError(f"{data_dir} has no series with both context and target for {task}")
    predictor = TorchPredictor(artifact, device=device)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        bar_task = bar.add_task("asking the model", total=len(window.context))
        answers = answer(
            predictor,
            window,
            least_squares=_least_squares(artifact, Task(task)),
            seed=seed,
            on_progress=lambda done, total: bar.update(bar_task, completed=done),
        )
    evaluation = score(answers, artifact.normalization, Task(task), seed=seed)
    provenance = Provenance.collect(
        artifact=artifact,
        data_name=dataset.name,
        data_sha256=dataset.sha256,
        seed=seed,
        command=command,
    )
    write_report(
        out,
        evaluation=evaluation,
        answers=answers,
        predictor=predictor,
        provenance=provenance,
        seed=seed,
    )
    summary = write_summary_markdown(evaluation, provenance)
    (out / "summary.md").write_text(summary)
    return summary


def _judged(dataset: Dataset, artifact: Artifact, part: str) -> Cohort:
    """Return the series to judge: never one that the model was fitted or tuned on, unless asked."""
    is_training_data = dataset.sha256 == artifact.manifest.data_sha256
    if part == "held-out" or (part == "auto" and is_training_data):
        return dataset.cohort.select(split_subjects(dataset.cohort.subject_ids).held_out)
    return dataset.cohort


def _least_squares(artifact: Artifact, task: Task) -> LeastSquares:
    """Return the rules that `fit` fitted on the subjects that the weights were fitted on."""
    try:
        return LeastSquares.from_json(artifact.metrics["least_squares"][task.value])
    except KeyError:
        raise EvaluateError("the artifact holds no least squares; fit it again") from None
