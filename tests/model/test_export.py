"""The exported graph answers as its network does, in a process that knows no torch."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.artifact import Artifact, load_artifact
from model.data.batch import Batch, build_batch
from model.data.query import Query
from model.data.series import Cohort, offsets_from_counts
from model.errors import ArtifactError
from model.export import LARGEST_ERROR, measure_parity
from model.runtime.backends import load_predictor
from model.runtime.decoding import decode, summary_noise
from model.runtime.mixture_predictor import MixturePredictor
from model.runtime.network import Network
from model.runtime.onnx_network import OnnxNetwork
from model.runtime.predictor import Prediction, Request
from model.runtime.torch_network import TorchNetwork
from tests.artifacts import export_in_another_process, random_network, write_tiny_artifact
from tests.catalogues import CHALLENGE
from tests.series import random_cohort


@pytest.fixture(scope="module")
def artifact(tiny_onnx_artifact: Path) -> Artifact:
    return load_artifact(tiny_onnx_artifact)


def cohort_and_query(num_series: int, num_queries: int) -> tuple[Cohort, Query]:
    """Ask before, inside and far after the record."""
    generator = np.random.default_rng(num_series)
    query = Query(
        offsets_from_counts(np.full(num_series, num_queries)),
        generator.uniform(-5, 70, num_series * num_queries),
        np.arange(num_series * num_queries + 1),
        generator.integers(0, len(CHALLENGE), num_series * num_queries),
    )
    return random_cohort(num_series, generator, limits_share=0.2), query


def assert_parity(network: Network, graph: Network, artifact: Artifact) -> None:
    for num_series, num_queries in ((1, 1), (1, 40), (7, 3), (30, 12)):
        parity = measure_parity(
            network, graph, artifact.normalization, *cohort_and_query(num_series, num_queries)
        )
        assert parity.holds, (num_series, num_queries, parity)
        assert parity.num_series == num_series
        assert parity.num_queries == num_series * num_queries


def test_the_graph_answers_as_the_network_does(artifact: Artifact) -> None:
    assert_parity(TorchNetwork.load(artifact), OnnxNetwork.load(artifact), artifact)


@pytest.mark.parametrize(
    "changes",
    [
        {"encoder": "gru", "num_substeps": 2, "num_sweeps": 4, "reads_limits": False},
        {"direction": "filter", "encoder_layers": 2, "knot_hours": 2.0},
    ],
    ids=["gru", "filter"],
)
def test_every_encoder_and_direction_has_a_graph(
    changes: dict[str, object], tmp_path: Path
) -> None:
    write_tiny_artifact(tmp_path / "other", **changes)
    artifact = load_artifact(tmp_path / "other")
    graph = export_in_another_process(tmp_path / "other")
    assert_parity(
        TorchNetwork.load(artifact), OnnxNetwork.of_graph(artifact.config, graph), artifact
    )


def test_a_graph_of_other_weights_is_found_out(artifact: Artifact) -> None:
    other = TorchNetwork(random_network(artifact.config, np.random.default_rng(2)))
    parity = measure_parity(
        other, OnnxNetwork.load(artifact), artifact.normalization, *cohort_and_query(3, 5)
    )
    assert not parity.holds
    assert parity.largest_quantile_error > 100 * LARGEST_ERROR


def _ask(predictor: MixturePredictor, num_samples: int = 5) -> Prediction:
    context, query = cohort_and_query(4, 20)
    return predictor.predict(Request(context, query, num_samples=num_samples, seed=3))


def test_both_backends_give_the_same_answer_for_the_same_seed(artifact: Artifact) -> None:
    found, expected = (
        _ask(load_predictor(artifact, backend=backend, device="cpu"))
        for backend in ("onnx", "torch")
    )
    deviation = np.sqrt(expected.latent_variance + expected.observation_variance)
    for name in ("mean", "quantiles", "samples"):
        moved = np.abs(getattr(found, name) - getattr(expected, name)) / deviation
        # A score on a grid moves by a whole step where a quantile lies between two.
        assert np.mean(moved > LARGEST_ERROR) < 0.002, name
    np.testing.assert_allclose(
        found.out_of_distribution, expected.out_of_distribution, rtol=0, atol=2e-3
    )


def test_no_query_at_all_is_answered(artifact: Artifact) -> None:
    context, _ = cohort_and_query(2, 1)
    nothing = Query.grid([np.empty(0)] * 2, [np.array([14])] * 2)
    noise = summary_noise(artifact.config.latent_dim, np.random.default_rng(0))
    found, expected = (
        decode(network, artifact.normalization, context, nothing, noise)
        for network in (OnnxNetwork.load(artifact), TorchNetwork.load(artifact))
    )
    assert found.loc.shape == expected.loc.shape
    np.testing.assert_allclose(found.divergences, expected.divergences, rtol=1e-4)


def test_alone_and_together_are_the_same_answer(artifact: Artifact) -> None:
    context, query = cohort_and_query(12, 6)
    predictor = load_predictor(artifact, backend="onnx", device="cpu")
    together = predictor.predict(Request(context, query))
    deviation = np.sqrt(together.latent_variance + together.observation_variance)
    for index in range(len(context)):
        chosen, own = np.array([index]), slice(*query.query_offsets[index : index + 2])
        alone = predictor.predict(Request(context.select(chosen), query.select(chosen)))
        moved = np.abs(alone.mean - together.mean[own]) / deviation[own]
        assert moved.max() < 1e-5


def test_arrays_taken_apart_and_put_together_are_the_batch(artifact: Artifact) -> None:
    batch = build_batch(*cohort_and_query(3, 4), artifact.normalization)
    names = list(batch.arrays())
    again = Batch.of_arrays(batch.arrays())
    assert list(again.arrays()) == names
    assert all(again.arrays()[name] is batch.arrays()[name] for name in names)
    assert len(names) == len(set(names)) == 27


def test_what_cannot_be_had_is_said(artifact: Artifact) -> None:
    without = replace(artifact, onnx=None)
    with pytest.raises(ArtifactError, match=r"no model\.onnx"):
        load_predictor(without, backend="onnx")
    with pytest.raises(ArtifactError, match="cannot open"):
        load_predictor(replace(artifact, onnx=b"nonsense"), backend="onnx")
    with pytest.raises(ArtifactError, match="torch only"):
        load_predictor(artifact, backend="onnx", device="cuda")
    assert load_predictor(artifact, device="cpu").computed_by == "onnxruntime on cpu"
    assert load_predictor(without, device="cpu").computed_by == "torch on cpu"


_WITHOUT_TORCH = """
import sys

from importlib.machinery import PathFinder

find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name == "torch" else find(name, *rest)
import socket

def refuse(*_):
    raise AssertionError("a connection was tried")

socket.socket.connect = refuse
socket.socket.sendto = refuse
import service.app
from pathlib import Path
from service.registry.loading import open_predictor, warm_up

predictor = warm_up(
    open_predictor(Path(sys.argv[1]), backend="auto", device="auto", num_threads=1)
)
assert "torch" not in sys.modules
with open("/proc/self/status") as status:
    (line,) = [line for line in status if line.startswith("VmRSS")]
print(predictor.computed_by, "|", int(line.split()[1]) / 1024)
"""


def test_a_process_without_torch_serves_and_connects_to_nobody(tiny_onnx_artifact: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH, str(tiny_onnx_artifact)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    computed_by, resident_mib = done.stdout.strip().rsplit("|", 1)
    assert computed_by.strip() == "onnxruntime on cpu"
    assert float(resident_mib) < 350
