"""`metrics.json`: every figure of the report for programs, as strict JSON."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from training.evaluation import MODEL, Evaluation
from training.report.labels import BASELINE_NAMES
from training.report.provenance import Provenance
from training.report.scores import NOMINAL, GapScore, VariableScore, mean_crps, overall_coverage

SCHEMA_VERSION = 1


def metrics_json(
    evaluation: Evaluation,
    scores: Sequence[VariableScore],
    gaps: Sequence[GapScore],
    widths: Mapping[str, float],
    provenance: Provenance,
) -> dict[str, Any]:
    """Return the content of the file. Errors are standardized unless a key says canonical."""
    coverage = overall_coverage(scores)
    content = {
        "schema_version": SCHEMA_VERSION,
        "task": evaluation.task.value,
        "num_series": evaluation.num_series,
        "num_targets": sum(score.num_targets for score in scores),
        "mean_absolute_error": {name: evaluation.mean_error(name) for name in evaluation.errors},
        "ratio": {name: _ratio(evaluation, name) for name in BASELINE_NAMES},
        "crps": mean_crps(scores),
        "coverage": {
            name: {
                "over_targets": coverage[name],
                "over_variables": sum(score.coverage[name] for score in scores) / len(scores),
            }
            for name in NOMINAL
        },
        "coverage_by_gap": [
            {
                "from_hours": gap.low_hours,
                "to_hours": gap.high_hours,
                "num_targets": gap.num_targets,
                "coverage": gap.coverage,
            }
            for gap in gaps
        ],
        "variables": [_variable(score, widths) for score in scores],
        "provenance": provenance.to_json(),
    }
    return dict(_finite(content))


def _ratio(evaluation: Evaluation, baseline: str) -> dict[str, float]:
    low, high = evaluation.ratio_intervals[baseline]
    return {"ratio": evaluation.ratio(baseline), "low_95": low, "high_95": high}


def _variable(score: VariableScore, widths: Mapping[str, float]) -> dict[str, Any]:
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
        "interval_width_90_canonical": widths[score.variable.name],
        "best_baseline": score.best_baseline,
        "ratio_to_best_baseline": score.ratio,
        "is_worse_than_best_baseline": score.errors[MODEL] > score.errors[score.best_baseline],
    }


def _finite(content: Any) -> Any:
    """Replace NaN and infinities, which JSON does not have, by null."""
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, float):
        return float(content) if math.isfinite(content) else None
    return content
