"""`metrics.json`: every figure of the report for programs, as strict JSON."""

import math
from collections.abc import Mapping
from typing import Any

from model.metrics import chi_square
from training.evaluation import MODEL, Evaluation
from training.intervals import NOMINAL
from training.report.content import Content
from training.report.labels import BASELINE_NAMES
from training.report.scores import VariableScore, mean_crps, worst_covered

SCHEMA_VERSION = 2


def metrics_json(content: Content) -> dict[str, Any]:
    """Return the content of the file. Errors are standardized unless a key says canonical."""
    evaluation, scores = content.evaluation, content.scores
    histogram = evaluation.overall_intervals.histogram[0]
    figures = {
        "schema_version": SCHEMA_VERSION,
        "task": evaluation.task.value,
        "num_series": evaluation.num_series,
        "num_limits": evaluation.num_limits,
        "num_targets": sum(score.num_targets for score in scores),
        "mean_absolute_error": {name: evaluation.mean_error(name) for name in evaluation.errors},
        "ratio": {name: _ratio(evaluation, name) for name in BASELINE_NAMES},
        "crps": mean_crps(scores),
        "coverage": _coverage(content),
        "interval_score_90": float(evaluation.overall_intervals.interval_score[0]),
        "pit_histogram": histogram.tolist(),
        "pit_chi_square": chi_square(histogram, int(evaluation.counts.sum())),
        "worst_covered_variable": worst_covered(scores).variable.name,
        "coverage_by_gap": [
            {
                "from_hours": gap.low_hours,
                "to_hours": gap.high_hours,
                "num_targets": gap.num_targets,
                "coverage": gap.coverage,
                "coverage_split": gap.split_coverage,
                "interval_width": gap.widths,
                "interval_score_90": gap.interval_score,
            }
            for gap in content.gaps
        ],
        "variables": [_variable(score) for score in scores],
        "home": content.home.to_json() if content.home else None,
        "provenance": content.provenance.to_json(),
    }
    return dict(finite(figures))


def _coverage(content: Content) -> dict[str, dict[str, float]]:
    overall, scores = content.evaluation.overall_intervals, content.scores
    return {
        name: {
            "over_targets": float(overall.closed[row, 0]),
            "over_targets_split": float(overall.split[row, 0]),
            "over_variables": sum(score.coverage[name] for score in scores) / len(scores),
            "mean_width": float(overall.width[row, 0]),
        }
        for row, name in enumerate(NOMINAL)
    }


def _ratio(evaluation: Evaluation, baseline: str) -> dict[str, float]:
    low, high = evaluation.ratio_intervals[baseline]
    return {"ratio": evaluation.ratio(baseline), "low_95": low, "high_95": high}


def _variable(score: VariableScore) -> dict[str, Any]:
    return {
        "name": score.variable.name,
        "unit": score.variable.unit,
        "loinc": score.variable.loinc,
        "kind": score.variable.kind.value,
        "num_targets": score.num_targets,
        "mean_absolute_error": score.errors,
        "mean_absolute_error_canonical": score.canonical_error,
        "root_mean_squared_error": score.root_mean_squared_errors,
        "crps": score.crps,
        "coverage": score.coverage,
        "coverage_split": score.split_coverage,
        "has_many_targets": score.has_many_targets,
        "interval_score_90": score.interval_score,
        "interval_width_90_canonical": score.canonical_width,
        "best_baseline": score.best_baseline,
        "ratio_to_best_baseline": score.ratio,
        "is_worse_than_best_baseline": score.errors[MODEL] > score.errors[score.best_baseline],
    }


def finite(content: Any) -> Any:
    """Replace NaN and infinities, which JSON does not have, by null."""
    if isinstance(content, Mapping):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    if isinstance(content, float):
        return float(content) if math.isfinite(content) else None
    return content
