"""Settings by name and splits by subject."""

import numpy as np
import pytest

from training.config import PRESETS, ConfigError, configure
from training.splits import split_subjects

SUBJECTS = tuple(str(number) for number in range(132539, 134539))


def test_overrides_take_the_type_of_the_setting() -> None:
    config = configure(
        "quick", ["epochs=3", "learning_rate=1e-3", "hidden_fraction=0.2,0.4"], seed=5
    )
    assert (config.epochs, config.learning_rate, config.seed) == (3, 1e-3, 5)
    assert config.hidden_fraction == (0.2, 0.4)
    assert config.encoder_dim == PRESETS["quick"].encoder_dim
    for text, expected in (("True", True), ("False", False)):
        assert configure("quick", [f"use_control={text}"], seed=0).use_control is expected


def test_tasks_and_network_are_those_of_the_settings() -> None:
    config = configure("best", ["cells_share=0.25", "horizon_rows=3", "encoder=gru"], seed=0)
    assert (config.tasks.cells_share, config.tasks.horizon_rows) == (0.25, 3)
    architecture = config.architecture(num_channels=7, num_statics=2)
    assert (architecture.num_channels, architecture.num_statics) == (7, 2)
    for name in ("encoder", "direction", "latent_dim", "encoder_dim", "encoder_layers", "dropout"):
        assert getattr(architecture, name) == getattr(config, name), name


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_its_own_name_and_a_network(preset: str) -> None:
    assert PRESETS[preset].preset == preset
    assert PRESETS[preset].architecture(num_channels=7, num_statics=2).encoder_heads > 0


@pytest.mark.parametrize("override", ["encoder=lstm", "direction=both"])
def test_a_network_that_does_not_exist_is_refused_when_it_is_built(override: str) -> None:
    with pytest.raises(ValueError, match="must be one of"):
        configure("quick", [override], seed=0).architecture(num_channels=7, num_statics=2)


@pytest.mark.parametrize(
    ("preset", "override", "expected"),
    [
        ("huge", "epochs=3", "one of: quick, default, best"),
        ("quick", "epoch=3", "a key of: epochs"),
        ("quick", "epochs", "key=value"),
        ("quick", "epochs=many", "expected int"),
        ("quick", "hidden_fraction=0.2", "expected 2 numbers with commas"),
        ("quick", "use_control=no", "expected True or False"),
        ("quick", "seed=3", "a key of"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_choices(
    preset: str, override: str, expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected):
        configure(preset, [override], seed=0)


def test_parts_are_disjoint_and_complete() -> None:
    split = split_subjects(SUBJECTS)
    everyone = np.concatenate([split.train, split.tuning, split.held_out])
    assert sorted(everyone) == list(range(len(SUBJECTS)))
    assert len(split.held_out) / len(SUBJECTS) == pytest.approx(0.1, abs=0.02)
    assert len(split.tuning) / len(SUBJECTS) == pytest.approx(0.1, abs=0.02)


def test_a_subject_keeps_its_part_when_others_come_and_go() -> None:
    whole = split_subjects(SUBJECTS)
    held_out = {SUBJECTS[index] for index in whole.held_out}
    shuffled = np.random.default_rng(0).permutation(SUBJECTS)[:700]
    part = split_subjects(tuple(str(subject) for subject in shuffled))
    assert {str(shuffled[index]) for index in part.held_out} == held_out & set(shuffled)


def test_all_windows_of_a_subject_are_in_one_part() -> None:
    repeated = tuple(subject for subject in SUBJECTS[:200] for _ in range(3))
    split = split_subjects(repeated)
    parts = [{repeated[i] for i in part} for part in (split.train, split.tuning, split.held_out)]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
