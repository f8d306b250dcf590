"""A real server on the loopback interface, once for all tests of the package."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from model.runtime.predictor import Predictor
from service.app import create_app
from service.registry.loading import open_predictor
from service.server import BackgroundServer
from service.settings import Settings


@pytest.fixture(scope="session")
def predictor(tiny_artifact: Path) -> Predictor:
    return open_predictor(tiny_artifact, backend="auto", device="cpu", num_threads=1)


@contextmanager
def serving(
    predictor: Predictor, *, waits: bool = True, **settings: object
) -> Iterator[httpx.Client]:
    """Serve with these settings; `waits` for readiness."""
    chosen = Settings.model_validate({"port": 0, **settings})
    with (
        BackgroundServer(create_app(chosen, predictor), chosen) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        deadline = time.monotonic() + 30
        while waits and client.get("/health/ready").status_code != 200:
            assert time.monotonic() < deadline
        yield client


@pytest.fixture(scope="session")
def client(predictor: Predictor) -> Iterator[httpx.Client]:
    with serving(predictor) as opened:
        yield opened
