"""Which subjects have no answer, and why: for each the first fault that was found."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Int

from service.inference.errors import Fault


@dataclass(frozen=True)
class Refusal:
    """Why a subject has no answer. `code` is stable; `detail` says what was expected."""

    code: str
    detail: str


@final
class Refusals:
    """The refused subjects of a chunk, by number."""

    def __init__(self, num_subjects: int) -> None:
        self._first: dict[int, Refusal] = {}
        self._is_refused = np.zeros(num_subjects, dtype=bool)

    def add(self, subjects: Int[np.ndarray, " any"], fault: Fault | str, detail: str) -> None:
        """Refuse some subjects, each given once or more often; those refused before keep their fault."""
        refusal = Refusal(str(fault), detail)
        for one in np.unique(subjects).tolist():
            self._first.setdefault(one, refusal)
        self._is_refused[subjects] = True

    @property
    def is_refused(self) -> Bool[np.ndarray, " subject"]:
        """Whether each subject is refused."""
        return self._is_refused

    def items(self) -> list[tuple[int, Refusal]]:
        """Return number and refusal, in the order of the numbers."""
        return sorted(self._first.items(), key=lambda item: item[0])
