"""A server on a registry: versions change under load, and every answer is its version's own."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from model.runtime.predictor import Predictor
from service.registry.loading import open_predictor
from service.registry.registry import Activation, Registry
from tests.service.answers import assert_same
from tests.service.conftest import serving
from tests.service.registry.versions import activate, add, flip_a_bit, roll_back
from tests.service.requests import Json, body, other_series, series
from tests.service.test_batching import wait_until_full
from tests.service.test_queue import HeldPredictor

NAMES = ("HR", "PaCO2")


def opened(directory: Path) -> Predictor:
    return open_predictor(directory, backend="auto", device="cpu", num_threads=1)


def is_active(client: httpx.Client, version: str) -> bool:
    return listed(client)[0] == (version, "active")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline


def listed(client: httpx.Client) -> list[tuple[str | None, str]]:
    """Version and state of every model that the server names."""
    models = client.get("/v1/models").json()["models"]
    return [(one.get("version"), one["state"]) for one in models]


@contextmanager
def following(
    registry: Registry, predictor: Predictor | None = None, **options: Any
) -> Iterator[httpx.Client]:
    """Serve a registry; what a server of no registry would be given, may be given."""
    given = predictor or opened(registry.directory)
    settings: dict[str, Any] = {"artifact": registry.directory, "device": "cpu", **options}
    with serving(given, registry_poll_seconds=0.02, **settings) as client:
        yield client


def post(client: httpx.Client, number: int, **options: Any) -> httpx.Response:
    return client.post("/v1/impute", json=body(other_series(number), **options))


def own_answers(directory: Path, count: int) -> list[Json]:
    """What a server of this version alone answers."""
    with serving(opened(directory)) as client:
        return [post(client, number).json()["series"][0] for number in range(count)]


@pytest.fixture(scope="module")
def expected(versions: Mapping[str, Path]) -> Mapping[str, list[Json]]:
    return {version: own_answers(versions[version], 8) for version in ("1", "2")}


def test_under_load_every_answer_is_that_of_its_version(
    registry: Registry, expected: Mapping[str, list[Json]]
) -> None:
    is_over = threading.Event()

    def ask(number: int) -> Counter[str]:
        answered: Counter[str] = Counter()
        while not is_over.is_set():
            answer = post(client, number)
            assert answer.status_code == 200, answer.text
            version = answer.json()["model"]["version"]
            assert_same(answer.json()["series"][0], expected[version][number], names=NAMES)
            answered[version] += 1
        return answered

    with following(registry) as client, ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask, number) for number in range(8)]
        for number in range(10):
            version = "21"[number % 2]
            activate(registry, version)
            wait_for(partial(is_active, client, version))
        is_over.set()
        answered = sum((one.result() for one in asking), Counter())
    assert answered.keys() == {"1", "2"}


def test_who_was_read_by_a_version_is_answered_by_it(
    registry: Registry, expected: Mapping[str, list[Json]]
) -> None:
    held = HeldPredictor(opened(registry.artifact_dir("1")))
    with following(registry, held, queue_capacity=4) as client, ThreadPoolExecutor(4) as pool:
        before = [pool.submit(post, client, number) for number in range(4)]
        assert held.is_running.wait(timeout=30)
        wait_until_full(client)
        activate(registry, "2")
        wait_for(lambda: listed(client) == [("2", "active"), ("1", "loaded")])
        assert not any(one.done() for one in before)
        held.let_go.set()
        _check(before, range(4), "1", expected)
        after = [pool.submit(post, client, number) for number in range(4, 8)]
        _check(after, range(4, 8), "2", expected)


def test_versions_that_wait_together_are_not_mixed(
    registry: Registry, expected: Mapping[str, list[Json]]
) -> None:
    held = HeldPredictor(opened(registry.artifact_dir("1")))
    with following(registry, held, queue_capacity=7) as client, ThreadPoolExecutor(7) as pool:
        first = pool.submit(post, client, 0)
        assert held.is_running.wait(timeout=30)
        activate(registry, "2")
        wait_for(lambda: listed(client) == [("2", "active"), ("1", "loaded")])
        pinned = ["1", "2", "1", "2", "2", "1"]
        asked = [
            pool.submit(post, client, number, model_version=version)
            for number, version in enumerate(pinned)
        ]
        wait_until_full(client)
        held.let_go.set()
        _check([first], range(1), "1", expected)
        for number, version in enumerate(pinned):
            _check([asked[number]], range(number, number + 1), version, expected)


def _check(
    asked: list["Future[httpx.Response]"],
    numbers: range,
    version: str,
    expected: Mapping[str, list[Json]],
) -> None:
    for number, one in zip(numbers, asked, strict=True):
        answer = one.result().json()
        assert answer["model"]["version"] == version
        assert_same(answer["series"][0], expected[version][number], names=NAMES)


def test_a_pinned_version_answers(
    registry: Registry, versions: Mapping[str, Path], expected: Mapping[str, list[Json]]
) -> None:
    with following(registry) as client:
        activate(registry, "2")
        wait_for(lambda: listed(client) == [("2", "active"), ("1", "loaded")])
        for version in ("1", "2"):
            answer = post(client, 0, model_version=version).json()
            assert answer["model"]["version"] == version
            assert_same(answer["series"][0], expected[version][0], names=NAMES)
        assert post(client, 0, model_version=None).json()["model"]["version"] == "2"
        for version in ("1", "2"):
            detail = client.get(f"/v1/models/tiny/{version}")
            assert detail.json()["manifest"]["version"] == version
        assert client.get("/v1/models/tiny/3").status_code == 404
        add(registry, versions["3"], "3")
        for path in ("impute", "validate"):
            asked = body(series(), model_version="3")
            refused = client.post(f"/v1/{path}", json=asked)
            assert (refused.status_code, refused.json()["code"]) == (
                422,
                "model_version_not_loaded",
            )
            assert refused.json()["path"] == "model_version"
            assert "expected one of: 2, 1" in refused.json()["detail"]


@pytest.mark.parametrize("version", ["SECRET-MRN-123", 2, ["1"], "x" * 65])
def test_a_pin_that_is_none_is_refused_and_not_repeated(
    client: httpx.Client, version: object
) -> None:
    refused = client.post("/v1/impute", json=body(series(), model_version=version))
    assert (refused.status_code, refused.json()["path"]) == (422, "model_version")
    assert "SECRET" not in refused.text


def test_a_server_of_one_artifact_answers_its_own_pin(client: httpx.Client) -> None:
    assert listed(client) == [("1", "active")]
    assert client.post("/v1/impute", json=body(series(), model_version="1")).status_code == 200


def test_a_bad_version_under_load_is_seen_and_changes_nothing(
    registry: Registry, expected: Mapping[str, list[Json]]
) -> None:
    flip_a_bit(registry.directory / "2")
    with following(registry) as client:
        activate(registry, "2")
        wait_for(lambda: listed(client) == [("1", "active"), ("2", "refused")])
        (_, refused) = client.get("/v1/models").json()["models"]
        assert "weights.safetensors was altered" in refused["reason"]
        assert str(registry.directory) not in refused["reason"]
        assert client.get("/health/ready").json() == {"status": "ready", "model": "tiny 1"}
        assert client.get("/health/live").status_code == 200
        assert_same(post(client, 0).json()["series"][0], expected["1"][0], names=NAMES)
        roll_back(registry)
        wait_for(lambda: listed(client) == [("1", "active")])


def test_half_a_record_is_seen_and_changes_nothing(registry: Registry) -> None:
    with following(registry) as client:
        registry.record_path.write_text('{"active": "2", "ear', encoding="utf-8")
        wait_for(lambda: listed(client) == [("1", "active"), (None, "refused")])
        assert post(client, 0).status_code == 200
        registry.write(Activation("2", ("1",)))
        wait_for(lambda: listed(client) == [("2", "active"), ("1", "loaded")])
