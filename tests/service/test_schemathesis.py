"""The server answers as its OpenAPI document says, whatever it is sent; `make bench-fuzz` is longer."""

from collections.abc import Iterator

import httpx
import pytest

from service.app import create_app
from service.settings import Settings
from tests.service.fuzzing import Fuzzer, Kind

POSTS = ["impute", "forecast", "uncertainty", "validate", "timeseries/forecast"]
RANDOM = [Kind.FITTING, Kind.MISFIT, Kind.SENSIBLE]
# Some 300 requests in all.
EXAMPLES, EDGES = 12, 24


@pytest.fixture(scope="module")
def fuzzer(client: httpx.Client) -> Iterator[Fuzzer]:
    document = create_app(Settings()).openapi()
    opened = Fuzzer(str(client.base_url), document, timeout_seconds=30)
    yield opened
    opened.close()


def assert_nothing_found(fuzzer: Fuzzer) -> None:
    assert not fuzzer.findings.failures, "\n".join(fuzzer.findings.shown)
    assert not fuzzer.findings.hung


@pytest.mark.parametrize("kind", RANDOM)
@pytest.mark.parametrize("path", POSTS)
def test_every_answer_is_as_documented(fuzzer: Fuzzer, path: str, kind: Kind) -> None:
    label = f"POST /v1/{path}"
    fuzzer.fuzz(label, kind, EXAMPLES, start=20)
    statuses = fuzzer.findings.statuses_of(label, kind)
    assert statuses.total() >= EXAMPLES // 2
    if kind is Kind.SENSIBLE:  # otherwise only the first refusal is ever seen
        assert statuses[200] > statuses.total() / 2
    assert_nothing_found(fuzzer)


def test_the_edges_of_every_operation_are_as_documented(fuzzer: Fuzzer) -> None:
    assert {f"POST /v1/{path}" for path in POSTS} < set(fuzzer.labels)
    for label in fuzzer.labels:
        fuzzer.boundary(label, at_most=EDGES)
        assert fuzzer.findings.statuses_of(label, Kind.BOUNDARY)
    assert_nothing_found(fuzzer)
