"""The model runs for a bounded number of requests; the others are told so at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import pytest

from model.artifact import Artifact
from model.runtime.predictor import Prediction, Predictor, Request
from tests.service.conftest import serving
from tests.service.requests import body, series


@dataclass(frozen=True)
class HeldPredictor:
    """Answers the warm-up as usual, and everything else only once it is let go."""

    inner: Predictor
    let_go: threading.Event = field(default_factory=threading.Event)
    is_running: threading.Event = field(default_factory=threading.Event)

    @property
    def artifact(self) -> Artifact:
        return self.inner.artifact

    def predict(self, request: Request) -> Prediction:
        if request.context.subject_ids != ("warm-up",):
            self.is_running.set()
            assert self.let_go.wait(timeout=30)
        return self.inner.predict(request)


@dataclass(frozen=True)
class BrokenPredictor:
    """Fails, with patient data in its message, on everything but (perhaps) the warm-up."""

    inner: Predictor
    is_broken_from_the_start: bool

    @property
    def artifact(self) -> Artifact:
        return self.inner.artifact

    def predict(self, request: Request) -> Prediction:
        if request.context.subject_ids == ("warm-up",) and not self.is_broken_from_the_start:
            return self.inner.predict(request)
        raise RuntimeError("SECRET-MRN-123 has 987654321.125")


def post(client: httpx.Client) -> httpx.Response:
    return client.post("/v1/impute", json=body(series()))


def test_beyond_the_capacity_a_client_is_told_to_come_again(predictor: Predictor) -> None:
    held = HeldPredictor(predictor)
    with serving(held, queue_capacity=1) as client, ThreadPoolExecutor() as pool:
        first = pool.submit(post, client)
        assert held.is_running.wait(timeout=30)
        refused = post(client)
        assert client.get("/health/live").status_code == 200
        held.let_go.set()
        assert first.result().status_code == 200
        assert post(client).status_code == 200
    assert (refused.status_code, refused.json()["code"]) == (429, "no_capacity")
    assert refused.headers["retry-after"] == "1"


def test_a_request_that_takes_too_long_is_given_up(predictor: Predictor) -> None:
    held = HeldPredictor(predictor)
    with serving(held, request_timeout_seconds=0.05) as client:
        late = post(client)
        held.let_go.set()
    assert (late.status_code, late.json()["code"]) == (503, "timed_out")
    assert "retry-after" in late.headers


def test_not_ready_until_warmed_up(predictor: Predictor) -> None:
    @dataclass(frozen=True)
    class SlowToWarmUp(HeldPredictor):
        def predict(self, request: Request) -> Prediction:
            assert self.let_go.wait(timeout=30)
            return self.inner.predict(request)

    slow = SlowToWarmUp(predictor)
    with serving(slow, waits=False) as client:
        before = client.get("/health/ready")
        asked = post(client)
        live = client.get("/health/live")
        slow.let_go.set()
        while (after := client.get("/health/ready")).status_code == 503:
            pass
    assert (before.status_code, before.json()["code"]) == (503, "not_ready")
    assert (asked.status_code, asked.json()["code"]) == (503, "not_ready")
    assert live.status_code == 200
    assert after.json() == {"status": "ready", "model": "tiny 1"}


def test_a_model_that_cannot_be_loaded_is_never_ready(predictor: Predictor) -> None:
    with serving(BrokenPredictor(predictor, True), waits=False) as client:
        while (ready := client.get("/health/ready")).json()["code"] == "not_ready":
            pass
        live = client.get("/health/live")
    assert (ready.status_code, ready.json()["code"]) == (503, "load_failed")
    assert live.status_code == 503


def test_an_unexpected_error_is_a_problem_and_leaks_nothing(
    predictor: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="service")
    with serving(BrokenPredictor(predictor, False)) as client:
        failed = client.post("/v1/impute", json=body(series(subject_id="SECRET-MRN-123")))
    assert (failed.status_code, failed.json()["code"]) == (500, "internal_error")
    assert failed.headers["content-type"] == "application/problem+json"
    request_id = failed.headers["x-request-id"]
    assert f"RuntimeError in request {request_id}: predict" in caplog.text
    for sentinel in ("SECRET", "987654321"):
        assert sentinel not in failed.text
        assert sentinel not in caplog.text


def test_logs_hold_no_patient_data(predictor: Predictor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="service")
    secret = series(subject_id="SECRET-MRN-123", static={"age_years": 77.25})
    with serving(predictor) as client:
        client.post("/v1/impute", json=body(secret))
        client.post("/v1/impute?name=SECRET-MRN-123", content=b"SECRET-MRN-123")
        client.get("/v1/SECRET-MRN-123")
    lines = [record.getMessage() for record in caplog.records if record.name == "service.requests"]
    assert [line.split()[:3] for line in lines if "health" not in line] == [
        ["POST", "/v1/impute", "200"],
        ["POST", "/v1/impute", "400"],
        ["GET", "(no", "route)"],
    ]
    assert "SECRET" not in caplog.text
    assert "77.25" not in caplog.text
