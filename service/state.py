"""What the lifespan of the application owns, and every request can reach."""

from typing import TypedDict, cast

from fastapi import Request

from service.inference.queue import PredictionQueue
from service.jobs.ledger.opening import Jobs
from service.operations.stopping import Stopping
from service.registry.loaded import LoadedModels
from service.settings import Settings


class State(TypedDict):
    """Yielded by the lifespan; there are no globals."""

    settings: Settings
    queue: PredictionQueue
    models: LoadedModels
    jobs: Jobs | None
    stopping: Stopping


def state_of(request: Request) -> State:
    """Return the state that the lifespan yielded."""
    return cast(State, request.scope["state"])
