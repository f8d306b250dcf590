"""Progress of a job for people: a bar on a terminal, plain lines elsewhere."""

import time
from pathlib import Path
from typing import final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from service.jobs.command_line.done import Done


@final
class JobConsole:
    """Shows subjects, rows and speed; `on_chunk` is what `run_job` watches with."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._start = time.monotonic()
        self._before: int | None = None
        self._percent = -1
        self._bar = Progress(
            TextColumn("{task.completed}/{task.total} subjects"),
            BarColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> "JobConsole":
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def on_chunk(self, done: Done) -> None:
        """Move the bar, or print a line for every percent."""
        speed = self._speed(done)
        if self._console.is_terminal:
            if self._task is None:
                self._task = self._bar.add_task("fill", total=done.plan.num_subjects, speed=speed)
            self._bar.update(self._task, completed=done.num_subjects, speed=speed)
            return
        percent = 100 * done.num_subjects // done.plan.num_subjects
        if percent > self._percent:
            self._percent = percent
            self._print(
                f"{percent:3d} %  {done.num_subjects}/{done.plan.num_subjects} subjects  "
                f"{done.num_rows} rows  {done.num_quarantined} quarantined  {speed}"
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
        ignored = {**done.plan.ignored, "dropped by cleaning": done.num_dropped}
        for reason, count in ignored.items():
            if count:
                self._print(f"{count} of {done.plan.num_rows} input rows not used: {reason}")

    def _speed(self, done: Done) -> str:
        """Count from the first chunk that was told, which may be one that was done before."""
        now = time.monotonic()
        if self._before is None:
            self._before, self._start = done.num_subjects, now
        elapsed = now - self._start
        moved = done.num_subjects - self._before
        return f"{moved / elapsed:.1f} subjects/s" if moved and elapsed > 0 else ""

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)
