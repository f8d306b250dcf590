"""Progress for people: a bar on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from training.checkpoint import EpochRecord


@final
class FitConsole:
    """Shows epochs, loss, validation errors and the time left; implements `training.loop.Progress`."""

    def __init__(self, console: Console, *, num_epochs: int) -> None:
        self._console = console
        self._num_epochs = num_epochs
        self._is_live = console.is_terminal
        self._start = time.monotonic()
        self._first_epoch: int | None = None
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.4f}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not self._is_live,
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> "FitConsole":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def on_batch(self, epoch: int, batch: int, num_batches: int, loss: float) -> None:
        """Move the bar."""
        if self._first_epoch is None:
            self._first_epoch = epoch
        if not self._is_live:
            return
        total = self._num_epochs * num_batches
        done = epoch * num_batches + batch + 1
        if self._task is None:
            self._task = self._bar.add_task("fit", total=total, epoch=epoch + 1, loss=loss, left="")
        left = self._left((epoch - self._first_epoch) * num_batches + batch + 1, total - done)
        self._bar.update(self._task, completed=done, epoch=epoch + 1, loss=loss, left=left)

    def on_epoch(self, record: EpochRecord, *, is_best: bool) -> None:
        """Print the finished epoch."""
        first = record.epoch if self._first_epoch is None else self._first_epoch
        left = self._left(record.epoch - first + 1, self._num_epochs - record.epoch - 1)
        self._console.print(
            f"epoch {record.epoch + 1:3d}/{self._num_epochs}  loss {record.loss:.4f}  "
            f"kl {record.kl_divergence:.2f}  {record.errors_text}{' *' if is_best else '  '} "
            f"{record.seconds:5.1f} s  {left}",
            highlight=False,
            soft_wrap=True,
        )

    def _left(self, done: int, remaining: int) -> str:
        seconds = (time.monotonic() - self._start) / max(done, 1) * remaining
        return f"{int(seconds // 60)}:{int(seconds % 60):02d} left"
