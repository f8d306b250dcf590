"""Scores of an artifact on held-out records, beside the trivial answers, as a user would get them.

The predictor answers as the service would: through the artifact, with quantiles in canonical units.
Errors are those of the median, in standardized units (canonical for the column that says so),
averaged over a variable's targets and then over variables.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, Int

from model.data.normalization import Normalization
from model.data.query import Query
from model.data.series import Cohort
from model.data.windows import Window
from model.metrics import by_variable, continuous_ranked_probability_score
from model.runtime.predictor import Predictor, Request
from training.baselines import (
    LeastSquares,
    OwnRecord,
    carry_forward,
    linear_interpolation,
    own_record,
    variable_mean,
)
from training.intervals import (
    EVEN,
    EVEN_LEVELS,
    LEVELS,
    MEDIAN,
    NOMINAL,
    IntervalScores,
    ScoredTargets,
    interval_ends,
)
from training.tasks import Task, make_window

GAP_EDGES_HOURS = (0.0, 1.0, 4.0, 12.0, np.inf)
_PIECE = 256
_NUM_RESAMPLES = 400


MODEL = "model"
BASELINES: Mapping[str, Callable[[OwnRecord], Float[np.ndarray, " target"]]] = MappingProxyType(
    {
        "carry_forward": carry_forward,
        "linear_interpolation": linear_interpolation,
        "variable_mean": variable_mean,
    }
)
LEAST_SQUARES = "least_squares"


@dataclass(frozen=True)
class Answers:
    """Targets and what each method says about them, flat over all targets."""

    window: Window
    channels: Int[np.ndarray, " target"]
    series: Int[np.ndarray, " target"]
    expected: Float[np.ndarray, " target"]
    points: Mapping[str, Float[np.ndarray, " target"]]
    quantiles: Float[np.ndarray, "level target"]
    standard_deviation: Float[np.ndarray, " target"]
    gap_hours: Float[np.ndarray, " target"]


@dataclass(frozen=True)
class Evaluation:
    """Everything that the report shows. Arrays over channels are NaN where nothing was scored."""

    task: Task
    num_series: int
    num_limits: int
    """Limits among the targets, which no score here can judge and which are left out."""
    counts: Int[np.ndarray, " channel"]
    errors: Mapping[str, Float[np.ndarray, " channel"]]
    canonical_errors: Float[np.ndarray, " channel"]
    squared_errors: Mapping[str, Float[np.ndarray, " channel"]]
    crps: Float[np.ndarray, " channel"]
    intervals: IntervalScores
    """By channel, standardized."""
    gap_intervals: IntervalScores
    """By the hours to the nearest context observation of the target's variable, standardized."""
    overall_intervals: IntervalScores
    """Over all targets: one group."""
    canonical_widths: Float[np.ndarray, " channel"]
    """Of the 90 % interval."""
    ratio_intervals: Mapping[str, tuple[float, float]]

    @property
    def coverage(self) -> Mapping[str, Float[np.ndarray, " channel"]]:
        """The share of each variable's targets inside the closed intervals."""
        return dict(zip(NOMINAL, self.intervals.closed, strict=True))

    def mean_error(self, method: str) -> float:
        """Return the mean over variables of a method's mean absolute error."""
        return float(np.nanmean(self.errors[method]))

    def ratio(self, baseline: str) -> float:
        """Return the model's mean error divided by a baseline's, NaN where that one makes none."""
        error = self.mean_error(baseline)
        return self.mean_error(MODEL) / error if error > 0 else float("nan")


def answer(
    predictor: Predictor,
    window: Window,
    *,
    least_squares: LeastSquares,
    seed: int,
    on_progress: Callable[[int, int], None],
) -> Answers:
    """Ask the predictor and every baseline. `least_squares` were fitted on training records."""
    normalization = predictor.artifact.normalization
    own = own_record(window, normalization)
    target = window.target
    quantiles, deviation = _ask(predictor, window, seed, on_progress)
    standardized = normalization.apply(quantiles, np.broadcast_to(target.channels, quantiles.shape))
    points = {MODEL: standardized[MEDIAN], LEAST_SQUARES: least_squares.predict(own)}
    points |= {name: baseline(own) for name, baseline in BASELINES.items()}
    return Answers(
        window=window,
        channels=target.channels,
        series=target.series_indices,
        expected=normalization.apply(target.values, target.channels),
        points=points,
        quantiles=quantiles,
        standard_deviation=deviation,
        gap_hours=np.minimum(own.last_age, own.next_age),
    )


