"""How much of a job is done."""

from dataclasses import dataclass

from service.jobs.account import EMPTY_ACCOUNT, Account
from service.jobs.planning.plan import Plan


@dataclass(frozen=True)
class Done:
    """Sums over the chunks that are done, of a plan; `account` is known at the end."""

    plan: Plan
    num_chunks: int
    num_subjects: int
    num_rows: int
    num_abstained: int
    num_quarantined: int
    account: Account = EMPTY_ACCOUNT
