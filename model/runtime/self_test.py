"""The self-test: a predictor must answer what its artifact says was answered at training.

It finds what no hash can: a library, a processor or a program that computes something else.
Numpy only.
"""

import numpy as np
from jaxtyping import Float

from model.errors import ArtifactError
from model.golden import QUANTILE_LEVELS, Golden, simulate_questions
from model.runtime.predictor import Prediction, Predictor, Request

LARGEST_DIFFERENCE = 1e-3
"""Standard deviations; torch and onnxruntime differ by about a millionth."""


def answer_golden(predictor: Predictor, generator: np.random.Generator) -> Golden:
    """Simulate golden series and answer them: what the artifact of the predictor is to carry."""
    artifact = predictor.artifact
    questions = simulate_questions(artifact.catalogue, artifact.normalization, generator)
    prediction = predictor.predict(
        Request(questions.context, questions.query, quantile_levels=QUANTILE_LEVELS)
    )
    deviation = np.sqrt(prediction.latent_variance + prediction.observation_variance)
    return Golden(questions, prediction.mean, deviation, prediction.quantiles)


def self_test(predictor: Predictor) -> bool:
    """Answer the golden series of the artifact again; return False if it carries none.

    Raises
    ------
    ArtifactError
        If a mean or a quantile differs by more than `LARGEST_DIFFERENCE`. A quantile on a grid
        (of a score) may fall to the next step of it.
    """
    artifact = predictor.artifact
    golden = artifact.golden
    if golden is None:
        return False
    query = golden.questions.query
    prediction = predictor.predict(
        Request(golden.questions.context, query, quantile_levels=QUANTILE_LEVELS)
    )
    steps = np.nan_to_num(artifact.normalization.grid)[query.channels]
    differences = _differences(golden, prediction, steps)
    # A NaN is no agreement.
    is_wrong = ~(differences <= LARGEST_DIFFERENCE)
    if is_wrong.any():
        raise ArtifactError(
            _complaint(golden, differences, [one.name for one in artifact.catalogue])
        )
    return True


def _differences(
    golden: Golden, prediction: Prediction, steps: Float[np.ndarray, " query"]
) -> Float[np.ndarray, " query"]:
    """Return the largest difference of each query, in standard deviations; NaN where one is."""
    of_mean = np.abs(prediction.mean - golden.mean)
    of_quantiles = np.abs(prediction.quantiles - golden.quantiles)
    beyond_step = np.where(of_quantiles <= 1.001 * steps, 0.0, of_quantiles)
    largest = np.max(np.concatenate([of_mean[None], beyond_step]), axis=0)
    # Without a spread, as of a variable that is always the same, only equal is equal.
    tiny = np.finfo(float).tiny
    return largest / np.maximum(golden.standard_deviation, tiny)


def _complaint(
    golden: Golden, differences: Float[np.ndarray, " query"], variables: list[str]
) -> str:
    query = golden.questions.query
    finite = np.where(np.isnan(differences), np.inf, differences)
    worst = int(np.argmax(finite))
    point = query.points_of_queries[worst]
    subject = golden.questions.context.subject_ids[query.series_of_points[point]]
    found = (
        "is not a number"
        if np.isnan(differences[worst])
        else (f"is {differences[worst]:.2g} standard deviations off")
    )
    return (
        f"the self-test failed: {int(np.sum(~(differences <= LARGEST_DIFFERENCE)))} of "
        f"{len(differences)} answers about the golden series differ from those at training; the "
        f"worst, {variables[query.channels[worst]]} of {subject} at "
        f"{query.times_hours[point]:.2f} h, {found}, {LARGEST_DIFFERENCE:g} are allowed. This "
        "program or machine computes another model: use the versions that manifest.json names, or "
        "fit again"
    )
