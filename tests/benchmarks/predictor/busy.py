"""The length of time that anything at all is running."""

from collections.abc import Iterable


def covered(intervals: Iterable[tuple[float, float]]) -> float:
    """Return the length of a union of intervals."""
    length, reached = 0.0, -float("inf")
    for start, end in sorted(intervals):
        length += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return length
