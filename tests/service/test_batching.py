"""Requests that wait together are answered by one run of the model, and do not feel each other."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

from model.artifact import Artifact
from model.runtime.predictor import Prediction, Predictor, Request
from tests.service.conftest import serving
from tests.service.requests import body, series

WARM_UP = ("warm-up",)


@dataclass(frozen=True)
class RecordingPredictor:
    """Notes who is asked about in each run; the first run waits until it is let go."""

    inner: Predictor
    poison: str = ""
    runs: list[tuple[str, ...]] = field(default_factory=list)
    let_go: threading.Event = field(default_factory=threading.Event)
    is_running: threading.Event = field(default_factory=threading.Event)

    @property
    def artifact(self) -> Artifact:
        return self.inner.artifact

    def predict(self, request: Request) -> Prediction:
        subjects = request.context.subject_ids
        if subjects != WARM_UP:
            self.runs.append(tuple(subjects))
            self.is_running.set()
            assert self.let_go.wait(timeout=30)
            if self.poison in subjects:
                raise RuntimeError("poisoned")
        return self.inner.predict(request)


def ask(client: httpx.Client, subject_id: str, **options: Any) -> httpx.Response:
    return client.post("/v1/impute", json={**body(series(subject_id=subject_id)), **options})


def wait_until_full(client: httpx.Client) -> None:
    """Return once every permit is held: one more request is refused."""
    while True:
        answer = client.post("/v1/validate", json=body(series()))
        if answer.status_code == 429:
            return


def together(
    recording: RecordingPredictor, asked: list[dict[str, Any]], **settings: Any
) -> list[httpx.Response]:
    """Ask for `first`, and while it runs for all the others at the same time."""
    with (
        serving(recording, queue_capacity=1 + len(asked), **settings) as client,
        ThreadPoolExecutor(1 + len(asked)) as pool,
    ):
        first = pool.submit(ask, client, "first")
        assert recording.is_running.wait(timeout=30)
        others = [pool.submit(ask, client, **one) for one in asked]
        wait_until_full(client)
        recording.let_go.set()
        return [one.result() for one in (first, *others)]


def test_what_waits_together_is_one_run_and_each_has_the_answer_it_has_alone(
    predictor: Predictor,
) -> None:
    recording = RecordingPredictor(predictor)
    answers = together(recording, [{"subject_id": f"p{number}"} for number in range(6)])
    assert recording.runs[0] == ("first",)
    assert len(recording.runs) == 2
    assert sorted(recording.runs[1]) == [f"p{number}" for number in range(6)]
    with serving(predictor) as client:
        alone = ask(client, "p3").json()["series"][0]["variables"]
    for answer in answers:
        assert answer.status_code == 200
        for name, variable in answer.json()["series"][0]["variables"].items():
            for found, expected in zip(variable["mean"], alone[name]["mean"], strict=True):
                assert abs(found - expected) <= 1e-5 * abs(expected)


def test_other_options_are_another_run(predictor: Predictor) -> None:
    recording = RecordingPredictor(predictor)
    asked: list[dict[str, Any]] = [
        {"subject_id": "a"},
        {"subject_id": "b", "seed": 7},
        {"subject_id": "c"},
        {"subject_id": "d", "quantile_levels": [0.5]},
    ]
    answers = together(recording, asked)
    assert [answer.status_code for answer in answers] == [200] * 5
    assert sorted(tuple(sorted(run)) for run in recording.runs) == [
        ("a", "c"),
        ("b",),
        ("d",),
        ("first",),
    ]


def test_a_batch_has_a_limit(predictor: Predictor) -> None:
    recording = RecordingPredictor(predictor)
    # A request has 12 observations and 6 answers.
    together(recording, [{"subject_id": f"p{number}"} for number in range(5)], max_batch_size=40)
    assert sorted(len(run) for run in recording.runs) == [1, 1, 2, 2]


def test_who_is_at_fault_fails_alone(predictor: Predictor) -> None:
    recording = RecordingPredictor(predictor, poison="bad")
    answers = together(recording, [{"subject_id": name} for name in ("a", "bad", "b")])
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 500]
    assert answers[2].status_code == 500
    # Joined once, then each alone.
    assert sorted(len(run) for run in recording.runs) == [1, 1, 1, 1, 3]


def test_a_client_that_is_gone_is_not_answered(predictor: Predictor) -> None:
    recording = RecordingPredictor(predictor)
    with serving(recording, queue_capacity=2) as client, ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, client, "first")
        assert recording.is_running.wait(timeout=30)
        content = httpx.Request("POST", "http://x", json=body(series(subject_id="gone"))).content
        head = (
            "POST /v1/impute HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        address = client.base_url.host, client.base_url.port
        with socket.create_connection(address) as connection:
            connection.sendall(head.encode() + content)
            wait_until_full(client)
        # Its place is free again before the model is.
        while client.post("/v1/validate", json=body(series())).status_code != 200:
            pass
        recording.let_go.set()
        assert first.result().status_code == 200
        assert ask(client, "last").status_code == 200
    assert recording.runs == [("first",), ("last",)]
