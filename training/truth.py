"""A simulated cohort's noiseless truth against the imputed trajectories.

Asked in two ways:

`half hours`   The model sees the whole chart and is asked every half hour, which is never a time at
               which somebody looked, for every variable between that variable's first and last
               entry: the trajectory as a user draws it. Intervals are calibrated on times at which
               somebody looked, which is oftener in a crisis; at even times patients are calmer, and
               the same intervals hold more.
`looks`        As in the imputation task, 30 % of the chart are hidden and asked for: the times that
               the intervals are calibrated for.

Two questions need two kinds of band:

`measurement`  What is served is an interval for a measurement: truth, device error and rounding. So
               a fresh measurement is drawn from the truth at every time asked, by the simulator's
               own law, and the served interval should hold it as often as it says. Nothing about
               the noise is given to the model.
`truth`        A band for the noiseless truth is narrower. Where truth and noise are independent,
               predictive variance = variance of the truth + variance of the noise, and the noise is
               known here. So the served quantiles are drawn towards the median by
               sqrt(1 - noise variance / predictive variance), which keeps their shape; an answer
               that claims less variance than the noise alone gets a band without width. This is a
               statement about what the model knows, for a simulation only: no hospital knows the
               law of its noise.

The share of the truth inside the served interval is reported too (`truth_in_served`); it ought to
lie above the nominal level.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from model.data.query import Query
from model.data.series import Cohort, offsets_from_counts
from model.data.variables import Catalogue
from model.data.windows import Window, queryable
from model.metrics import by_variable, is_covered
from model.runtime.predictor import Predictor, Request
from training.baselines import linear_interpolation, own_record
from training.datasets.simulated import ORIGIN, TRUTH_MINUTES
from training.measurement_noise import measure, noise_variance

HALF_HOURS, LOOKS = "half hours", "looks"
TRUTH_FILE = Path("truth") / "0.parquet"
NOMINAL: Mapping[str, tuple[float, float]] = {
    "50%": (0.25, 0.75),
    "80%": (0.1, 0.9),
    "90%": (0.05, 0.95),
    "95%": (0.025, 0.975),
}
_LEVELS = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
_MEDIAN = 4
_PIECE = 32


class TruthError(ValueError):
    """Raised for a data set without a truth to compare with."""


@dataclass(frozen=True)
class TruthAnswers:
    """Times asked, the truth there, and what is said about it; canonical units throughout."""

    num_series: int
    channels: Int[np.ndarray, " target"]
    truth: Float[np.ndarray, " target"]
    measured: Float[np.ndarray, " target"]
    mean: Float[np.ndarray, " target"]
    variance: Float[np.ndarray, " target"]
    quantiles: Float[np.ndarray, "level target"]
    interpolated: Float[np.ndarray, " target"]
    noise_variance: Float[np.ndarray, " target"]


@dataclass(frozen=True)
class TruthEvaluation:
    """Figures by channel, NaN where nothing was asked. Coverages have a row for each of `NOMINAL`."""

    num_series: int
    counts: Int[np.ndarray, " channel"]
    noise: Float[np.ndarray, " channel"]
    errors: Float[np.ndarray, " channel"]
    interpolation_errors: Float[np.ndarray, " channel"]
    measurement_coverage: Float[np.ndarray, "nominal channel"]
    truth_coverage: Float[np.ndarray, "nominal channel"]
    truth_in_served: Float[np.ndarray, "nominal channel"]
    served_width: Float[np.ndarray, " channel"]
    truth_width: Float[np.ndarray, " channel"]

    @property
    def ratios(self) -> Float[np.ndarray, " channel"]:
        """Root mean squared error against the truth, divided by the deviation of the noise."""
        return self.errors / self.noise

    @property
    def interpolation_ratios(self) -> Float[np.ndarray, " channel"]:
        """The same of linear interpolation of the chart."""
        return self.interpolation_errors / self.noise

    def overall(self, coverage: Float[np.ndarray, "nominal channel"]) -> dict[str, float]:
        """Return the share over all targets of a coverage by channel."""
        shares = np.nansum(coverage * self.counts, axis=1) / self.counts.sum()
        return dict(zip(NOMINAL, shares.tolist(), strict=True))


@dataclass(frozen=True)
class Truth:
    """Noiseless values of every series on one grid of times, NaN where there are none."""

    cohort: Cohort
    step_hours: float
    values: Float[np.ndarray, "series step channel"]

    @classmethod
    def read(cls, data_dir: Path, cohort: Cohort, catalogue: Catalogue) -> "Truth":
        """Read what `simulate` has put beside a data set.

        Raises
        ------
        TruthError
            If the data set has no truth beside it.
        """
        path = data_dir / TRUTH_FILE
        if not path.is_file():
            raise TruthError(
                f"{data_dir} has no {TRUTH_FILE}; only a simulated cohort has a truth "
                "(python -m training simulate)"
            )
        table = pq.read_table(path)
        owners = _positions(table.column("subject_id"), [int(one) for one in cohort.subject_ids])
        channels = _positions(table.column("code"), [variable.name for variable in catalogue])
        moments = table.column("time").to_numpy().astype("datetime64[us]")
        steps = ((moments - ORIGIN) // np.timedelta64(TRUTH_MINUTES, "m")).astype(np.int64)
        kept = (owners >= 0) & (channels >= 0)
        values = np.full((len(cohort), int(steps.max()) + 1, len(catalogue)), np.nan)
        read = table.column("numeric_value").to_numpy()[kept]
        values[owners[kept], steps[kept], channels[kept]] = read
        values[..., ~queryable(catalogue)] = np.nan
        return cls(cohort, TRUTH_MINUTES / 60, values)

    def between_entries(self) -> Cohort:
        """Return the truth at every step between the first and last entry of its variable."""
        first, last = _spans(self.cohort, self.values.shape[2])
        hours = self.step_hours * np.arange(self.values.shape[1])[:, None]
        is_asked = (hours >= first[:, None]) & (hours <= last[:, None]) & ~np.isnan(self.values)
        owners, steps, channels = np.nonzero(is_asked)
        return Cohort(
            self.cohort.subject_ids,
            offsets_from_counts(np.bincount(owners, minlength=len(self.cohort))),
            self.step_hours * steps,
            channels,
            self.values[owners, steps, channels],
            self.cohort.statics,
        )

    def at(self, target: Cohort) -> Cohort:
        """Return the truth in place of measured values, linear between steps.

        `target` holds the same series, in any order or several times; values without a truth, such
        as urine, leave it.
        """
        places = {subject_id: place for place, subject_id in enumerate(self.cohort.subject_ids)}
        owners = np.array([places[subject_id] for subject_id in target.subject_ids])
        owners = owners[target.series_indices]
        position = target.times_hours / self.step_hours
        before = np.clip(position.astype(np.int64), 0, self.values.shape[1] - 2)
        low, high = (self.values[owners, before + one, target.channels] for one in (0, 1))
        values = low + np.clip(position - before, 0, 1) * (high - low)
        return replace(target, values=values).keep(~np.isnan(values))


def answer_truth(
    predictor: Predictor,
    context: Cohort,
    truth: Cohort,
    *,
    seed: int,
    on_progress: Callable[[int, int], None],
) -> TruthAnswers:
    """Ask the predictor for every value of `truth`, from the same series of `context`."""
    asked = np.flatnonzero(truth.counts > 0)
    context, truth = context.select(asked), truth.select(asked)
    generator = np.random.default_rng(seed)
    catalogue, normalization = predictor.artifact.catalogue, predictor.artifact.normalization
    quantiles, means, variances = [], [], []
    for start in range(0, len(context), _PIECE):
        chosen = np.arange(start, min(start + _PIECE, len(context)))
        query = Query.at(truth.select(chosen))
        prediction = predictor.predict(
            Request(context.select(chosen), query, quantile_levels=_LEVELS, seed=seed)
        )
        quantiles.append(prediction.quantiles)
        means.append(prediction.mean)
        variances.append(prediction.latent_variance + prediction.observation_variance)
        on_progress(int(chosen[-1]) + 1, len(context))
    line = linear_interpolation(own_record(Window(context, truth), normalization))
    return TruthAnswers(
        num_series=len(context),
        channels=truth.channels,
        truth=truth.values,
        measured=measure(truth.values, truth.channels, catalogue, generator),
        mean=np.concatenate(means),
        variance=np.concatenate(variances),
        quantiles=np.concatenate(quantiles, axis=1),
        interpolated=normalization.invert(line, truth.channels),
        noise_variance=noise_variance(truth.values, truth.channels, catalogue, generator),
    )


def score_truth(answers: TruthAnswers, num_channels: int) -> TruthEvaluation:
    """Score the answers by variable."""
    channels, quantiles = answers.channels, answers.quantiles
    left = np.clip(1 - answers.noise_variance / np.maximum(answers.variance, 1e-300), 0.0, 1.0)
    median = quantiles[_MEDIAN]
    bands = median + np.sqrt(left) * (quantiles - median)

    def mean(scores: Float[np.ndarray, " target"]) -> Float[np.ndarray, " channel"]:
        return by_variable(scores, channels, num_channels)

    def coverage(
        band: Float[np.ndarray, "level target"], values: Float[np.ndarray, " target"]
    ) -> Float[np.ndarray, "nominal channel"]:
        ends = (ends_of(band, name) for name in NOMINAL)
        return np.stack([mean(is_covered(low, high, values)) for low, high in ends])

    def width(band: Float[np.ndarray, "level target"]) -> Float[np.ndarray, " channel"]:
        low, high = ends_of(band, "90%")
        return mean(high - low)

    return TruthEvaluation(
        num_series=answers.num_series,
        counts=np.bincount(channels, minlength=num_channels),
        noise=np.sqrt(mean(answers.noise_variance)),
        errors=np.sqrt(mean((answers.mean - answers.truth) ** 2)),
        interpolation_errors=np.sqrt(mean((answers.interpolated - answers.truth) ** 2)),
        measurement_coverage=coverage(quantiles, answers.measured),
        truth_coverage=coverage(bands, answers.truth),
        truth_in_served=coverage(quantiles, answers.truth),
        served_width=width(quantiles),
        truth_width=width(bands),
    )


def ends_of(
    quantiles: Float[np.ndarray, "level target"], name: str
) -> tuple[Float[np.ndarray, " target"], Float[np.ndarray, " target"]]:
    """Return both ends of one of the `NOMINAL` intervals."""
    low, high = NOMINAL[name]
    return quantiles[_LEVELS.index(low)], quantiles[_LEVELS.index(high)]


def _positions(column: pa.ChunkedArray, choices: list[int] | list[str]) -> Int[np.ndarray, " row"]:
    """Return where each entry stands among the choices, -1 where it does not."""
    found = pa.compute.index_in(column, value_set=pa.array(choices, column.type))
    return found.fill_null(-1).to_numpy().astype(np.int64)


def _spans(
    cohort: Cohort, num_channels: int
) -> tuple[Float[np.ndarray, "series channel"], Float[np.ndarray, "series channel"]]:
    """Return the first and last time of every variable of every series; inf, -inf without any."""
    first = np.full((len(cohort), num_channels), np.inf)
    at = (cohort.series_indices, cohort.channels)
    np.minimum.at(first, at, cohort.times_hours)
    last = np.full_like(first, -np.inf)
    np.maximum.at(last, at, cohort.times_hours)
    return first, last
