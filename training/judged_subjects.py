"""Which subjects of a data set an artifact is judged on: by itself never one that it saw.

An artifact recognizes the subjects that training and tuning saw (`model.subjects`), in any data set,
however that came about. `auto` judges all others. `held-out` judges those alone that `fit` held out.
`all` judges everybody and says how many of them were seen: its figures are not held out.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Int

from model.data.series import Cohort
from model.subjects import FittedSubjects


class JudgedPart(StrEnum):
    """Whom `evaluate` judges."""

    AUTO = "auto"
    HELD_OUT = "held-out"
    ALL = "all"


class NobodyLeftError(ValueError):
    """Raised where no subject is left to judge."""


@dataclass(frozen=True)
class JudgedSubjects:
    """Whom figures are about. `positions` are their series in the data set.

    `num_seen` of the `num_judged` subjects were seen in training or tuning. `num_left_out` subjects
    of the data set are not judged because they were. `num_home` are all that `fit` knew.
    """

    part: JudgedPart
    positions: Int[np.ndarray, " judged"]
    num_judged: int
    num_seen: int
    num_left_out: int
    num_home: int

    @property
    def is_home(self) -> bool:
        """Whether subjects of these data are those that the artifact was fitted with."""
        return self.num_home > 0

    @property
    def is_held_out(self) -> bool:
        """Whether neither training nor tuning saw any of the judged subjects."""
        return self.num_seen == 0

    @property
    def text(self) -> str:
        """Say whom the figures are about."""
        if not self.is_held_out:
            return (
                f"{self.num_judged:,} subjects; training or tuning saw {self.num_seen:,} of them, so "
                "these figures are not held out"
            )
        if self.num_left_out:
            return (
                f"{self.num_judged:,} subjects; {self.num_left_out:,} that training or tuning saw "
                "are left out"
            )
        return f"{self.num_judged:,} subjects; training and tuning saw none of them"


def choose_subjects(cohort: Cohort, fitted: FittedSubjects, part: JudgedPart) -> JudgedSubjects:
    """Choose the series to judge.

    Raises
    ------
    NobodyLeftError
        If there is none. The message says why and what to do.
    """
    is_seen, is_held_out = (
        fitted.is_seen(cohort.subject_ids),
        fitted.is_held_out(cohort.subject_ids),
    )
    chosen = {
        JudgedPart.AUTO: ~is_seen,
        JudgedPart.HELD_OUT: is_held_out & ~is_seen,
        JudgedPart.ALL: np.ones(len(cohort), dtype=bool),
    }[part]

    def count(mask: np.ndarray) -> int:
        return len({cohort.subject_ids[place] for place in np.flatnonzero(mask)})

    judged = JudgedSubjects(
        part,
        np.flatnonzero(chosen),
        num_judged=count(chosen),
        num_seen=count(chosen & is_seen),
        num_left_out=count(is_seen & ~chosen),
        num_home=count(is_seen | is_held_out),
    )
    if judged.num_judged == 0:
        raise NobodyLeftError(_complaint(judged, count(np.ones(len(cohort), dtype=bool))))
    return judged


def _complaint(judged: JudgedSubjects, num_subjects: int) -> str:
    if num_subjects == 0:
        return "the data set holds no series"
    if judged.part is JudgedPart.HELD_OUT:
        return (
            f"none of the {num_subjects:,} subjects was held out when the artifact was fitted "
            f"({judged.num_left_out:,} were seen in training or tuning); --part auto judges all that "
            "were not seen"
        )
    return (
        f"training or tuning saw every one of the {num_subjects:,} subjects, so nobody is left to "
        "judge; --part all judges them, and says that its figures are not held out. If these are "
        "other people with the same identifiers, import them with identifiers of their own"
    )
