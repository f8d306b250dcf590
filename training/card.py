"""The model card, `card.md` of an artifact: what the model is for, what it is not for, how good it is."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from model.data.rolling import WINDOW_HOURS
from model.data.variables import Catalogue, Kind
from training.checkpoint import EpochRecord
from training.config import TrainingConfig
from training.evaluation import LEAST_SQUARES, MODEL, Evaluation
from training.intervals import NOMINAL
from training.report.scores import MANY_TARGETS, variable_scores, worst_covered
from training.solver_certificate import SolverCertificate

# With fewer training values than this a variable's own errors and intervals rest on little.
_SPARSE_VALUES = 1000

_USE = """\
## Intended use

Research, quality work and decision support studies on timestamped clinical measurements: filling gaps \
between measurements, forecasting up to {horizon:g} hours ahead, with an interval for each answer. The \
numbers are for people who can look at the record beside them.

## Out of scope

- Not a medical device: no alarm, dose, diagnosis or triage may rest on an answer alone, and no decision \
about a patient is made without a clinician.
- Patients unlike the training data: other ages, wards, devices or charting habits. The service reports an \
out-of-distribution score; it is a hint, not a guarantee.
- What-if questions. The model has seen which patients were treated, not what treatment causes.
- An estimate is not a measurement and must never be stored or shown as one."""

_LIMITATIONS = """\
## Known limitations

{untrained}{states}{amounts}{sparse}- Intervals are calibrated on the tuning subjects, by variable and by \
the hours to its nearest measurement: on patients like them a 90 % interval holds 90 % of measurements on \
average, not for every patient. Measurements were taken when somebody had a reason to look; at other times \
the same intervals may hold more.
- Elsewhere the promise may fail: `evaluate` on another data set says, variable by variable, how much worse \
the answers are there than on the held-out subjects here.
- Series longer than {window:g} hours are answered from windows of that length; older measurements do not \
count.
- When something was measured carries information (sick patients are measured more often). The model uses \
it, and inherits the habits of the wards in the training data.
- Values outside a variable's plausible range are dropped before training and never answered."""


def model_card(
    *,
    name: str,
    version: str,
    config: TrainingConfig,
    dataset_name: str,
    num_train: int,
    num_tuning: int,
    history: Sequence[EpochRecord],
    catalogue: Catalogue,
    certificate: SolverCertificate | None = None,
    num_values: Int[np.ndarray, " channel"] | None = None,
    untrained: str = "",
    hashes: Mapping[str, str] | None = None,
    evaluations: Sequence[Evaluation] = (),
) -> str:
    """Return the card as Markdown.

    Parameters
    ----------
    num_train, num_tuning
        Series (windows of subjects) that the weights and the stopping time were fitted on.
    certificate
        What the solver costs in accuracy.
    num_values
        Training values of each channel; names the sparse variables.
    untrained
        Which variables of the data set are not trained and why; empty if there is none.
    hashes
        Versions and sha256 sums by what they belong to. The manifest always holds them.
    evaluations
        On held-out records, for the errors beside the baselines.
    """
    parts = [
        f"# {name} {version}",
        _purpose(catalogue),
        _USE.format(horizon=config.horizon_hours),
        _training(config, dataset_name, num_train, num_tuning, history),
        *([] if certificate is None else [f"## Solver\n\n{_solver(certificate)}"]),
        _errors(history, evaluations, catalogue),
        _LIMITATIONS.format(
            untrained=f"- {untrained}.\n" if untrained else "",
            states=_of_kind(catalogue, Kind.STATE, "read as input and never estimated"),
            amounts=_of_kind(
                catalogue,
                Kind.AMOUNT,
                "collected over the time since the previous entry: an answer says what an entry at "
                "that time would hold, not a level, and must not be summed",
            ),
            sparse=_sparse(catalogue, num_values),
            window=WINDOW_HOURS,
        ),
        _versions(hashes or {}),
    ]
    return "\n\n".join(parts) + "\n"


def _purpose(catalogue: Catalogue) -> str:
    estimated = [f"{item.name} ({item.unit})" for item in catalogue if item.is_queryable]
    statics = ", ".join(static.name for static in catalogue.statics) or "none"
    return (
        "A latent neural ODE over irregular clinical measurements. From the measurements of one "
        f"patient it estimates {len(estimated)} variables at any time, each as a distribution.\n\n"
        f"Variables (UCUM units): {', '.join(estimated)}.\n\nDescriptors of the patient, each may be "
        f"missing: {statics}."
    )


