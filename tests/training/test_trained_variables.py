"""Which variables a model is trained on: ten values of three subjects, and what is said of the rest."""

import numpy as np
import pytest

from model.data.series import Cohort, offsets_from_counts
from tests.catalogues import CHALLENGE
from training.trained_variables import (
    MIN_SUBJECTS,
    MIN_VALUES,
    count_values,
    trained_catalogue,
    untrained_text,
)

CATALOGUE = CHALLENGE.select(("HR", "Temp", "MechVent", "K", "age_years"))


def cohort(*values_of_subjects: dict[str, int]) -> Cohort:
    """Series with so many values of each variable; equal numbers of a subject's name are one."""
    channels = [
        np.repeat([CATALOGUE.channel(name) for name in one], list(one.values()))
        for one in values_of_subjects
    ]
    counts = np.array([len(one) for one in channels])
    flat = np.concatenate(channels).astype(np.int64)
    return Cohort(
        tuple(f"s{number // 2}" for number in range(len(counts))),
        offsets_from_counts(counts),
        np.arange(len(flat), dtype=float),
        flat,
        np.ones(len(flat)),
        np.full((len(counts), 1), np.nan),
    )


@pytest.mark.parametrize(
    ("num_values", "num_series", "is_trained"),
    [
        (MIN_VALUES, 2 * MIN_SUBJECTS, True),
        (MIN_VALUES - 1, 2 * MIN_SUBJECTS, False),
        # Two series are of one subject each.
        (100, 2 * MIN_SUBJECTS - 2, False),
        (100, 2 * MIN_SUBJECTS - 1, True),
    ],
)
def test_values_and_subjects_are_counted(
    num_values: int, num_series: int, is_trained: bool
) -> None:
    shares = np.bincount(np.arange(num_values) % num_series, minlength=num_series)
    records = cohort(*({"HR": 50, "Temp": int(share)} for share in shares), *[{"HR": 50}] * 8)
    found = trained_catalogue(count_values(records, CATALOGUE), CATALOGUE)
    assert ("Temp" in [one.name for one in found]) is is_trained
    assert ("Temp" in [one.name for one in found.untrained]) is not is_trained
    assert found.statics == CATALOGUE.statics


def test_a_state_is_an_input_with_one_value_and_none_without() -> None:
    few = [{"HR": 20, "MechVent": 1}, *[{"HR": 20}] * 9]
    for records, is_input in ((cohort(*few), True), (cohort(*few[1:]), False)):
        found = trained_catalogue(count_values(records, CATALOGUE), CATALOGUE)
        assert ("MechVent" in found.channels) is is_input


def test_what_is_not_trained_is_named_with_the_rule() -> None:
    counts = count_values(cohort(*[{"HR": 20, "Temp": 1}] * 6), CATALOGUE)
    text = untrained_text(counts)
    for part in ("3 of 4 variables", "Temp (6)", "no value: MechVent, K", "10 training values"):
        assert part in text
    assert untrained_text(counts[:1]) == ""
