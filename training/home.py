"""How a model does elsewhere relative to home: the held-out part of the data that it was fitted on.

`fit` keeps the held-out scores in `metrics.json` (key `held_out`), `evaluate` on other data compares
with them, variable by variable, in the standardized units of the artifact: the same units in both
places, so that a ratio of errors is a ratio of clinical errors.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.data.variables import Catalogue, Variable
from training.evaluation import LEAST_SQUARES, MODEL, Evaluation


@dataclass(frozen=True)
class PlaceScore:
    """One variable in one place. Errors are standardized; NaN and 0 targets where there are none."""

    num_targets: int
    error: float
    least_squares_error: float
    crps: float
    coverage_90: float

    @classmethod
    def of(cls, evaluation: Evaluation, channel: int) -> "PlaceScore":
        """Read one channel of an evaluation."""
        return cls(
            num_targets=int(evaluation.counts[channel]),
            error=float(evaluation.errors[MODEL][channel]),
            least_squares_error=float(evaluation.errors[LEAST_SQUARES][channel]),
            crps=float(evaluation.crps[channel]),
            coverage_90=float(evaluation.coverage["90%"][channel]),
        )


_NOTHING = PlaceScore(0, math.nan, math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class HomeScore:
    """One variable here and at home."""

    variable: Variable
    here: PlaceScore
    home: PlaceScore

    @property
    def is_comparable(self) -> bool:
        """Whether it has targets in both places."""
        return self.here.num_targets > 0 and self.home.num_targets > 0

    @property
    def error_ratio(self) -> float:
        """The mean absolute error here divided by that at home."""
        return _ratio(self.here.error, self.home.error)

    @property
    def crps_ratio(self) -> float:
        """The CRPS here divided by that at home."""
        return _ratio(self.here.crps, self.home.crps)


@dataclass(frozen=True)
class HomeComparison:
    """All variables with a target in either place."""

    num_series_here: int
    num_series_home: int
    scores: tuple[HomeScore, ...]

    @property
    def comparable(self) -> tuple[HomeScore, ...]:
        """Variables with targets in both places, the largest loss first."""
        both = [score for score in self.scores if score.is_comparable]
        return tuple(sorted(both, key=lambda score: -score.error_ratio))

    @property
    def absent_here(self) -> list[str]:
        """Names of the variables that only home has."""
        return [one.variable.name for one in self.scores if one.here.num_targets == 0]

    @property
    def absent_home(self) -> list[str]:
        """Names of the variables that only this place has."""
        return [one.variable.name for one in self.scores if one.home.num_targets == 0]

    def mean(self, field: str, *, is_home: bool) -> float:
        """Return the mean over the comparable variables of a field of `PlaceScore`."""
        places = [one.home if is_home else one.here for one in self.comparable]
        return float(np.mean([getattr(place, field) for place in places])) if places else math.nan

    @property
    def error_ratio(self) -> float:
        """The mean error over the comparable variables here, divided by that at home."""
        return _ratio(self.mean("error", is_home=False), self.mean("error", is_home=True))

    @property
    def median_error_ratio(self) -> float:
        """The median over the comparable variables of the ratio, which no single one decides."""
        ratios = [one.error_ratio for one in self.comparable]
        return float(np.nanmedian(ratios)) if ratios else math.nan

    @property
    def crps_ratio(self) -> float:
        """The same of the CRPS."""
        return _ratio(self.mean("crps", is_home=False), self.mean("crps", is_home=True))

    @property
    def least_squares_error_ratio(self) -> float:
        """The same of the least squares: how much harder the records here are for a linear rule."""
        name = "least_squares_error"
        return _ratio(self.mean(name, is_home=False), self.mean(name, is_home=True))

    @classmethod
    def of(
        cls, evaluation: Evaluation, held_out: Mapping[str, Any], catalogue: Catalogue
    ) -> "HomeComparison | None":
        """Compare an evaluation with what `held_out_scores` made; None without that task at home."""
        home = held_out.get(evaluation.task.value)
        if home is None:
            return None
        found = home["variables"]
        scores = [
            HomeScore(
                variable,
                PlaceScore.of(evaluation, channel),
                _read(found[variable.name]) if variable.name in found else _NOTHING,
            )
            for channel, variable in enumerate(catalogue)
            if evaluation.counts[channel] > 0 or variable.name in found
        ]
        return cls(evaluation.num_series, home["num_series"], tuple(scores))

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `metrics.json` of a report."""
        return {
            "num_series_here": self.num_series_here,
            "num_series_home": self.num_series_home,
            "num_variables": len(self.comparable),
            "error_ratio": self.error_ratio,
            "median_error_ratio": self.median_error_ratio,
            "crps_ratio": self.crps_ratio,
            "least_squares_error_ratio": self.least_squares_error_ratio,
            "absent_here": self.absent_here,
            "absent_home": self.absent_home,
            "variables": [
                {
                    "name": one.variable.name,
                    "here": vars(one.here),
                    "home": vars(one.home),
                    "error_ratio": one.error_ratio,
                    "crps_ratio": one.crps_ratio,
                }
                for one in self.comparable
            ],
        }


def held_out_scores(evaluations: Sequence[Evaluation], catalogue: Catalogue) -> dict[str, Any]:
    """Return the scores at home as plain JSON, by task: what `fit` keeps under `held_out`.

    `evaluations` are those of `training.evaluation.judge` on the held-out subjects.
    """
    return {evaluation.task.value: _task_json(evaluation, catalogue) for evaluation in evaluations}


def _task_json(evaluation: Evaluation, catalogue: Catalogue) -> dict[str, Any]:
    overall = evaluation.overall_intervals
    return {
        "num_series": evaluation.num_series,
        "num_targets": int(evaluation.counts.sum()),
        "mean_absolute_error": {name: evaluation.mean_error(name) for name in evaluation.errors},
        "crps": float(np.nanmean(evaluation.crps)),
        "coverage": overall.coverage(0),
        "variables": {
            catalogue[channel].name: vars(PlaceScore.of(evaluation, channel))
            for channel in map(int, np.flatnonzero(evaluation.counts))
        },
    }


def _read(content: Mapping[str, Any]) -> PlaceScore:
    return PlaceScore(**content)


def _ratio(here: float, home: float) -> float:
    return here / home if home > 0 else math.nan
