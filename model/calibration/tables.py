"""What held-out subjects say about the answers, and how an answer uses it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from model.calibration.cells import CELLS_PER_CHANNEL, Surroundings
from model.calibration.level_maps import KNOTS, LevelMaps, count_subjects
from model.calibration.variances import fit_variance_factors

MIN_SUBJECTS = 19
"""The fewest held-out subjects for which both ends of a 90 % interval are among their transforms."""
POPULATION_LEVELS = (0.05, 0.95)
ABSTENTION_SHARE = 0.1
"""An answer must be narrower than the population's interval, cut by this share, on one side."""
_CENTRAL = np.array(POPULATION_LEVELS)
_DECIMALS = 6


@dataclass(frozen=True)
class HeldOutTargets:
    """Held-out values and what the model says about each of them.

    `transforms` are F(value), randomized for interval-censored values; `squared_errors` of the mean
    and `variances` are in canonical units; `values` are standardized. `subjects` number the people,
    who may have several series.
    """

    surroundings: Surroundings
    subjects: Int[np.ndarray, " target"]
    values: Float[np.ndarray, " target"]
    transforms: Float[np.ndarray, " target"]
    squared_errors: Float[np.ndarray, " target"]
    variances: Float[np.ndarray, " target"]

    @classmethod
    def join(cls, parts: Sequence["HeldOutTargets"]) -> "HeldOutTargets":
        """Put the targets of several windows of the same subjects together."""
        places = [part.surroundings for part in parts]
        return cls(
            Surroundings(
                *(
                    np.concatenate([getattr(place, name) for place in places])
                    for name in ("channels", "gap_hours", "is_after")
                )
            ),
            *(
                np.concatenate([getattr(part, field.name) for part in parts])
                for field in fields(cls)[1:]
            ),
        )


