"""Which variables of a data set a model can be trained on: those with values enough in training.

A variable with fewer than `MIN_VALUES` values, or values of fewer than `MIN_SUBJECTS` subjects, in
the training part is no channel of the model: an answer about it would rest on nothing. The artifact
names it, so that a query of it is refused by name. A state is never answered; one value of it
suffices, and it is read as input.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.data.series import Cohort
from model.data.variables import Catalogue, Kind, Variable

MIN_VALUES = 10
MIN_SUBJECTS = 3


@dataclass(frozen=True)
class VariableCount:
    """How much of a variable the training part holds."""

    variable: Variable
    num_values: int
    num_subjects: int

    @property
    def is_enough(self) -> bool:
        """Whether a model can be trained on it."""
        if self.variable.kind is Kind.STATE:
            return self.num_values > 0
        return self.num_values >= MIN_VALUES and self.num_subjects >= MIN_SUBJECTS


def count_values(train: Cohort, catalogue: Catalogue) -> tuple[VariableCount, ...]:
    """Count the values and the subjects of every variable; a subject may have several series."""
    num_channels = len(catalogue)
    owners = np.unique(np.array(train.subject_ids, dtype=object), return_inverse=True)[1]
    pairs = np.unique(owners[train.series_indices] * num_channels + train.channels)
    values = np.bincount(train.channels, minlength=num_channels)
    subjects = np.bincount(pairs % num_channels, minlength=num_channels)
    return tuple(map(VariableCount, catalogue.variables, values.tolist(), subjects.tolist()))


def trained_catalogue(counts: Sequence[VariableCount], catalogue: Catalogue) -> Catalogue:
    """Return the channels of the model, and apart the variables that it is not trained on.

    Examples
    --------
    >>> from model.data.catalogue import shipped_catalogue
    >>> catalogue = shipped_catalogue().select(["HR", "Lactate"])
    >>> counts = [VariableCount(catalogue[0], 500, 20), VariableCount(catalogue[1], 2, 1)]
    >>> trained = trained_catalogue(counts, catalogue)
    >>> [one.name for one in trained], [one.name for one in trained.untrained]
    (['HR'], ['Lactate'])
    """
    trained = tuple(count.variable for count in counts if count.is_enough)
    untrained = tuple(count.variable for count in counts if not count.is_enough)
    return Catalogue(trained, catalogue.statics, untrained)


def untrained_text(counts: Sequence[VariableCount]) -> str:
    """Say which variables are not trained, those with some values first; empty if there is none."""
    missing = [count for count in counts if not count.is_enough]
    if not missing:
        return ""
    few = [f"{one.variable.name} ({one.num_values})" for one in missing if one.num_values]
    none = [one.variable.name for one in missing if not one.num_values]
    parts = [f"too few values: {', '.join(few)}"] * bool(few)
    parts += [f"no value: {', '.join(none)}"] * bool(none)
    return (
        f"{len(missing)} of {len(counts)} variables have fewer than {MIN_VALUES} training values or "
        f"{MIN_SUBJECTS} training subjects and are never answered ({'; '.join(parts)})"
    )
