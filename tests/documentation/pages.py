"""The pages of the documentation, cut into sections and fenced blocks, and the commands in them.

A block `csv file=table.csv` is the content of a file that the reader is told to write. A block
`bash` holds one command a line. A block `text` after it shows lines of what the commands print.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.conftest import REPOSITORY

_FENCE = re.compile(r"^```(?P<language>\w+)(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.S | re.M)
_HEADING = re.compile(r"^#+ (.*)$", re.M)

# These are records of what was done, not pages that tell a reader what to do.
_RECORDS = ("decisions", "results")
_LOGS = ("experiments.md", "scale.md")

# Pages that run from their first block to their last (`tests.documentation.scripts`).
SCRIPTS = ("docs/records.md", "docs/recipes/add-a-source.md", "docs/recipes/add-a-variable.md")
CONTRIBUTING = "CONTRIBUTING.md"


@dataclass(frozen=True)
class Block:
    """A fenced block; `file` is the name of the file that it is the content of, if it is one."""

    section: str
    language: str
    text: str
    file: str | None = None

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


@dataclass(frozen=True)
class Page:
    """A page; `name` is its path in the repository."""

    name: str
    text: str

    @classmethod
    def read(cls, name: str) -> "Page":
        return cls(name, (REPOSITORY / name).read_text(encoding="utf-8"))

    @property
    def blocks(self) -> list[Block]:
        """The blocks in their order."""
        outside = _FENCE.sub(lambda found: " " * len(found[0]), self.text)
        headings = [(found.start(), found[1]) for found in _HEADING.finditer(outside)]
        return [self._block(found, headings) for found in _FENCE.finditer(self.text)]

    @staticmethod
    def _block(found: re.Match[str], headings: list[tuple[int, str]]) -> Block:
        section = [title for start, title in headings if start < found.start()][-1]
        file = re.search(r"\bfile=(\S+)", found["info"])
        return Block(section, found["language"], found["text"], file[1] if file else None)

    def commands(self, section: str | None = None) -> list[str]:
        """Return the commands of a section, or of all."""
        return [
            line
            for block in self.blocks
            if block.language == "bash" and section in (None, block.section)
            for line in block.lines
        ]

    def shown(self, section: str, language: str) -> str:
        """Return the only block of a language in a section."""
        found = [b.text for b in self.blocks if (b.section, b.language) == (section, language)]
        assert len(found) == 1, (self.name, section, language)
        return found[0]


def all_pages() -> Iterator[Page]:
    """Give every page that tells a reader what to do."""
    for path in sorted(REPOSITORY.glob("*.md")):
        yield Page.read(path.name)
    for path in sorted((REPOSITORY / "docs").rglob("*.md")):
        inside = path.relative_to(REPOSITORY / "docs")
        if inside.parts[0] not in _RECORDS and inside.name not in _LOGS:
            yield Page.read(str(path.relative_to(REPOSITORY)))