def _training(
    config: TrainingConfig,
    dataset_name: str,
    num_train: int,
    num_tuning: int,
    history: Sequence[EpochRecord],
) -> str:
    minutes = sum(record.seconds for record in history) / 60
    return "\n".join(
        [
            "## Training",
            "",
            f"- Data: {dataset_name}; {num_train:,} series to fit the weights, {num_tuning:,} to choose "
            "the stopping time. Subjects are in one part only; held-out subjects are in neither.",
            f"- Preset: {config.preset}, seed {config.seed}, batch size {config.batch_size}.",
            f"- Sizes: latent {config.latent_dim}, encoder {config.encoder_dim}, dynamics "
            f"{config.dynamics_dim}, decoder {config.decoder_dim}; knots every {config.knot_hours:g} h.",
            f"- Ran {len(history)} of at most {config.epochs} epochs in {minutes:.1f} minutes.",
        ]
    )


def _solver(certificate: SolverCertificate) -> str:
    verdict = "" if certificate.holds else " This is more than the hundredth that is aimed at."
    return f"The ODE is solved by {certificate.text}.{verdict}"


def _errors(
    history: Sequence[EpochRecord], evaluations: Sequence[Evaluation], catalogue: Catalogue
) -> str:
    lines = ["## Errors", ""]
    if history:
        best = min(history, key=lambda record: record.validation_error)
        lines += [
            "Mean over variables of the mean absolute error, in standard deviations of the variable.",
            "",
            f"On the tuning subjects, epoch {best.epoch + 1}: {best.errors_text}. "
            "Training stopped by these errors, so they are "
            "slightly better than what new patients will see.",
        ]
    else:
        lines.append("The model was not trained.")
    if not evaluations:
        return "\n".join(
            [*lines, "", "Not yet evaluated on held-out records: `evaluate` does that."]
        )
    lines += [
        "",
        "| held-out task | series | model | carry-forward | linear interpolation | variable mean "
        "| least squares |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    lines += [_error_row(evaluation) for evaluation in evaluations]
    lines += [
        "",
        "Share of held-out measurements inside the intervals. A value that equals an end because values "
        "come in steps counts by the share of its step inside. Farthest: the variable, among those with "
        f"at least {MANY_TARGETS} targets if there are any, whose intervals miss their promise most.",
        "",
        f"| held-out task | {' | '.join(NOMINAL)} | mean 90% width | farthest |",
        f"| --- | {' | '.join(['--:'] * len(NOMINAL))} | --: | --- |",
        *(_coverage_row(evaluation, catalogue) for evaluation in evaluations),
        "",
        "Errors and coverage of every variable stand in `metrics.json` under `held_out`.",
    ]
    return "\n".join(lines)


def _error_row(evaluation: Evaluation) -> str:
    methods = (MODEL, "carry_forward", "linear_interpolation", "variable_mean", LEAST_SQUARES)
    errors = " | ".join(f"{evaluation.mean_error(method):.4f}" for method in methods)
    return f"| {evaluation.task.value} | {evaluation.num_series:,} | {errors} |"


def _coverage_row(evaluation: Evaluation, catalogue: Catalogue) -> str:
    overall = evaluation.overall_intervals
    shares = " | ".join(f"{100 * share:.1f} %" for share in overall.split[:, 0])
    width = overall.width[list(NOMINAL).index("90%"), 0]
    worst = worst_covered(variable_scores(evaluation, catalogue))
    farthest = f"{worst.variable.name}, {100 * worst.largest_deviation:.1f} points"
    return f"| {evaluation.task.value} | {shares} | {width:.2f} | {farthest} |"


def _of_kind(catalogue: Catalogue, kind: Kind, text: str) -> str:
    names = [variable.name for variable in catalogue if variable.kind is kind]
    return f"- {', '.join(names)}: {text}.\n" if names else ""


def _sparse(catalogue: Catalogue, num_values: Int[np.ndarray, " channel"] | None) -> str:
    if num_values is None:
        return "- Variables that were rarely measured in the training data are estimated poorly.\n"
    sparse = [
        f"{variable.name} ({count:,})"
        for variable, count in zip(catalogue, num_values, strict=True)
        if variable.is_queryable and count < _SPARSE_VALUES
    ]
    if not sparse:
        return ""
    return f"- Few training values, so little to rely on: {', '.join(sparse)}.\n"


def _versions(hashes: Mapping[str, str]) -> str:
    lines = [f"- {what}: `{value}`" for what, value in hashes.items()]
    text = "`manifest.json` holds the sha256 of every file, of the data and of the split, and the "
    return "\n".join(
        [
            "## Versions and hashes",
            "",
            text + "versions of the software.",
            *([""] if lines else []),
            *lines,
        ]
    )
