"""The one place where the model runs: a thread of its own, behind a bounded number of permits.

A request without a permit is refused at once instead of waiting in a queue that only grows. A
request finds the model idle and is answered at once, or waits while it runs and is then answered
together with those that wait too: nobody is held back for company. A request that is given up
before its turn, or whose deadline has passed, never reaches the model.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import final

from service.inference.answers import AnsweredSeries
from service.inference.batching import Asked, answer_batch
from service.inference.deadline import Deadline
from service.inference.errors import NoCapacityError, TimedOutError
from service.settings import Settings
from service.slices import Part


@dataclass(frozen=True)
class Timed:
    """The answers of a request, and the milliseconds that it waited and ran."""

    series: list[AnsweredSeries]
    queue_ms: float
    predict_ms: float


@dataclass(frozen=True)
class _Entry:
    asked: Asked
    answer: asyncio.Future[Timed]
    deadline: Deadline
    submitted: float = field(default_factory=time.perf_counter)


@final
class PredictionQueue:
    """Owns the thread in which predictors run. Used from one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="predict")
        self._in_use = 0
        self._waiting: deque[_Entry] = deque()
        self._running: asyncio.Task[None] | None = None

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

    async def answer(self, asked: Asked, deadline: Deadline | None = None) -> Timed:
        """Answer in the model's thread, after those that came before or together with them.

        Parameters
        ----------
        deadline
            When the answer is given up; by default after the time that the settings allow.

        Raises
        ------
        TimedOutError
            If it did not end in time. Work that has not begun by then never begins.
        """
        loop = asyncio.get_running_loop()
        deadline = deadline or Deadline(self._settings.request_timeout_seconds)
        entry = _Entry(asked, loop.create_future(), deadline)
        self._waiting.append(entry)
        if self._running is None:
            self._running = loop.create_task(self._run())
        try:
            return await asyncio.wait_for(entry.answer, deadline.remaining_seconds)
        except TimeoutError:
            raise TimedOutError(
                f"no answer within {deadline.allowed_seconds:g} seconds; "
                "ask for less, or again later",
                retry_after_seconds=self._settings.retry_after_seconds,
                headers=deadline.headers,
            ) from None

    async def _run(self) -> None:
        """Answer batch after batch until nobody waits."""
        loop = asyncio.get_running_loop()
        try:
            while batch := self._take():
                started = time.perf_counter()
                answers = await loop.run_in_executor(
                    self._executor, answer_batch, [entry.asked for entry in batch]
                )
                ended = time.perf_counter()
                for entry, answer in zip(batch, answers, strict=True):
                    if entry.answer.done():  # given up meanwhile
                        continue
                    if isinstance(answer, Exception):
                        entry.answer.set_exception(answer)
                    else:
                        waited, took = started - entry.submitted, ended - started
                        entry.answer.set_result(Timed(answer, 1e3 * waited, 1e3 * took))
        finally:
            self._running = None

    def _take(self) -> list[_Entry]:
        """Take the first who waits, and those behind that join it, up to the limit of work."""
        batch: list[_Entry] = []
        others: deque[_Entry] = deque()
        size = 0
        while self._waiting:
            entry = self._waiting.popleft()
            if entry.answer.done() or entry.deadline.has_passed:
                continue
            fits = size + entry.asked.size <= self._settings.max_batch_size
            if not batch or (fits and batch[0].asked.joins(entry.asked)):
                batch.append(entry)
                size += entry.asked.size
            else:
                others.append(entry)
        self._waiting = others
        return batch

    def close(self) -> None:
        """Let the running work end, and drop what has not begun."""
        for entry in self._waiting:
            entry.answer.cancel()
        self._waiting.clear()
        self._executor.shutdown(wait=True, cancel_futures=True)


QUEUE = Part[PredictionQueue]("queue")


@asynccontextmanager
async def open_queue(settings: Settings) -> AsyncIterator[PredictionQueue]:
    """Own a queue while the server runs."""
    queue = PredictionQueue(settings)
    try:
        yield queue
    finally:
        queue.close()
