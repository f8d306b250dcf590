"""A limit in the record (`<0.01`): the network knows its side, and nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.model.networks import (
    COHORT,
    CONFIG,
    answer,
    grid_query,
    random_network,
    untrained_network,
)

QUERY = grid_query(len(COHORT), np.array([3.0, 20.0, 60.0]), (10, 14, 18))
MEASURED_COHORT = replace(COHORT, censoring=np.zeros_like(COHORT.censoring))


@pytest.mark.parametrize("encoder", ["attention", "gru"])
@pytest.mark.parametrize("direction", ["smooth", "filter"])
def test_a_network_that_reads_limits_answers_otherwise_after_one(
    encoder: str, direction: str
) -> None:
    network = random_network(encoder=encoder, direction=direction)
    flipped = replace(COHORT, censoring=-COHORT.censoring)
    locations = [
        answer(network, cohort, QUERY).decoded.loc for cohort in (COHORT, MEASURED_COHORT, flipped)
    ]
    for found in locations:
        assert torch.isfinite(found).all()
    assert not torch.allclose(locations[0], locations[1])
    assert not torch.allclose(locations[0], locations[2])


def test_a_network_that_reads_no_limits_takes_each_as_its_value() -> None:
    network = random_network(reads_limits=False)
    found, expected = (answer(network, cohort, QUERY) for cohort in (COHORT, MEASURED_COHORT))
    assert torch.equal(found.decoded.loc, expected.decoded.loc)


def test_without_limits_in_the_record_the_sides_change_no_bit() -> None:
    reads, ignores = random_network(), random_network(reads_limits=False)
    shared = ignores.state_dict().keys()
    ignores.load_state_dict({name: reads.state_dict()[name] for name in shared})
    assert len(shared) < len(reads.state_dict())
    found, expected = (answer(one, MEASURED_COHORT, QUERY) for one in (reads, ignores))
    for name in ("logits", "loc", "scale"):
        assert torch.equal(getattr(found.decoded, name), getattr(expected.decoded, name))


@pytest.mark.parametrize("side", [-1, 1])
def test_an_untrained_network_takes_a_limit_as_its_value(side: int) -> None:
    network = untrained_network(CONFIG).eval()
    cohort = replace(COHORT, censoring=np.full_like(COHORT.censoring, side))
    found, expected = (answer(network, one, QUERY) for one in (cohort, MEASURED_COHORT))
    assert torch.equal(found.decoded.loc, expected.decoded.loc)
