"""The one place where the model runs: a thread of its own, behind a bounded number of permits.

A request without a permit is refused at once instead of waiting in a queue that only grows. A
request that is given up before its turn never reaches the model.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar, final

from model.runtime.predictor import Predictor
from service.errors import NoCapacityError, NotReadyError, TimedOutError
from service.settings import Settings

Result = TypeVar("Result")


@dataclass(frozen=True)
class Timed(Generic[Result]):
    """A result, and the milliseconds that it waited and ran."""

    result: Result
    queue_ms: float
    predict_ms: float


@final
class PredictionQueue:
    """Owns the predictor and its thread. Used from one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="predict")
        self._in_use = 0
        self._predictor: Predictor | None = None
        self.load_error: str | None = None

    @property
    def predictor(self) -> Predictor:
        """The predictor, once it is loaded and warmed up.

        Raises
        ------
        NotReadyError
            Before that, or if loading failed.
        """
        if self._predictor is not None:
            return self._predictor
        if self.load_error is not None:
            raise NotReadyError("the model could not be loaded; see the log", code="load_failed")
        raise NotReadyError(
            "the model is being loaded; ask again",
            retry_after_seconds=self._settings.retry_after_seconds,
        )

    async def load(self, load: Callable[[], Predictor]) -> None:
        """Load and warm up in the model's thread; ready afterwards."""
        loop = asyncio.get_running_loop()
        self._predictor = await loop.run_in_executor(self._executor, load)

    @contextmanager
    def permit(self) -> Iterator[None]:
        """Hold one of the permits.

        Raises
        ------
        NoCapacityError
            If there is none left.
        """
        if self._in_use >= self._settings.queue_capacity:
            raise NoCapacityError(
                f"{self._settings.queue_capacity} requests are waiting or running; ask again later",
                retry_after_seconds=self._settings.retry_after_seconds,
            )
        self._in_use += 1
        try:
            yield
        finally:
            self._in_use -= 1

    async def run(self, work: Callable[[Predictor], Result]) -> Timed[Result]:
        """Run `work` in the model's thread, after those that came before.

        Raises
        ------
        TimedOutError
            If it did not end in time. Work that has not begun by then never begins.
        """
        predictor = self.predictor
        submitted = time.perf_counter()

        def timed() -> Timed[Result]:
            started = time.perf_counter()
            result = work(predictor)
            ended = time.perf_counter()
            return Timed(result, 1e3 * (started - submitted), 1e3 * (ended - started))

        waiting = asyncio.get_running_loop().run_in_executor(self._executor, timed)
        try:
            return await asyncio.wait_for(waiting, self._settings.request_timeout_seconds)
        except TimeoutError:
            raise TimedOutError(
                f"no answer within {self._settings.request_timeout_seconds:g} seconds; "
                "ask for less, or again later",
                retry_after_seconds=self._settings.retry_after_seconds,
            ) from None

    def close(self) -> None:
        """Let the running work end, and drop what has not begun."""
        self._executor.shutdown(wait=True, cancel_futures=True)
