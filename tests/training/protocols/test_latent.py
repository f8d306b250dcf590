"""Our model as a method of the protocols: small, on made-up records."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.protocols.parts import random_part
from training.checkpoint import EpochRecord
from training.protocols.catalogue import NAMES
from training.protocols.latent import (
    LATENT,
    LatentMethod,
    fit_latent,
    protocol_normalization,
    rows,
)
from training.protocols.part import Part
from training.protocols.protocol import Protocol
from training.protocols.recipes import RECIPES, recipe_of

CPU = torch.device("cpu")


class Recorder:
    """Keeps the records of the epochs."""

    def __init__(self) -> None:
        self.records: list[EpochRecord] = []

    def on_batch(self, epoch: int, batch: int, num_batches: int, loss: float) -> None:
        assert np.isfinite(loss)

    def on_epoch(self, record: EpochRecord, *, is_best: bool) -> None:
        self.records.append(record)


def _protocol() -> Protocol:
    train, validation, test = (
        random_part(np.random.default_rng(seed), num_series=40) for seed in range(3)
    )
    size = 1 + max(int(part.cohort.channels.max()) for part in (train, validation, test))
    return Protocol(
        name="csdi-imputation",
        variables=tuple(f"variable {channel}" for channel in range(size)),
        train=train,
        validation=validation,
        test=test,
        seed=0,
        loc=np.zeros(size),
        scale=np.ones(size),
        sets="A",
        num_records=120,
    )


@pytest.fixture(scope="module")
def method(tmp_path_factory: pytest.TempPathFactory) -> LatentMethod:
    """Two small networks."""
    small = ["encoder_dim=8", "latent_dim=4", "decoder_dim=8", "encoder_layers=1"]
    recipe = recipe_of("csdi-imputation", small, seed=0, epochs=1, num_members=2)
    out = tmp_path_factory.mktemp("latent")
    return fit_latent(_protocol(), recipe, out=out, device=CPU, progress=Recorder())


def test_what_is_given_is_answered_with_itself(method: LatentMethod) -> None:
    part = method.protocol.test
    everything = replace(part, target_mask=np.ones_like(part.target_mask))
    answers = method.answer(everything)
    given = everything.context_mask
    np.testing.assert_array_equal(answers.mean[given], part.cohort.values[given])
    np.testing.assert_array_equal(answers.median[given], part.cohort.values[given])
    asked = method.answer(replace(part, target_mask=~part.context_mask))
    np.testing.assert_allclose(answers.mean[~given], asked.mean, atol=1e-5)


def test_every_target_has_ordered_finite_quantiles(method: LatentMethod) -> None:
    for one in rows(method).values():
        answers = one.answer(method.protocol.test)
        assert answers.quantiles is not None
        assert np.isfinite(answers.quantiles).all()
        assert np.all(np.diff(answers.quantiles, axis=0) >= 0)
        assert np.isfinite(answers.mean).all()


def test_a_record_with_nothing_given_has_the_distribution_of_the_training_values(
    method: LatentMethod,
) -> None:
    part = method.protocol.test
    nothing = Part(part.cohort, np.zeros_like(part.context_mask), part.target_mask)
    answers = method.answer(nothing)
    channels = nothing.targets.channels
    train = method.protocol.train.cohort
    for channel in np.unique(channels):
        expected = np.median(train.values[train.channels == channel])
        np.testing.assert_allclose(answers.median[channels == channel], expected)
    assert answers.log_density is not None
    assert np.isfinite(answers.log_density).all()


def test_an_ensemble_answers_between_its_members(method: LatentMethod) -> None:
    part = method.protocol.test
    alone = [replace(method, networks=[net]).answer(part).mean for net in method.networks]
    np.testing.assert_allclose(method.answer(part).mean, np.mean(alone, axis=0), atol=1e-9)
    assert {LATENT, f"{LATENT}, one network"} < set(rows(method))


def test_nothing_of_the_test_part_reaches_the_method(method: LatentMethod, tmp_path: Path) -> None:
    changed = replace(
        method.protocol,
        test=random_part(np.random.default_rng(99), num_series=5),
    )
    found = protocol_normalization(changed)
    np.testing.assert_array_equal(found.scale, method.normalization.scale)
    small = ["encoder_dim=8", "latent_dim=4", "decoder_dim=8", "encoder_layers=1"]
    recipe = recipe_of("csdi-imputation", small, seed=0, epochs=1, num_members=1)
    other = fit_latent(changed, recipe, out=tmp_path, device=CPU, progress=Recorder())
    validation = method.protocol.validation
    first = replace(method, networks=method.networks[:1])
    np.testing.assert_array_equal(other.answer(validation).mean, first.answer(validation).mean)


def test_every_protocol_has_a_recipe() -> None:
    assert set(RECIPES) == set(NAMES)