def score(answers: Answers, normalization: Normalization, task: Task, *, seed: int) -> Evaluation:
    """Score the answers."""
    channels, num_channels = answers.channels, len(normalization.loc)
    values = answers.window.target.values
    targets = ScoredTargets.of(values, answers.quantiles, channels, normalization)

    def mean(scores: Float[np.ndarray, " target"]) -> Float[np.ndarray, " channel"]:
        return by_variable(scores, channels, num_channels)

    absolute = {name: np.abs(point - answers.expected) for name, point in answers.points.items()}
    crps = continuous_ranked_probability_score(
        targets.quantiles[EVEN], EVEN_LEVELS, answers.expected
    )
    low, high = interval_ends(answers.quantiles, "90%")
    gaps = np.searchsorted(GAP_EDGES_HOURS[1:-1], answers.gap_hours)
    return Evaluation(
        task=task,
        num_series=len(answers.window.context),
        num_limits=answers.window.num_limits,
        counts=np.bincount(channels, minlength=num_channels),
        errors={name: mean(error) for name, error in absolute.items()},
        canonical_errors=mean(np.abs(answers.quantiles[MEDIAN] - values)),
        squared_errors={name: mean(error**2) for name, error in absolute.items()},
        crps=mean(crps),
        intervals=IntervalScores.of(targets, channels, num_channels),
        gap_intervals=IntervalScores.of(targets, gaps, len(GAP_EDGES_HOURS) - 1),
        overall_intervals=IntervalScores.of(targets, np.zeros_like(channels), 1),
        canonical_widths=mean(high - low),
        ratio_intervals=_ratio_intervals(answers, absolute, num_channels, seed),
    )


def judge(
    predictor: Predictor,
    cohort: Cohort,
    rules: Mapping[Task, LeastSquares],
    *,
    seed: int,
) -> tuple[Evaluation, ...]:
    """Evaluate every task that the cohort has targets for, as `evaluate` does.

    `rules` are the least squares of each task, fitted on training records.
    """
    artifact = predictor.artifact
    evaluations = []
    for task, rule in rules.items():
        window = make_window(cohort, artifact.catalogue, task, seed=seed)
        if len(window.context) == 0:
            continue
        answers = answer(
            predictor, window, least_squares=rule, seed=seed, on_progress=lambda *_: None
        )
        evaluations.append(score(answers, artifact.normalization, task, seed=seed))
    return tuple(evaluations)


def _ask(
    predictor: Predictor, window: Window, seed: int, on_progress: Callable[[int, int], None]
) -> tuple[Float[np.ndarray, "level target"], Float[np.ndarray, " target"]]:
    num_series = len(window.context)
    quantiles, deviations = [], []
    for start in range(0, num_series, _PIECE):
        chosen = np.arange(start, min(start + _PIECE, num_series))
        prediction = predictor.predict(
            Request(
                window.context.select(chosen),
                Query.at(window.target.select(chosen)),
                quantile_levels=tuple(float(level) for level in LEVELS),
                seed=seed,
            )
        )
        quantiles.append(prediction.quantiles)
        variance = prediction.latent_variance + prediction.observation_variance
        deviations.append(np.sqrt(variance))
        on_progress(int(chosen[-1]) + 1, num_series)
    return np.concatenate(quantiles, axis=1), np.concatenate(deviations)


def _ratio_intervals(
    answers: Answers, absolute: Mapping[str, np.ndarray], num_channels: int, seed: int
) -> dict[str, tuple[float, float]]:
    """Return 95 % intervals of the ratios over resampled subjects, the same for both methods."""
    names = answers.window.context.subject_ids
    subjects = np.unique(names, return_inverse=True)[1][answers.series]
    num_subjects = len(set(names))
    flat = subjects * num_channels + answers.channels

    def table(scores: np.ndarray | None) -> np.ndarray:
        sums = np.bincount(flat, weights=scores, minlength=num_subjects * num_channels)
        return sums.reshape(num_subjects, num_channels)

    counts = table(None)
    tables = {name: table(error) for name, error in absolute.items()}
    generator = np.random.default_rng(seed)
    draws = generator.multinomial(
        num_subjects, np.full(num_subjects, 1 / num_subjects), _NUM_RESAMPLES
    )
    with np.errstate(invalid="ignore"):
        means = {
            name: np.nanmean((draws @ sums) / (draws @ counts), axis=1)
            for name, sums in tables.items()
        }
    ratios = {
        name: means[MODEL] / np.where(mean > 0, mean, np.nan)
        for name, mean in means.items()
        if name != MODEL
    }
    return {
        name: (float(np.quantile(ratio, 0.025)), float(np.quantile(ratio, 0.975)))
        for name, ratio in ratios.items()
    }
