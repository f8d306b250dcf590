"""Bodies of requests for tests."""

import copy
from typing import Any

Json = dict[str, Any]

_ROWS = [
    (0.0, "HR", 88.0),
    (0.0, "MAP", 75.0),
    (0.5, "Temp", 37.1),
    (1.25, "HR", 92.0),
    (2.0, "PaCO2", 41.0),
    (3.0, "Glucose", 130.0),
    (4.0, "MAP", 69.0),
    (6.5, "HR", 97.0),
    (8.0, "Mg", 2.0),
    (9.0, "MechVent", 1.0),
    (11.0, "MAP", 64.0),
    (12.0, "HR", 101.0),
]
UNITS = {
    "HR": "/min",
    "MAP": "mm[Hg]",
    "Temp": "Cel",
    "PaCO2": "mm[Hg]",
    "Glucose": "mg/dL",
    "Mg": "mg/dL",
    "MechVent": "1",
}
QUERY: Json = {"times": [0.25, 5.0, 7.0], "variables": ["HR", "MAP"]}
FUTURE: Json = {"times": [13.0, 18.0, 40.0], "variables": ["HR", "MAP"]}


def rows() -> list[Json]:
    """Twelve observations over twelve hours, each with its canonical unit."""
    return [
        {"time": time, "variable": name, "value": value, "unit": UNITS[name]}
        for time, name, value in _ROWS
    ]


def columns(observations: list[Json]) -> Json:
    """The same observations in the other form."""
    return {key: [row.get(key) for row in observations] for key in observations[0]}


def series(**changes: Any) -> Json:
    """One series with a query inside its record."""
    whole: Json = {"subject_id": "p1", "observations": rows(), "query": copy.deepcopy(QUERY)}
    return {key: value for key, value in (whole | changes).items() if value is not ...}


def other_series(index: int) -> Json:
    """A good series unlike the others."""
    observations = rows()[index % 5 :]
    for place, row in enumerate(observations):
        row["time"] += 0.1 * index + 0.01 * place
    query = {"times": [2.0 + 0.1 * index, 9.5], "variables": ["HR", "PaCO2"]}
    static = {"age_years": 20 + index}
    return series(subject_id=f"q{index}", observations=observations, query=query, static=static)


def body(*several: Json, **options: Any) -> Json:
    """A request of these series."""
    return {"series": list(several), **options}
