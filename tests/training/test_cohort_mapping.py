"""Records of one catalogue in the variables of another: by name, converted, the rest counted."""

from dataclasses import replace

import numpy as np
import pytest

from model.data.series import Cohort
from model.data.variables import Catalogue, Static, Variable
from tests.catalogues import CHALLENGE
from training.cohort_mapping import map_cohort

OWN = Catalogue(
    (
        Variable(name="SpO2", unit="%", plausible_range=(20.0, 100.0)),
        Variable(name="Temp", unit="[degF]", plausible_range=(70.0, 120.0)),
        Variable(name="HR", unit="/min", plausible_range=(0.0, 500.0)),
        Variable(name="K", unit="mg", plausible_range=(0.0, 500.0)),
    ),
    (
        Static(
            name="sex",
            unit="1",
            plausible_range=(0.0, 2.0),
            categories=("other", "male", "female"),
        ),
        Static(name="height_cm", unit="m", plausible_range=(0.5, 2.5)),
        Static(name="ward", unit="1", plausible_range=(0.0, 9.0)),
    ),
)
COHORT = Cohort(
    ("a", "b", "c"),
    np.array([0, 5, 6, 7]),
    np.array([0.0, 1.0, 1.0, 1.0, 2.0, 0.0, 0.0]),
    np.array([0, 0, 1, 2, 2, 3, 2]),
    np.array([98.0, 97.0, 98.6, 80.0, 480.0, 4.0, 90.0]),
    np.array([[2.0, 1.8, 3.0], [0.0, np.nan, 1.0], [np.nan, 9.0, 1.0]]),
    np.array([0, 0, 0, -1, 0, 0, 1]),
)


def test_values_come_in_the_units_of_the_other_and_the_rest_is_counted() -> None:
    target = CHALLENGE.select(("HR", "Temp", "K", "age_years", "sex", "height_cm"))
    mapped = map_cohort(COHORT, OWN, target)
    cohort = mapped.cohort
    assert cohort.subject_ids == COHORT.subject_ids
    assert cohort.counts.tolist() == [2, 0, 1]
    assert cohort.channels.tolist() == [0, 1, 0]  # of one time, in the order of the other catalogue
    np.testing.assert_allclose(cohort.values, [80.0, 37.0, 90.0])
    assert cohort.censoring.tolist() == [-1, 0, 1]
    expected = [[np.nan, 0.0, 180.0], [np.nan, np.nan, np.nan], [np.nan, np.nan, np.nan]]
    np.testing.assert_allclose(cohort.statics, expected)
    assert mapped.unknown == {"SpO2": 2, "K": 1}
    assert mapped.implausible == {"HR": 1}
    for text in ("3 values", "SpO2, K", "1 values", "HR"):
        assert text in mapped.text


def test_a_variable_that_is_not_trained_is_left_out() -> None:
    trained = OWN.select(("Temp", "sex"))
    target = replace(trained, untrained=(OWN[2],))
    mapped = map_cohort(COHORT, OWN, target)
    assert set(mapped.cohort.channels.tolist()) == {0}
    assert mapped.unknown == {"HR": 3, "SpO2": 2, "K": 1}


def test_the_same_variables_change_nothing() -> None:
    assert map_cohort(COHORT, OWN, replace(OWN, untrained=(CHALLENGE[0],))).cohort is COHORT
    assert map_cohort(COHORT, OWN, OWN).text == ""


@pytest.mark.parametrize("names", [("HR",), ("sex",)])
def test_a_catalogue_may_have_no_static_or_no_common_variable(names: tuple[str, ...]) -> None:
    mapped = map_cohort(COHORT, OWN, CHALLENGE.select((*names, "Mg")))
    assert len(mapped.cohort) == 3
