"""What a network is before it has learnt anything, and which ones can be built."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.config import LatentODEConfig
from tests.catalogues import CHALLENGE
from tests.model.networks import (
    COHORT,
    CONFIG,
    NORMALIZATION,
    NUM_SAMPLES,
    answer,
    grid_query,
    untrained_network,
)


@pytest.mark.parametrize("direction", ["smooth", "filter"])
def test_an_untrained_network_interpolates_or_carries_forward(direction: str) -> None:
    network = untrained_network(replace(CONFIG, direction=direction)).eval()
    times = np.array([-3.0, 0.0, 0.7, 13.0, 30.0, 60.0])
    channels = tuple(range(len(CHALLENGE)))
    mean = answer(network, COHORT, grid_query(len(COHORT), times, channels)).decoded.mean
    by_query = mean.detach().view(NUM_SAMPLES, len(COHORT), len(times), len(channels))
    for index, series in enumerate(COHORT):
        values = NORMALIZATION.apply(series.values, series.channels)
        for channel in channels:
            mine = series.channels == channel
            expected = _carried(series.times_hours[mine], values[mine], times)
            if direction == "smooth" and mine.any():
                expected = np.interp(times, series.times_hours[mine], values[mine])
            for sample in by_query[:, index, :, channel]:
                np.testing.assert_allclose(sample, expected, rtol=0, atol=1e-5)


def _carried(times: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Return the last value at each time, the population mean (zero) before the first."""
    return np.concatenate([[0.0], values])[np.searchsorted(times, asked, side="right")]


def test_the_components_of_an_untrained_network_go_from_narrow_to_wide() -> None:
    decoded = answer(
        untrained_network(CONFIG).eval(),
        COHORT,
        grid_query(len(COHORT), np.array([0.5, 30.0]), (14, 18)),
    ).decoded
    assert bool((decoded.scale.diff(dim=-1) > 0).all())
    narrowest = decoded.scale[..., 0]
    torch.testing.assert_close(narrowest, torch.full_like(narrowest, CONFIG.min_scale + 0.05))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"encoder": "lstm"}, "`encoder` must be one of"),
        ({"direction": "back"}, "`direction` one of"),
        ({"encoder_dim": 7, "encoder_heads": 2}, "multiple of `encoder_heads`"),
    ],
)
def test_a_network_that_cannot_be_built_is_refused(
    changes: dict[str, str | int], expected: str
) -> None:
    with pytest.raises(ValueError, match=expected):
        replace(CONFIG, **changes)  # type: ignore[arg-type]


def test_a_configuration_survives_its_own_json() -> None:
    assert LatentODEConfig.from_json(CONFIG.to_json()) == CONFIG
