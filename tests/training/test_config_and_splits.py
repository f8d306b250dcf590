"""Settings by name and splits by subject."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.config import PRESETS, ConfigError, configure
from training.splits import (
    Part,
    Split,
    SplitChoice,
    SplitError,
    fold_of,
    read_split,
    split_subjects,
)

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


def parts_of(split: Split, subjects: Sequence[str]) -> dict[str, str]:
    """The part of every subject."""
    named = zip(Part, (split.train, split.tuning, split.held_out), strict=True)
    return {subjects[place]: part.value for part, places in named for place in places}


def test_folds_hold_out_every_subject_once_and_stay_when_others_go() -> None:
    folds = [fold_of(SUBJECTS, num_folds=5, fold=fold) for fold in range(1, 6)]
    held_out = np.concatenate([fold.held_out for fold in folds])
    assert sorted(held_out) == list(range(len(SUBJECTS)))
    for number, fold in enumerate(folds, start=1):
        everyone = np.concatenate([fold.train, fold.tuning, fold.held_out])
        assert sorted(everyone) == list(range(len(SUBJECTS)))
        assert len(fold.tuning) / (len(fold.train) + len(fold.tuning)) == pytest.approx(
            0.1, abs=0.03
        )
        few = SUBJECTS[::-3]
        expected = parts_of(fold, SUBJECTS)
        found = parts_of(fold_of(few, num_folds=5, fold=number), few)
        assert found == {one: expected[one] for one in few}
    assert len({fold.sha256 for fold in folds}) == 5


def split_file(folder: Path, *lines: str) -> Path:
    path = folder / "split.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return path


def test_own_parts_are_taken_from_a_file(tmp_path: Path) -> None:
    lines = ("subject_id,part,note", "b,held_out,x", " a , train ,", "", '"c, d",tuning', "z,train")
    path = split_file(tmp_path, *lines)
    ids = ("a", "b", "c, d", "a")
    split = SplitChoice(file=path).divide(ids, absent=["z"])
    assert (split.train.tolist(), split.tuning.tolist()) == ([0, 3], [2])
    assert split.held_out.tolist() == [1]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("subject_id;part", "a;train"), "first line must be subject_id,part"),
        ((), "first line must be"),
        (("subject_id,part", "a,train", "b,test"), r"train, tuning, held_out as part \(line 3\)"),
        (("subject_id,part", "a,train", "b"), "line 3"),
        (("subject_id,part", "a,train", "b,tuning", "a,tuning"), r"more than one line \(line 2, 4"),
        (("subject_id,part", "a,train"), "1 of 2 subjects of the data set have no line"),
        (("subject_id,part", "a,train", "b,train", "Q9,train"), r"not in the data set \(line 4\)"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_without_an_identifier(
    tmp_path: Path, lines: tuple[str, ...], expected: str
) -> None:
    with pytest.raises(SplitError, match=expected) as caught:
        read_split(split_file(tmp_path, *lines), ("a", "b"))
    assert "Q9" not in str(caught.value)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"num_folds": 5}, "--fold I"),
        ({"fold": 1}, "--folds K"),
        ({"num_folds": 1, "fold": 1}, "at least 2"),
        ({"num_folds": 5, "fold": 0}, "from 1 to 5"),
        ({"num_folds": 5, "fold": 6}, "from 1 to 5"),
        ({"num_folds": 5, "fold": 1, "file": Path("x.csv")}, "exclude each other"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(choice: dict[str, Any], expected: str) -> None:
    with pytest.raises(SplitError, match=expected):
        SplitChoice(**choice)
