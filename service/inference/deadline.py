"""How long a client waits: the standard header `Prefer: wait=SECONDS` (RFC 7240).

The wait counts from when the body was read. It shortens the server's own limit and never extends
it. A preference that cannot be read is ignored, as the standard has it.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

from starlette.datastructures import Headers

# One preference of the list: `name`, `name=token` or `name="text"`, then parameters. Quoted text
# may hold commas.
_PREFERENCE = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*")+')
_WAIT = re.compile(r"wait[ \t]*=[ \t]*([0-9]+)[ \t]*(?:;.*)?", re.IGNORECASE)
_NAME = re.compile(r"[ \t]*([^\s=;]+)")
# Longer ones are ignored, so that matching quotes costs nothing.
_MAX_CHARACTERS = 1024
# More digits than any wait needs; Python refuses to read thousands of them.
_MAX_DIGITS = 9


@final
@dataclass(frozen=True)
class Deadline:
    """The time after which nobody wants the answer any more."""

    allowed_seconds: float
    applied_seconds: int | None = None
    """The client's preference as far as it is honored, None without one."""
    received: float = field(default_factory=time.perf_counter)

    @property
    def remaining_seconds(self) -> float:
        """Time that is left; not negative."""
        return max(0.0, self.allowed_seconds - (time.perf_counter() - self.received))

    @property
    def has_passed(self) -> bool:
        """Whether no time is left."""
        return self.remaining_seconds == 0.0

    @property
    def headers(self) -> dict[str, str]:
        """What an answer says about the preference."""
        if self.applied_seconds is None:
            return {}
        return {"Preference-Applied": f"wait={self.applied_seconds}"}


def read_deadline(headers: Headers, *, limit_seconds: float) -> Deadline:
    """Return the deadline of a request whose body has just been read.

    Examples
    --------
    >>> read_deadline(Headers({"Prefer": "wait=10"}), limit_seconds=30.0).headers
    {'Preference-Applied': 'wait=10'}
    """
    wait = preferred_wait(headers.getlist("prefer"))
    if wait is None:
        return Deadline(limit_seconds)
    return Deadline(min(limit_seconds, wait), min(int(limit_seconds), wait))


def preferred_wait(values: Sequence[str]) -> int | None:
    """Return the seconds of the first `wait` among all values of the header.

    None where there is none, or the first cannot be read: of a repeated preference only the first
    counts. A header beyond a kilobyte is not read.
    """
    preferences = ",".join(values)[: _MAX_CHARACTERS + 1]
    if len(preferences) > _MAX_CHARACTERS:
        return None
    for preference in _PREFERENCE.findall(preferences):
        name = _NAME.match(preference)
        if name is not None and name[1].lower() == "wait":
            wait = _WAIT.fullmatch(preference.strip())
            return None if wait is None else _seconds(wait[1])
    return None


def _seconds(digits: str) -> int:
    digits = digits.lstrip("0")
    return 10**_MAX_DIGITS if len(digits) > _MAX_DIGITS else int(digits or "0")


def with_preference(operation: dict[str, Any]) -> dict[str, Any]:
    """Add the header to what an endpoint adds to its operation in the OpenAPI document."""
    applied = {
        "description": "The wait that was granted, where one was preferred.",
        "schema": {"type": "string"},
    }
    return {
        **operation,
        "responses": {"200": {"headers": {"Preference-Applied": applied}}},
        "parameters": [
            {
                "name": "Prefer",
                "in": "header",
                "required": False,
                "description": "RFC 7240. `wait=SECONDS`: how long the client waits. A request "
                "whose time has passed before its turn is answered 503 and never reaches the "
                "model; the server's own limit holds all the same. Anything else is ignored.",
                "schema": {"type": "string"},
                "example": "wait=10",
            }
        ],
    }
