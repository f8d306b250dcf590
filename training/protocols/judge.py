"""Judge a method on the test part: its scores, and its errors against per-variable least squares."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from training.protocols.answers import Answers
from training.protocols.bootstrap import Errors, Ratio, ratio
from training.protocols.part import Part
from training.protocols.protocol import Protocol
from training.protocols.scores import Scores, score


@dataclass(frozen=True)
class NamedRatio:
    """The ratio of one metric to that of least squares on the same targets."""

    metric: str
    ratio: Ratio


@dataclass(frozen=True)
class Judgment:
    """A method in the table; its ratios are empty for least squares itself."""

    name: str
    scores: Scores
    ratios: tuple[NamedRatio, ...]


@dataclass(frozen=True)
class _Loss:
    """A metric that is a mean of losses: of which answer, squared or not, over which targets."""

    metric: str
    is_squared: bool
    is_median: bool = False
    is_pooled: bool = True
    is_held_out: bool = False

    def losses(self, answers: Answers, part: Part) -> Float[np.ndarray, " target"]:
        errors = (answers.median if self.is_median else answers.mean) - part.targets.values
        return errors**2 if self.is_squared else np.abs(errors)


_LOSSES = {
    "mtan-interpolation": (
        _Loss("mse_held_out", is_squared=True, is_held_out=True),
        _Loss("mse_all_pooled", is_squared=True),
    ),
    "tpatchgnn-forecast": (
        _Loss("mse", is_squared=True, is_pooled=False),
        _Loss("mae", is_squared=False, is_pooled=False),
        _Loss("mae_median", is_squared=False, is_median=True, is_pooled=False),
    ),
    "grafiti-forecast": (
        _Loss("mse", is_squared=True),
        _Loss("mae_median", is_squared=False, is_median=True),
    ),
    "csdi-imputation": (
        _Loss("mae", is_squared=False, is_median=True),
        _Loss("mse", is_squared=True),
    ),
    "saits-imputation": (
        _Loss("mae_median", is_squared=False, is_median=True),
        _Loss("mse", is_squared=True),
    ),
}


def judge(
    protocol: Protocol,
    name: str,
    answers: Answers,
    reference: Answers | None,
    generator: np.random.Generator,
) -> Judgment:
    """Score answers to the test part, and compare them with those of a reference method."""
    part = protocol.test
    scores = score(protocol, part, answers)
    if reference is None:
        return Judgment(name, scores, ())
    ratios = []
    for loss in _LOSSES[protocol.name]:
        kept = _kept(part) if loss.is_held_out else np.ones(len(answers.mean), dtype=bool)
        own, other = (_errors(loss, one, part, kept) for one in (answers, reference))
        ratios.append(NamedRatio(loss.metric, ratio(own, other, generator)))
    return Judgment(name, scores, tuple(ratios))


def _kept(part: Part) -> Bool[np.ndarray, " target"]:
    """Return which targets were not given."""
    return ~part.context_mask[part.target_mask]


def _errors(loss: _Loss, answers: Answers, part: Part, kept: Bool[np.ndarray, " target"]) -> Errors:
    targets = part.targets
    return Errors.of(
        loss.losses(answers, part)[kept],
        targets.series_indices[kept],
        targets.channels[kept],
        pooled=loss.is_pooled,
    )
