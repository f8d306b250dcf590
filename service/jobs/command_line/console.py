"""Progress of a job for people: a bar on a terminal, plain lines elsewhere."""

import time
from datetime import timedelta
from pathlib import Path
from typing import final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from service.jobs.command_line.done import Done


@final
class JobConsole:
    """Shows what is read, then subjects, rows, speed and the time left; a `Watcher`."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._start = time.monotonic()
        self._before: int | None = None
        self._percent = -1
        self._num_read = 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task: TaskID = self._bar.add_task("reading", total=None, speed="")

    def __enter__(self) -> "JobConsole":
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def on_read(self, num_rows: int) -> None:
        """Move the count of rows, or print a line whenever it has grown by a quarter."""
        if self._console.is_terminal:
            self._bar.update(self._task, description=f"{num_rows} rows read")
        elif num_rows > 1.25 * self._num_read:
            self._num_read = num_rows
            self._print(f"{num_rows} rows read")

    def on_lost(self, num_parts: int) -> None:
        """Say that what was done is not all there."""
        self._print(f"missing or altered, and made again: {num_parts} of the parts that were done")

    def on_chunk(self, done: Done) -> None:
        """Move the bar, or print a line for every percent."""
        rate = self._rate(done)
        speed = "" if rate is None else f"{rate:.1f} subjects/s"
        if self._console.is_terminal:
            self._bar.update(
                self._task,
                description=f"{done.num_subjects}/{done.plan.num_subjects} subjects",
                completed=done.num_subjects,
                total=done.plan.num_subjects,
                speed=speed,
            )
            return
        percent = 100 * done.num_subjects // done.plan.num_subjects
        if percent > self._percent:
            self._percent = percent
            self._print(
                f"{percent:3d} %  {done.num_subjects}/{done.plan.num_subjects} subjects  "
                f"{done.num_rows} rows  {done.num_quarantined} quarantined  {speed}  "
                f"{_left(done, rate)}".rstrip()
            )

    def on_end(self, done: Done, folder: Path) -> None:
        """Print what became of everything that was read."""
        answered = done.num_subjects - done.num_quarantined
        self._print(
            f"{answered} of {done.num_subjects} subjects answered in {done.num_rows} rows, "
            f"{done.num_abstained} of them abstained: {folder / 'parts'}"
        )
        if done.num_quarantined:
            self._print(f"{done.num_quarantined} subjects quarantined: {folder / 'quarantine'}")
        for not_used in sorted(done.account.not_used, key=lambda one: -one.rows):
            what = f"{not_used.reason} {not_used.variable}".rstrip()
            self._print(f"{not_used.rows} of {done.plan.num_rows} input rows not used: {what}")
        for remark in sorted(done.account.remarks, key=lambda one: -one.rows):
            self._print(f"{remark.rows} input rows, {remark.code}: {remark.message}")

    def _rate(self, done: Done) -> float | None:
        """Count from the first chunk that was told, which may be one that was done before."""
        now = time.monotonic()
        if self._before is None:
            self._before, self._start = done.num_subjects, now
        elapsed = now - self._start
        moved = done.num_subjects - self._before
        return moved / elapsed if moved and elapsed > 0 else None

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def _left(done: Done, rate: float | None) -> str:
    num_left = done.plan.num_subjects - done.num_subjects
    if rate is None or num_left == 0:
        return ""
    return f"{timedelta(seconds=round(num_left / rate))} left"
