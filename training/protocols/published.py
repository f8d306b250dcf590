"""The published rows of each protocol, with where each number was read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.protocols.protocol import Protocol

PATH = Path(__file__).with_name("published.json")

STATUS_TEXT = {
    "V": "read in the authors' own file",
    "N": "read in a third party's quotation",
    "R": "recalled, not verified",
}


@dataclass(frozen=True)
class PublishedValue:
    """One printed number; `spread` is its printed standard deviation, None where there is none."""

    metric: str
    value: float
    spread: float | None
    status: str


@dataclass(frozen=True)
class PublishedRow:
    """One model in a published table; `status` of each value is a key of `STATUS_TEXT`."""

    protocol: str
    model: str
    options: tuple[tuple[str, str], ...]
    values: tuple[PublishedValue, ...]
    sets: str
    source: str
    note: str

    def find(self, metric: str) -> PublishedValue | None:
        """Return the value of a metric, None where the table has none."""
        return next((one for one in self.values if one.metric == metric), None)


def published_rows(protocol: Protocol) -> tuple[PublishedRow, ...]:
    """Return the rows that compare with a loaded protocol: those whose options are its own."""
    own = set(protocol.options)
    return tuple(
        row for row in read_rows() if row.protocol == protocol.name and own.issuperset(row.options)
    )


def read_rows(path: Path = PATH) -> tuple[PublishedRow, ...]:
    """Read all rows."""
    return tuple(_row(content) for content in json.loads(path.read_text(encoding="utf-8")))


def _row(content: Mapping[str, Any]) -> PublishedRow:
    spreads, statuses = content.get("spread", {}), content.get("statuses", {})
    return PublishedRow(
        protocol=content["protocol"],
        model=content["model"],
        options=tuple(content.get("options", {}).items()),
        values=tuple(
            PublishedValue(
                metric, value, spreads.get(metric), statuses.get(metric, content["status"])
            )
            for metric, value in content["values"].items()
        ),
        sets=content["sets"],
        source=content["source"],
        note=content.get("note", ""),
    )
