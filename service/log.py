"""The log: one format for all lines, and errors by their place, as messages may hold patient data."""

import logging
import traceback

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_MAX_FRAMES = 8


def log_to_stderr() -> None:
    """Let this program's own lines through."""
    logging.basicConfig(level=logging.INFO, format=_FORMAT)


def places_of(error: Exception) -> str:
    """Return the innermost functions that the error passed, the one that raised it first."""
    frames = traceback.extract_tb(error.__traceback__)[-_MAX_FRAMES:]
    return " < ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in frames[::-1])
