"""Whoever says how long they wait never has the model run for an answer that comes too late."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.artifact import Artifact
from model.runtime.predictor import Prediction, Predictor, Request
from service.inference.answering import Detail
from service.inference.asking import Options
from service.inference.batching import Asked
from service.inference.deadline import Deadline, preferred_wait
from service.inference.errors import TimedOutError
from service.inference.query import Reach
from service.inference.queue import PredictionQueue
from service.inference.requests import read_request
from service.inference.schemas import ImputeRequest
from service.inference.status import IMPUTED
from service.settings import Settings
from tests.service.conftest import serving
from tests.service.requests import body, series


@dataclass(frozen=True)
class CountingPredictor:
    """Counts its runs; each waits until it is let go."""

    inner: Predictor
    runs: list[tuple[str, ...]] = field(default_factory=list)
    let_go: threading.Event = field(default_factory=threading.Event)
    is_running: threading.Event = field(default_factory=threading.Event)

    @property
    def artifact(self) -> Artifact:
        return self.inner.artifact

    def predict(self, request: Request) -> Prediction:
        subjects = tuple(request.context.subject_ids)
        if subjects != ("warm-up",):
            self.runs.append(subjects)
            self.is_running.set()
            assert self.let_go.wait(timeout=30)
        return self.inner.predict(request)


def ask(client: httpx.Client, subject_id: str, **headers: str) -> httpx.Response:
    asked = body(series(subject_id=subject_id))
    return client.post("/v1/impute", json=asked, headers=headers)


def asking_about(predictor: Predictor, subject_id: str) -> Asked:
    """Return what a request about one series puts into the queue."""
    read = read_request(
        ImputeRequest.model_validate(body(series(subject_id=subject_id))),
        catalogue=predictor.artifact.catalogue,
        settings=Settings(),
        reach=Reach.ANYWHERE,
    )
    return Asked(predictor, read.good, Options((0.5,), 0, 0), Detail(IMPUTED))


@pytest.mark.parametrize("wait", ["0", "1"])
def test_what_is_too_late_before_its_turn_never_runs(predictor: Predictor, wait: str) -> None:
    counting = CountingPredictor(predictor)
    with serving(counting) as client, ThreadPoolExecutor() as pool:
        first = pool.submit(ask, client, "first")
        assert counting.is_running.wait(timeout=30)
        late = [pool.submit(ask, client, f"late{n}", Prefer=f"wait={wait}") for n in range(3)]
        refused = [one.result() for one in late]
        counting.let_go.set()
        assert first.result().status_code == 200
        # Behind the late ones in the queue: when it is answered, they had their turn.
        assert ask(client, "last").status_code == 200
    assert counting.runs == [("first",), ("last",)]
    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (503, "timed_out")
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["preference-applied"] == f"wait={wait}"


@given(order=st.lists(st.booleans(), min_size=1, max_size=8))
def test_the_queue_runs_exactly_those_in_time(predictor: Predictor, order: list[bool]) -> None:
    counting = CountingPredictor(predictor)
    counting.let_go.set()

    async def run() -> list[object]:
        queue = PredictionQueue(Settings())
        answers = await asyncio.gather(
            *(
                queue.answer(asking_about(counting, f"{number}"), Deadline(60.0 if good else 0.0))
                for number, good in enumerate(order)
            ),
            return_exceptions=True,
        )
        queue.close()
        return list(answers)

    answers = asyncio.run(run())
    assert [not isinstance(one, TimedOutError) for one in answers] == order
    ran = [subject for run in counting.runs for subject in run]
    assert ran == [f"{number}" for number, good in enumerate(order) if good]


def test_the_server_s_own_limit_holds_whatever_is_preferred(predictor: Predictor) -> None:
    counting = CountingPredictor(predictor)
    with serving(counting, request_timeout_seconds=0.05) as client:
        late = ask(client, "first", Prefer="wait=3600")
        counting.let_go.set()
    assert (late.status_code, late.json()["code"]) == (503, "timed_out")
    assert late.headers["preference-applied"] == "wait=0"


@pytest.mark.parametrize(
    ("values", "applied"),
    [
        (["wait=10"], "wait=10"),
        (["respond-async, Wait = 7;x=1, wait=1"], "wait=7"),
        (["respond-async", "wait=007"], "wait=7"),
        (['note="a, wait=1", wait=5'], "wait=5"),
        (["wait=100000"], "wait=30"),
        (["wait=" + "9" * 900], "wait=30"),
        ([], None),
        (["wait"], None),
        (["wait=-1"], None),
        (["wait=1.5"], None),
        (["wait=soon, wait=5"], None),
        (["waiting=5"], None),
        (["wait=5," + "x" * 2000], None),
    ],
)
def test_a_preference_is_honored_or_ignored(
    client: httpx.Client, values: list[str], applied: str | None
) -> None:
    headers = [("Prefer", value) for value in values]
    answer = client.post("/v1/impute", json=body(series()), headers=headers)
    assert answer.status_code == 200
    assert answer.headers.get("preference-applied") == applied


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=40), max_size=4))
def test_no_header_is_an_error(values: list[str]) -> None:
    wait = preferred_wait(values)
    assert wait is None or wait >= 0


@given(st.integers(0, 10**8), st.text(st.characters(categories=["Ll"]), max_size=8))
def test_a_wait_is_found_behind_any_other_preference(seconds: int, other: str) -> None:
    assert preferred_wait([f'x{other}="{other},wait=1"', f"WAIT={seconds}"]) == seconds
