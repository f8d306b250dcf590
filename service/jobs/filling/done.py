"""How much of a job is done."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

from service.jobs.filling.filling import ChunkResult
from service.jobs.planning.plan import Plan


@dataclass(frozen=True)
class Done:
    """Sums over the chunks that are done, of a plan."""

    plan: Plan
    num_chunks: int
    num_subjects: int
    num_rows: int
    num_abstained: int
    num_quarantined: int
    num_dropped: int

    @classmethod
    def of(cls, plan: Plan, results: Iterable[ChunkResult]) -> "Done":
        """Sum up."""
        known = list(results)
        names = [field.name for field in fields(cls)][2:]
        sums = (sum(getattr(result, name) for result in known) for name in names)
        return cls(plan, len(known), *sums)
