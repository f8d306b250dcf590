"""What a catalogue says in a form that is quick to use, made once and kept with the catalogue."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from model.data.variables import Catalogue

_Made = TypeVar("_Made")


def once_per_catalogue(make: Callable[[Catalogue], _Made]) -> Callable[[Catalogue], _Made]:
    """Call a function once for each catalogue.

    A catalogue of a server answers thousands of small requests, and looking at all its variables
    costs more than reading the rows of one.
    """

    @wraps(make)
    def made(catalogue: Catalogue) -> _Made:
        kept = catalogue.derived
        if make not in kept:
            kept[make] = make(catalogue)
        found: _Made = kept[make]
        return found

    return made