@dataclass(frozen=True)
class Calibration:
    """Tables that an artifact carries beside its weights.

    `encoder_divergences` are sorted KL(q(z0) || p(z0)) of held-out series, in nats; `error_hours`
    is, for each channel, the time constant with which the errors of one series lose their
    correlation. `level_maps`, `variance_factors` and `num_subjects` have a row for each cell
    (`Surroundings.cells`). `population` holds each channel's quantiles at `POPULATION_LEVELS` over
    held-out subjects, standardized, NaN where there were too few.
    """

    encoder_divergences: Float[np.ndarray, " quantile"]
    error_hours: Float[np.ndarray, " channel"]
    level_maps: LevelMaps
    variance_factors: Float[np.ndarray, " cell"]
    num_subjects: Int[np.ndarray, " cell"]
    population: Float[np.ndarray, "channel 2"]
    abstention_share: float = ABSTENTION_SHARE

    def __post_init__(self) -> None:
        num_channels = len(self.error_hours)
        num_cells = num_channels * CELLS_PER_CHANNEL
        expected = {
            "level_maps": (len(self.level_maps.table), num_cells),
            "variance_factors": (len(self.variance_factors), num_cells),
            "num_subjects": (len(self.num_subjects), num_cells),
            "population": (len(self.population), num_channels),
        }
        for name, (found, wanted) in expected.items():
            if found != wanted:
                raise ValueError(
                    f"`{name}` of a calibration over {num_channels} channels needs {wanted} rows, "
                    f"got {found}"
                )
        if not np.all(np.isfinite(self.variance_factors) & (self.variance_factors > 0)):
            raise ValueError("`variance_factors` of a calibration must be finite and positive")

    @classmethod
    def uncalibrated(cls, num_channels: int) -> "Calibration":
        """Return tables that change nothing and vouch for nothing, as of no held-out subject."""
        num_cells = num_channels * CELLS_PER_CHANNEL
        return cls(
            encoder_divergences=np.array([np.finfo(float).max]),
            error_hours=np.full(num_channels, 4.0),
            level_maps=LevelMaps.identity(num_cells),
            variance_factors=np.ones(num_cells),
            num_subjects=np.zeros(num_cells, dtype=np.int64),
            population=np.full((num_channels, 2), np.nan),
        )

    @classmethod
    def fit(
        cls,
        targets: HeldOutTargets,
        *,
        encoder_divergences: Float[np.ndarray, " quantile"],
        error_hours: Float[np.ndarray, " channel"],
    ) -> "Calibration":
        """Estimate every table from held-out targets."""
        num_channels = len(error_hours)
        num_cells = num_channels * CELLS_PER_CHANNEL
        cells, subjects = targets.surroundings.cells, targets.subjects
        return cls(
            encoder_divergences=encoder_divergences,
            error_hours=error_hours,
            level_maps=LevelMaps.fit(targets.transforms, cells, subjects, num_cells),
            variance_factors=fit_variance_factors(
                targets.squared_errors, targets.variances, cells, subjects, num_cells
            ),
            num_subjects=count_subjects(cells, subjects, num_cells),
            population=_population(targets, num_channels),
        )

    def levels(
        self,
        levels: Float[np.ndarray, " level"] | Float[np.ndarray, "level query"],
        surroundings: Surroundings,
    ) -> Float[np.ndarray, "level query"]:
        """Return the levels at which the model's quantiles have the asked coverage.

        Nondecreasing in the asked level, strictly between 0 and 1.
        """
        asked = levels[:, None] if levels.ndim == 1 else levels
        return self.level_maps.apply(asked, surroundings.cells)

    def variance_factor(self, surroundings: Surroundings) -> Float[np.ndarray, " query"]:
        """Return by what to multiply the predicted variance, and both of its parts."""
        return self.variance_factors[surroundings.cells]

    def held_out_subjects(self, surroundings: Surroundings) -> Int[np.ndarray, " query"]:
        """Return how many held-out subjects each query's coverage rests on."""
        return self.num_subjects[surroundings.cells]

    def unusualness(
        self, divergences: Float[np.ndarray, " series"]
    ) -> Float[np.ndarray, " series"]:
        """Return the share of held-out series with a smaller divergence, between 0 and 1."""
        rank = np.searchsorted(self.encoder_divergences, divergences, side="left")
        return rank / len(self.encoder_divergences)

    def population_core(
        self, channels: Int[np.ndarray, " query"]
    ) -> Float[np.ndarray, "level query"]:
        """Return the ends of the population's 90 % interval, cut by `abstention_share`.

        Standardized, NaN where the population is unknown.
        """
        low, high = self.population[channels].T
        cut = self.abstention_share / 2 * (high - low)
        return np.stack([low + cut, high - cut])

    def is_uninformative(
        self, probabilities: Float[np.ndarray, "level query"], surroundings: Surroundings
    ) -> Bool[np.ndarray, " query"]:
        """Return where the calibrated 90 % interval contains the whole `population_core`.

        `probabilities` are the model's distribution function at the two ends of the core. Such an
        answer says of this subject what is true of anyone. A wide interval somewhere else does say
        something, and an unknown population never makes an answer uninformative.
        """
        low, high = self.levels(_CENTRAL, surroundings)
        uninformative: Bool[np.ndarray, " query"] = (probabilities[0] >= low) & (
            probabilities[1] <= high
        )
        return uninformative

    def is_unfounded(self, surroundings: Surroundings) -> Bool[np.ndarray, " query"]:
        """Return where an answer rests on nothing.

        Its variable is not observed in the series, and no held-out subject has a value of it that an
        answer was ever compared with.
        """
        of_channel = self.num_subjects.reshape(-1, CELLS_PER_CHANNEL).sum(axis=1)
        unfounded: Bool[np.ndarray, " query"] = np.isinf(surroundings.gap_hours) & (
            of_channel[surroundings.channels] == 0
        )
        return unfounded

    def to_json(self) -> dict[str, Any]:
        """Return plain lists for `calibration.json`; an unknown population is null."""
        return {
            "encoder_divergences": self.encoder_divergences.tolist(),
            "error_hours": self.error_hours.tolist(),
            "knots": KNOTS.tolist(),
            "level_maps": self.level_maps.table.tolist(),
            "variance_factors": self.variance_factors.tolist(),
            "num_subjects": self.num_subjects.tolist(),
            "population": [
                None if np.isnan(ends).any() else ends.tolist() for ends in self.population
            ],
            "abstention_share": self.abstention_share,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Calibration":
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            If a table does not fit the others, or a level map does not rise from 0 to 1.
        """
        if content["knots"] != KNOTS.tolist():
            raise ValueError("calibration.json has other knots than this program's level maps")
        population = [[np.nan, np.nan] if ends is None else ends for ends in content["population"]]
        return cls(
            np.array(content["encoder_divergences"], dtype=float),
            np.array(content["error_hours"], dtype=float),
            LevelMaps(np.array(content["level_maps"], dtype=float)),
            np.array(content["variance_factors"], dtype=float),
            np.array(content["num_subjects"], dtype=np.int64),
            np.array(population, dtype=float).reshape(-1, 2),
            float(content["abstention_share"]),
        )


def _population(targets: HeldOutTargets, num_channels: int) -> Float[np.ndarray, "channel 2"]:
    """Return the quantiles of the standardized values over subjects, each counting once."""
    channels = targets.surroundings.channels
    result = np.full((num_channels, 2), np.nan)
    for channel in np.unique(channels):
        rows = np.flatnonzero(channels == channel)
        _, owner, counts = np.unique(
            targets.subjects[rows], return_inverse=True, return_counts=True
        )
        if len(counts) >= MIN_SUBJECTS:
            weight = 1 / counts[owner] / len(counts)
            order = np.argsort(targets.values[rows], kind="stable")
            position = np.cumsum(weight[order]) - weight[order] / 2
            result[channel] = np.interp(_CENTRAL, position, targets.values[rows][order])
    return np.round(result, _DECIMALS)
