"""Where the model stands, in one sentence that also says where it loses."""

import math
from collections.abc import Sequence

from training.evaluation import Evaluation
from training.report.labels import BASELINE_NAMES, TASK_NAMES, enumeration, percent
from training.report.scores import VariableScore

_SMALL_EXCESS = 0.01


def headline(evaluation: Evaluation, scores: Sequence[VariableScore]) -> str:
    """Return the sentence at the top of the page and of the summary."""
    groups: dict[int, list[str]] = {-1: [], 0: [], 1: []}
    for name in BASELINE_NAMES:
        groups[_verdict(evaluation, name)].append(_compared(evaluation, name))
    equal = [f"not distinguishable from {enumeration(groups[0])}"] if groups[0] else []
    clauses = [*([enumeration(groups[-1])] if groups[-1] else []), *equal]
    if groups[1]:
        clauses.append(enumeration(groups[1]))
    worse = sum(score.is_worse for score in scores)
    count = f"{worse} of {len(scores)}" if worse else f"none of {len(scores)}"
    limits = (
        f" {evaluation.num_limits:,} further targets are limits, such as <0.01; no error can judge them."
        if evaluation.num_limits
        else ""
    )
    return (
        f"On {evaluation.num_series:,} series the model's mean {TASK_NAMES[evaluation.task].lower()} "
        f"error is {', but '.join(clauses)}; on {count} variables it is worse than the best of these."
        f"{limits}"
    )


def losses(scores: Sequence[VariableScore]) -> str:
    """Return sentences that name the variables on which some baseline is better, worst first."""
    worse: dict[str, list[str]] = {}
    for score in sorted(scores, key=lambda score: -score.ratio):
        if score.is_worse:
            worse.setdefault(score.best_baseline, []).append(_excess(score))
    if not worse:
        return "No baseline has a smaller error than the model on any variable."
    return (
        "Where the model loses: "
        + "; ".join(
            f"to {BASELINE_NAMES[baseline]} on {enumeration(named)}"
            for baseline, named in worse.items()
        )
        + "."
    )


def verdict(evaluation: Evaluation, baseline: str) -> str:
    """Say in two words whether the interval of the ratio excludes 1."""
    return {-1: "model better", 0: "undecided", 1: "model worse"}[_verdict(evaluation, baseline)]


def _excess(score: VariableScore) -> str:
    """Return the variable and how much larger the model's error is."""
    if math.isnan(score.ratio):
        return score.variable.name
    excess = score.ratio - 1
    amount = f"+{percent(excess)}" if excess >= _SMALL_EXCESS else "by less than 1\u00a0%"
    return f"{score.variable.name} ({amount})"


def _verdict(evaluation: Evaluation, baseline: str) -> int:
    low, high = evaluation.ratio_intervals[baseline]
    if math.isnan(evaluation.ratio(baseline)):
        return 0
    return -1 if high < 1 else 1 if low > 1 else 0


def _compared(evaluation: Evaluation, baseline: str) -> str:
    text, sign = BASELINE_NAMES[baseline], _verdict(evaluation, baseline)
    if sign == 0:
        return text
    amount = percent(abs(1 - evaluation.ratio(baseline)))
    return f"{amount} {'lower' if sign < 0 else 'higher'} than {text}"
