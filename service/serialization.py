"""Dataclasses to JSON, once and without validating them again. Fields that are None are left out."""

from functools import cache
from typing import Any

from pydantic import TypeAdapter


def to_bytes(content: Any) -> bytes:
    """Return the JSON of a dataclass, a dictionary or a list.

    Examples
    --------
    >>> to_bytes({"status": ["ok"]})
    b'{"status":["ok"]}'
    """
    kind: Any = type(content)  # Any: for mypy a type[object] is not hashable
    return _adapter(kind).dump_json(content, exclude_none=True)


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
