"""Everything that a report shows, gathered once for the page, the summary and `metrics.json`."""

from collections.abc import Sequence
from dataclasses import dataclass

from training.evaluation import Evaluation
from training.home import HomeComparison
from training.report.examples import Example
from training.report.provenance import Provenance
from training.report.scores import GapScore, VariableScore, gap_scores, variable_scores


@dataclass(frozen=True, kw_only=True)
class Content:
    """`home` compares with the held-out part of the training data; None where this is it."""

    evaluation: Evaluation
    scores: Sequence[VariableScore]
    gaps: Sequence[GapScore]
    examples: Sequence[Example]
    provenance: Provenance
    home: HomeComparison | None

    @classmethod
    def of(
        cls,
        evaluation: Evaluation,
        provenance: Provenance,
        *,
        examples: Sequence[Example] = (),
        home: HomeComparison | None = None,
    ) -> "Content":
        """Attach names and units to the figures."""
        return cls(
            evaluation=evaluation,
            scores=variable_scores(evaluation, provenance.catalogue),
            gaps=gap_scores(evaluation),
            examples=examples,
            provenance=provenance,
            home=home,
        )
