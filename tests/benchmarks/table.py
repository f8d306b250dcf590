"""Tables in Markdown: the same text on the screen and in the result file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A title, a sentence or two on what was done, and rows of text."""

    title: str
    notes: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        """Return Markdown; all columns but the first are aligned right."""
        rule = ["---", *["--:"] * (len(self.header) - 1)]
        lines = [_line(row) for row in (self.header, rule, *self.rows)]
        return f"## {self.title}\n\n{self.notes}\n\n" + "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
