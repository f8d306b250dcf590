"""The model in its own process answers as it does here, survives its process, and leaves none."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest

from model.artifact import Artifact, load_artifact
from model.data.query import Query
from model.errors import ArtifactError
from model.runtime.backends import load_predictor
from model.runtime.predictor import Prediction, Request
from service.model_process.messages import ModelProcessError
from service.model_process.process_predictor import ProcessPredictor
from service.registry.loaded import LoadedModels
from tests.catalogues import CHALLENGE
from tests.conftest import REPOSITORY
from tests.series import random_cohort

SECONDS = 60.0
COHORT = random_cohort(3, np.random.default_rng(0))
TIMES_HOURS = np.linspace(0.0, 60.0, 9)
CHANNELS = np.array([CHALLENGE.channel(name) for name in ("HR", "GCS", "Lactate")])
QUERY = Query.grid([TIMES_HOURS] * 3, [CHANNELS] * 3)
REQUEST = Request(COHORT, QUERY, num_samples=4, seed=7)


class Deadly(Request):
    """A request whose arrival ends the process, as one that takes all memory does."""

    def __reduce__(self) -> tuple[object, ...]:
        return os._exit, (3,)


@pytest.fixture(scope="module")
def artifact(tiny_onnx_artifact: Path) -> Artifact:
    return load_artifact(tiny_onnx_artifact)


@pytest.fixture(scope="module")
def expected(artifact: Artifact) -> Prediction:
    return load_predictor(artifact, device="cpu").predict(REQUEST)


def opened(artifact: Artifact) -> ProcessPredictor:
    return ProcessPredictor(artifact, backend="auto", device="cpu", num_threads=1)


@pytest.fixture
def predictor(artifact: Artifact) -> Iterator[ProcessPredictor]:
    yield opened(artifact)
    gc.collect()


def assert_same(found: Prediction, expected: Prediction) -> None:
    for one, other in zip(astuple(found), astuple(expected), strict=True):
        np.testing.assert_array_equal(one, other)


def has_ended(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state.split()[0] == "Z"


def wait_until_ended(process_id: int) -> None:
    deadline = time.monotonic() + SECONDS
    while not has_ended(process_id):
        assert time.monotonic() < deadline, "the process goes on"
        time.sleep(0.01)


def test_it_answers_to_the_last_bit_as_the_predictor_here(
    predictor: ProcessPredictor, expected: Prediction
) -> None:
    assert predictor.process_id != os.getpid()
    assert_same(predictor.predict(REQUEST), expected)


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_for_the_server_do_not_end_it(
    predictor: ProcessPredictor, expected: Prediction, name: signal.Signals
) -> None:
    process_id = predictor.process_id
    os.kill(process_id, name)
    assert_same(predictor.predict(REQUEST), expected)
    assert predictor.process_id == process_id


def test_a_process_that_dies_between_requests_is_replaced(
    predictor: ProcessPredictor, expected: Prediction
) -> None:
    process_id = predictor.process_id
    os.kill(process_id, signal.SIGKILL)
    assert_same(predictor.predict(REQUEST), expected)
    assert predictor.process_id != process_id
    assert has_ended(process_id)


def test_a_process_that_dies_in_the_middle_of_a_request_loses_no_answer(
    predictor: ProcessPredictor, expected: Prediction
) -> None:
    found: list[Prediction] = []
    os.kill(predictor.process_id, signal.SIGSTOP)
    asking = threading.Thread(target=lambda: found.append(predictor.predict(REQUEST)))
    asking.start()
    os.kill(predictor.process_id, signal.SIGKILL)
    asking.join(SECONDS)
    assert_same(found[0], expected)


def test_a_request_that_ends_the_process_twice_fails_alone(
    predictor: ProcessPredictor, expected: Prediction
) -> None:
    with pytest.raises(ModelProcessError, match="twice over one request of 3 series"):
        predictor.predict(Deadly(COHORT, QUERY))
    assert_same(predictor.predict(REQUEST), expected)


def test_a_process_that_could_not_be_started_again_is_started_for_the_next_request(
    predictor: ProcessPredictor, expected: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.kill(predictor.process_id, signal.SIGKILL)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/bin/false")
        with pytest.raises(ModelProcessError, match="before it had loaded"):
            predictor.predict(REQUEST)
    assert_same(predictor.predict(REQUEST), expected)


def test_an_error_of_the_model_is_raised_here_and_the_process_goes_on(
    predictor: ProcessPredictor, expected: Prediction
) -> None:
    process_id = predictor.process_id
    with pytest.raises(ModelProcessError, match="ValueError in the process of the model"):
        predictor.predict(replace(REQUEST, seed=-1))
    assert_same(predictor.predict(REQUEST), expected)
    assert predictor.process_id == process_id


def test_threads_take_turns(predictor: ProcessPredictor, expected: Prediction) -> None:
    found: list[Prediction] = []

    def ask() -> None:
        found.extend(predictor.predict(REQUEST) for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert len(found) == 20
    for one in found:
        assert_same(one, expected)


def test_what_cannot_be_loaded_is_an_error_of_the_artifact(artifact: Artifact) -> None:
    with pytest.raises(ArtifactError, match="a CUDA device is used by torch only"):
        ProcessPredictor(artifact, backend="onnx", device="cuda", num_threads=1)


def test_it_ends_with_the_predictor(artifact: Artifact) -> None:
    predictor = opened(artifact)
    process_id = predictor.process_id
    del predictor
    gc.collect()
    assert has_ended(process_id)


def test_a_model_that_is_no_longer_loaded_has_no_process(artifact: Artifact) -> None:
    models = LoadedModels(retry_after_seconds=1)
    process_ids = []
    for version in ("1", "2", "3"):
        manifest = replace(artifact.manifest, version=version)
        models.activate(predictor := opened(replace(artifact, manifest=manifest)))
        process_ids.append(predictor.process_id)
        del predictor
    assert [has_ended(one) for one in process_ids] == [True, False, False]


_ORPHAN = """
import sys
from pathlib import Path
from model.artifact import load_artifact
from service.model_process.process_predictor import ProcessPredictor

predictor = ProcessPredictor(
    load_artifact(Path(sys.argv[1])), backend="auto", device="cpu", num_threads=1
)
print(predictor.process_id, flush=True)
sys.stdin.read()
"""


def test_it_ends_with_a_server_that_was_killed(tiny_onnx_artifact: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _ORPHAN, str(tiny_onnx_artifact)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        process_id = int(parent.stdout.readline())
        assert not has_ended(process_id)
        parent.kill()
    wait_until_ended(process_id)
