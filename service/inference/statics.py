"""The statics of one series. What cannot be used is ignored, with a remark."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from model.data.variables import Catalogue, Static
from service.inference.answers import Remark, RemarkCode


@dataclass(frozen=True)
class Statics:
    """One number for each static of the catalogue, NaN where unknown."""

    values: Float[np.ndarray, " static"]
    remarks: tuple[Remark, ...]


def read_statics(
    given: Mapping[str, float | str | None], catalogue: Catalogue, *, at: str
) -> Statics:
    """Read the statics that the catalogue knows; None is as good as absent."""
    values = np.full(len(catalogue.statics), np.nan)
    remarks = []
    unknown = [name for name in given if name not in catalogue.static_positions]
    if unknown:
        names = ", ".join(static.name for static in catalogue.statics)
        message = f"unknown statics were ignored; expected some of: {names}"
        remarks.append(Remark(RemarkCode.STATIC_IGNORED, at, message, len(unknown)))
    for name, position in catalogue.static_positions.items():
        posted = given.get(name)
        if posted is None:
            continue
        static = catalogue.statics[position]
        value = _value(static, posted)
        if value is None:
            message = f"ignored; expected {_expectation(static)}"
            remarks.append(Remark(RemarkCode.STATIC_IGNORED, f"{at}.{name}", message))
        else:
            values[position] = value
    return Statics(values, tuple(remarks))


def _value(static: Static, posted: float | str) -> float | None:
    if static.categories:
        return float(static.categories.index(str(posted))) if posted in static.categories else None
    low, high = static.plausible_range
    if isinstance(posted, str) or not low <= posted <= high:
        return None
    return float(posted)


def _expectation(static: Static) -> str:
    if static.categories:
        return f"one of: {', '.join(static.categories)}"
    low, high = static.plausible_range
    return f"a number from {low:g} to {high:g} ({static.unit})"
