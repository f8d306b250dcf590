"""The self-test passes wherever the same model is computed, and fails for any other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.artifact import Artifact, load_artifact
from model.errors import ArtifactError
from model.golden import Golden
from model.runtime.backends import Backend, load_predictor
from model.runtime.mixture_predictor import MixturePredictor
from model.runtime.self_test import LARGEST_DIFFERENCE, answer_golden, self_test
from tests.artifacts import write_again
from tests.catalogues import CHALLENGE


def predictor_of(artifact: Artifact, backend: Backend = "torch") -> MixturePredictor:
    return load_predictor(artifact, backend=backend, device="cpu")


def with_golden(directory: Path, seed: int = 0) -> Artifact:
    artifact = load_artifact(directory)
    golden = answer_golden(predictor_of(artifact), np.random.default_rng(seed))
    return replace(artifact, golden=golden)


@pytest.mark.parametrize("seed", range(3))
def test_torch_s_answers_are_those_of_the_graph(tiny_onnx_artifact: Path, seed: int) -> None:
    artifact = with_golden(tiny_onnx_artifact, seed)
    assert self_test(predictor_of(artifact, "onnx"))
    assert self_test(predictor_of(artifact))


def test_an_artifact_without_golden_series_is_not_tested(tiny_artifact: Path) -> None:
    assert not self_test(predictor_of(load_artifact(tiny_artifact)))


def test_golden_series_survive_the_artifact(tiny_artifact: Path, tmp_path: Path) -> None:
    artifact = with_golden(tiny_artifact)
    write_again(artifact, tmp_path / "again")
    read = load_artifact(tmp_path / "again")
    assert artifact.golden is not None
    assert read.golden is not None
    assert read.golden.to_json() == artifact.golden.to_json()
    assert "golden.json" in read.manifest.files
    assert self_test(predictor_of(read))
    content = (tmp_path / "again" / "golden.json").read_bytes()
    (tmp_path / "again" / "golden.json").write_bytes(content.replace(b"1", b"2", 1))
    with pytest.raises(ArtifactError, match=r"golden\.json was altered"):
        load_artifact(tmp_path / "again")


def test_every_altered_weight_is_noticed(tiny_artifact: Path) -> None:
    artifact = with_golden(tiny_artifact)
    for name, value in artifact.weights.items():
        altered = replace(artifact, weights={**artifact.weights, name: value * 1.5})
        with pytest.raises(ArtifactError, match="the self-test failed"):
            self_test(predictor_of(altered))


def test_an_altered_calibration_and_normalization_are_noticed(tiny_artifact: Path) -> None:
    artifact = with_golden(tiny_artifact)
    scaled = replace(artifact.normalization, scale=artifact.normalization.scale * 1.01)
    flat = replace(
        artifact.calibration,
        level_maps=replace(
            artifact.calibration.level_maps, table=artifact.calibration.level_maps.table**1.05
        ),
    )
    for altered in (replace(artifact, normalization=scaled), replace(artifact, calibration=flat)):
        with pytest.raises(ArtifactError, match="golden series differ"):
            self_test(predictor_of(altered))


def _moved(golden: Golden, place: int, standard_deviations: float) -> Golden:
    mean = golden.mean.copy()
    mean[place] += standard_deviations * golden.standard_deviation[place]
    return replace(golden, mean=mean)


@pytest.mark.parametrize(
    ("times", "passes"), [(0.9, True), (-0.9, True), (1.1, False), (-1.1, False), (np.nan, False)]
)
def test_the_tolerance_is_of_a_standard_deviation(
    tiny_artifact: Path, times: float, passes: bool
) -> None:
    artifact = with_golden(tiny_artifact)
    assert artifact.golden is not None
    for place in (0, len(artifact.golden.mean) - 1):
        moved = _moved(artifact.golden, place, times * LARGEST_DIFFERENCE)
        predictor = predictor_of(replace(artifact, golden=moved))
        if passes:
            assert self_test(predictor)
        else:
            with pytest.raises(ArtifactError, match=r"1 of \d+ answers"):
                self_test(predictor)


def test_a_score_may_fall_to_the_next_step_and_no_further(tiny_artifact: Path) -> None:
    artifact = with_golden(tiny_artifact, seed=2)
    golden = artifact.golden
    assert golden is not None
    scores = np.flatnonzero(golden.questions.query.channels == CHALLENGE.channel("GCS"))
    assert len(scores)
    for steps, passes in ((1, True), (2, False)):
        quantiles = golden.quantiles.copy()
        quantiles[0, scores[0]] += steps
        predictor = predictor_of(replace(artifact, golden=replace(golden, quantiles=quantiles)))
        if passes:
            assert self_test(predictor)
        else:
            with pytest.raises(ArtifactError, match="GCS"):
                self_test(predictor)
