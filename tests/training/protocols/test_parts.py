"""What is given and what is asked in each protocol."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.protocols.conftest import NUM_MADE_UP
from tests.training.protocols.parts import ASKED, GIVEN, part
from training.datasets.errors import SourceFormatError
from training.protocols.catalogue import NAMES, load, parse_options
from training.protocols.part import Part
from training.protocols.protocol import Protocol


def parts(protocol: Protocol) -> tuple[Part, Part, Part]:
    return protocol.train, protocol.validation, protocol.test


def ids(protocol: Protocol) -> list[str]:
    return [subject for one in parts(protocol) for subject in one.cohort.subject_ids]


@pytest.mark.parametrize("name", NAMES)
def test_parts_are_disjoint_and_their_series_are_sorted_and_not_empty(
    name: str, made_up: Path
) -> None:
    protocol = load(name, made_up)
    assert len(ids(protocol)) == len(set(ids(protocol)))
    assert protocol.num_records == NUM_MADE_UP
    for one in parts(protocol):
        cohort = one.cohort
        assert len(cohort)
        assert cohort.counts.min() > 0
        assert one.target_mask.any()
        assert np.isfinite(cohort.values).all()
        for series in cohort:
            order = np.lexsort((series.channels, series.times_hours))
            assert order.tolist() == list(range(len(series)))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_protocol_and_another_gives_another(
    name: str, made_up: Path
) -> None:
    default = load(name, made_up)
    assert load(name, made_up, seed=default.seed).mask_sha256 == default.mask_sha256
    assert load(name, made_up, seed=default.seed + 1).mask_sha256 != default.mask_sha256


@pytest.mark.parametrize("name", NAMES)
def test_scored_values_lead_back_to_the_raw_ones(name: str, made_up: Path) -> None:
    protocol = load(name, made_up)
    cohort = protocol.train.cohort
    channel = protocol.variables.index("HR")
    raw = (
        protocol.loc[channel] + protocol.scale[channel] * cohort.values[cohort.channels == channel]
    )
    assert 9 < raw.mean() < 11
    assert 0.5 < raw.std() < 1.5


def test_a_forecast_of_24_hours_is_cut_at_24(made_up: Path) -> None:
    for one in parts(load("tpatchgnn-forecast", made_up)):
        assert one.context.times_hours.max() < 24 <= one.targets.times_hours.min()
        assert (one.context_mask ^ one.target_mask).all()


def test_a_range_is_that_of_train_and_validation(made_up: Path) -> None:
    protocol = load("tpatchgnn-forecast", made_up)
    values = np.concatenate([one.cohort.values for one in parts(protocol)[:2]])
    assert values.min() == 0
    assert values.max() == pytest.approx(1)
    assert protocol.test.cohort.values.max() > 1


@pytest.mark.parametrize("is_legacy", [True, False])
def test_the_three_bins_after_hour_36_are_asked(made_up: Path, is_legacy: bool) -> None:
    for one in parts(load("grafiti-forecast", made_up, legacy_reader=is_legacy)):
        assert one.context.times_hours.max() <= 36 < one.targets.times_hours.min()
        for series in one.targets:
            assert len(np.unique(series.times_hours)) <= 3


@pytest.mark.parametrize("hidden", [0.1, 0.5])
def test_csdi_hides_a_share_of_the_cells_of_each_record(made_up: Path, hidden: float) -> None:
    protocol = load("csdi-imputation", made_up, hidden=hidden)
    for one in parts(protocol):
        assert (one.context_mask ^ one.target_mask).all()
        expected = [int(hidden * count) for count in one.cohort.counts]
        assert one.targets.counts.tolist() == expected
    # The record without a cell is dropped before the folds are drawn.
    assert len(ids(protocol)) == NUM_MADE_UP - 1


def test_the_folds_of_csdi_are_disjoint_and_cover_all_records(made_up: Path) -> None:
    folds = [load("csdi-imputation", made_up, fold=fold) for fold in range(5)]
    tested = [subject for fold in folds for subject in fold.test.cohort.subject_ids]
    assert len(tested) == len(set(tested)) == NUM_MADE_UP - 1


def test_interpolation_gives_whole_rows_and_asks_everything(made_up: Path) -> None:
    half, most = (
        load("mtan-interpolation", made_up, fraction=fraction).test for fraction in (0.5, 0.9)
    )
    assert half.target_mask.all()
    assert (half.context_mask <= most.context_mask).all()
    for series, context in zip(half.cohort, half.context, strict=True):
        rows, given = np.unique(series.times_hours), np.unique(context.times_hours)
        assert len(given) == len(rows) // 2
        assert len(context) == np.isin(series.times_hours, given).sum()


def test_interpolation_hides_the_statics_of_a_record_whose_first_row_is_hidden(
    made_up: Path,
) -> None:
    test = load("mtan-interpolation", made_up).test
    is_given = [bool(len(one)) and one.times_hours[0] == 0 for one in test.context]
    assert np.isfinite(test.cohort.statics[:, 0]).tolist() == is_given
    assert {True, False} == set(is_given)


@pytest.mark.parametrize(("variant", "num_variables"), [("saits", 37), ("tsi-bench", 35)])
def test_saits_hides_a_tenth(made_up: Path, variant: str, num_variables: int) -> None:
    protocol = load("saits-imputation", made_up, variant=variant)
    assert protocol.num_channels == num_variables
    for one in parts(protocol):
        assert (one.context_mask ^ one.target_mask).all()
        assert 0.07 < one.target_mask.mean() < 0.13
    # The record with lines in one hour only.
    assert "1" not in ids(protocol)
    assert len(ids(protocol)) == NUM_MADE_UP - 1
    assert protocol.train.cohort.values.mean() == pytest.approx(0, abs=1e-9)


def test_a_static_that_would_tell_a_hidden_cell_is_unknown(made_up: Path) -> None:
    statics = load("saits-imputation", made_up).test.cohort.statics
    assert np.isnan(statics[:, 4]).all()
    assert np.isfinite(statics[:, 0]).all()
    bench = load("saits-imputation", made_up, variant="tsi-bench")
    assert "Weight" not in bench.variables
    assert np.isfinite(bench.test.cohort.statics[:, 4]).all()


def test_tsi_bench_needs_the_outcomes(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "set-a").symlink_to(sample / "set-a")
    with pytest.raises(SourceFormatError, match=r"no Outcomes-a.txt"):
        load("saits-imputation", tmp_path, variant="tsi-bench")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("physionet", {}, "no protocol 'physionet'"),
        ("csdi-imputation", {"hide": 0.1}, "no option hide; expected fold, hidden"),
        ("csdi-imputation", {"hidden": 1.5}, "hidden between 0 and 1"),
        ("csdi-imputation", {"fold": 5}, "fold 0 to 4"),
        ("mtan-interpolation", {"fraction": 0.0}, "fraction between 0 and 1"),
        ("saits-imputation", {"variant": "brits"}, "no variant 'brits'"),
    ],
)
def test_a_wrong_name_or_option_is_refused(
    made_up: Path, name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        load(name, made_up, **options)


def test_options_are_read_by_the_type_of_their_default() -> None:
    assert parse_options("csdi-imputation", ["fold=2", "hidden=0.5"]) == {"fold": 2, "hidden": 0.5}
    assert parse_options("grafiti-forecast", ["legacy_reader=false"]) == {"legacy_reader": False}
    assert parse_options("saits-imputation", ["variant=tsi-bench"]) == {"variant": "tsi-bench"}
    for text in ("fold", "fold=a", "legacy_reader=no", "seed=3"):
        name = "grafiti-forecast" if text.startswith("legacy") else "csdi-imputation"
        with pytest.raises(ValueError, match=name):
            parse_options(name, [text])


def test_a_hash_tells_every_mask_and_id_apart() -> None:
    one = part([(0.0, 0, 1.0, GIVEN), (1.0, 1, 2.0, ASKED)])
    others = [
        replace(one, context_mask=~one.context_mask),
        replace(one, target_mask=one.context_mask | one.target_mask),
        replace(one, cohort=replace(one.cohort, subject_ids=("other",))),
        replace(one, cohort=replace(one.cohort, channels=one.cohort.channels[::-1])),
    ]
    assert len({one.sha256(), *(other.sha256() for other in others)}) == 5


def test_masks_need_one_entry_for_each_observation() -> None:
    one = part([(0.0, 0, 1.0, GIVEN), (1.0, 1, 2.0, ASKED)])
    with pytest.raises(ValueError, match="target_mask"):
        replace(one, target_mask=np.array([True]))


def test_chosen_series_keep_their_masks() -> None:
    one = part(
        [(0.0, 0, 1.0, GIVEN), (1.0, 1, 2.0, ASKED)],
        [(0.0, 0, 3.0, ASKED)],
    )
    chosen = one.select(np.array([1, 0]))
    assert chosen.cohort.subject_ids == ("1", "0")
    assert chosen.targets.values.tolist() == [3.0, 2.0]
    assert chosen.context.values.tolist() == [1.0]
