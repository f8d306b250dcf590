"""How much a target counts."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.data.normalization import Normalization
from model.data.windows import queryable
from tests.catalogues import CHALLENGE
from tests.series import random_cohort
from training.config import TrainingConfig
from training.loader import Loader
from training.objective import VariableWeights

CPU = torch.device("cpu")
WHOLE = random_cohort(60, np.random.default_rng(8), mean_observations=80)
# The first channels become rare: weights must tell a rare variable from a frequent one.
COHORT = WHOLE.keep((WHOLE.channels > 8) | (np.arange(len(WHOLE.channels)) % 6 == 0))
NORMALIZATION = Normalization.fit(COHORT, CHALLENGE)
COUNTS = np.bincount(COHORT.channels, minlength=len(CHALLENGE))
ASKED = queryable(CHALLENGE) & (COUNTS > 0)
UNIT = np.ones(len(CHALLENGE))


def weights_of(scored_scale: np.ndarray = UNIT, **changes: float) -> VariableWeights:
    config = replace(TrainingConfig(), **changes)  # type: ignore[arg-type]
    return VariableWeights.of(Loader(COHORT, CHALLENGE, NORMALIZATION, config), CPU, scored_scale)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_weights_have_mean_one_over_the_observations(exponent: float) -> None:
    made = weights_of(likelihood_exponent=exponent, mean_exponent=exponent, mean_weight=0.25)
    assert made.likelihood.numpy() @ COUNTS == pytest.approx(COUNTS.sum(), rel=1e-5)
    assert made.mean.numpy() @ COUNTS == pytest.approx(0.25 * COUNTS.sum(), rel=1e-5)


def test_without_an_exponent_all_observations_weigh_alike() -> None:
    found = weights_of(likelihood_exponent=0.0).likelihood.numpy()[ASKED]
    assert np.ptp(found) < 1e-6


def test_with_exponent_one_all_variables_weigh_alike() -> None:
    found = weights_of(likelihood_exponent=1.0).likelihood.numpy()[ASKED]
    np.testing.assert_allclose(
        found * (COUNTS[ASKED] + 1), found[0] * (COUNTS[ASKED][0] + 1), rtol=1e-5
    )
    assert np.argmax(found) == np.argmin(COUNTS[ASKED])


def test_what_is_never_asked_for_has_no_weight_and_no_weight_is_too_large() -> None:
    made = weights_of(likelihood_exponent=3.0, mean_exponent=3.0, largest_weight=1.5)
    for found in (made.likelihood, made.mean):
        assert not found.numpy()[~ASKED].any()
    assert float(made.likelihood.max()) == 1.5


def test_a_squared_error_counts_in_the_units_in_which_it_is_scored() -> None:
    scale = np.linspace(0.5, 2.0, len(CHALLENGE))
    plain, scored = weights_of().mean.numpy()[ASKED], weights_of(scale).mean.numpy()[ASKED]
    ratio = scored / plain / scale[ASKED] ** 2
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
    np.testing.assert_array_equal(weights_of(scale).likelihood, weights_of().likelihood)


def test_targets_belong_to_their_series_and_variables() -> None:
    config = replace(TrainingConfig(), likelihood_exponent=0.5)
    loader = Loader(COHORT, CHALLENGE, NORMALIZATION, config)
    made = next(iter(loader.epoch(0)))
    assert made is not None
    weights = VariableWeights.of(loader, CPU, UNIT)
    targets = weights.targets(made, CPU, 8.0)
    assert torch.equal(targets.weights, weights.likelihood[made.batch.query_channels])
    assert torch.equal(targets.mean_weights, weights.mean[made.batch.query_channels])
    assert np.array_equal(targets.series, made.batch.point_series[made.batch.query_points])
    np.testing.assert_array_equal(targets.values, made.values)


def test_an_extreme_target_is_clipped_and_its_cell_moves_with_it() -> None:
    loader = Loader(COHORT, CHALLENGE, NORMALIZATION, TrainingConfig())
    made = next(iter(loader.epoch(0)))
    assert made is not None
    targets = VariableWeights.of(loader, CPU, UNIT).targets(made, CPU, 0.5)
    assert float(targets.values.abs().max()) == 0.5
    is_inside = np.abs(made.values) <= 0.5
    np.testing.assert_array_equal(targets.low[is_inside], made.low[is_inside])
    widths = made.high - made.low
    is_finite = np.isfinite(widths)
    found = (targets.high - targets.low).numpy()
    np.testing.assert_allclose(found[is_finite], widths[is_finite], atol=1e-5)
    np.testing.assert_array_equal(found[~is_finite], widths[~is_finite])
    assert bool(
        ((targets.low <= targets.values + 1e-6) & (targets.values <= targets.high + 1e-6)).all()
    )
