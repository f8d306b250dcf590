"""Requests made by schemathesis from the OpenAPI document, and all its checks on every answer.

Three kinds, because most of what fits the document is about unknown variables: what fits it, what
does not, and what also makes sense, made from a narrower copy with real names and usual numbers.
"""

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, final

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup

from tests.service.requests import Json

_MAX_SHOWN = 5
# The schemas of requests, whose fields are narrowed for sensible ones.
_REQUESTED = (
    *("ObservationRow", "ObservationColumns", "QueryBody", "EventBody", "ForecastOptions"),
    *("ImputeSeries", "ForecastSeries", "UncertaintySeries"),
    *("TimeSeriesInput", "TimeSeriesRequest"),
    *("ImputeRequest", "ForecastRequest", "UncertaintyRequest", "ValidateRequest"),
)
# What fits the document may still be about an unknown variable (422), beyond a limit (413), or
# about a model that is not loaded (404).
_CHECKS = {
    "positive_data_acceptance": {"expected-statuses": ["2xx", "404", "413", "422"]},
    "negative_data_rejection": {"expected-statuses": ["400", "404", "405", "413", "415", "422"]},
}
_HOURS = {"type": "number", "minimum": 0, "maximum": 72}
_LATER = {"type": "number", "minimum": 73, "maximum": 168}
_VALUES: Json = {"type": "number", "minimum": 60, "maximum": 100}
_NOTHING = {"type": "null"}


AnyCase = Case[Any]


class Kind(StrEnum):
    """What a request is made from."""

    FITTING = "fitting"
    """What the document allows."""
    MISFIT = "misfit"
    """What it does not."""
    SENSIBLE = "sensible"
    """What it allows and a client would send."""
    BOUNDARY = "boundary"
    """The edges of every schema, in and out, and methods that do not exist; not random."""


@final
@dataclass(frozen=True)
class Findings:
    """What became of the requests that were sent: answers by operation, kind and status."""

    answers: Counter[tuple[str, Kind, int]] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    shown: list[str] = field(default_factory=list)
    hung: list[str] = field(default_factory=list)

    def statuses_of(self, label: str, kind: Kind) -> Counter[int]:
        """Count the answers to one kind of request by status."""
        found: Counter[int] = Counter()
        for (name, of_kind, status), count in self.answers.items():
            if (name, of_kind) == (label, kind):
                found[status] += count
        return found

    def note(self, label: str, group: FailureGroup) -> None:
        """Add failed checks; the first few are kept in full."""
        self.failures.update(f"{label}: {type(one).__name__}" for one in group.exceptions)
        if len(self.shown) < _MAX_SHOWN:
            self.shown.append(f"{label}\n{group}")


@final
class Fuzzer:
    """Asks a server at `url` whatever its document allows and forbids."""

    def __init__(self, url: str, document: Json, *, timeout_seconds: float) -> None:
        config = SchemathesisConfig.from_dict({"checks": _CHECKS})
        self._plain = schemathesis.openapi.from_dict(document, config=config)
        self._narrow = schemathesis.openapi.from_dict(narrowed(document, url), config=config)
        self._url, self._timeout_seconds = url, timeout_seconds
        self._session = requests.Session()
        self.findings = Findings()

    @property
    def labels(self) -> list[str]:
        """All operations: method and path."""
        operations: Any = self._plain.get_all_operations()  # Any: an operation or an error
        return [operation.ok().label for operation in operations]

    def boundary(self, label: str, *, at_most: int | None = None) -> None:
        """Send the edges of an operation's schemas, or `at_most` that many, evenly spread."""
        cases = list(self._boundary_cases(label))
        stride = 1 if at_most is None else -(-len(cases) // at_most)
        for case in cases[::stride]:
            self._send(case, Kind.BOUNDARY)

    def fuzz(self, label: str, kind: Kind, count: int, *, start: int) -> None:
        """Send about `count` random requests, the same ones for the same `start`."""
        schema = self._narrow if kind is Kind.SENSIBLE else self._plain
        mode = GenerationMode.NEGATIVE if kind is Kind.MISFIT else GenerationMode.POSITIVE
        cases = _operation(schema, label).as_strategy(generation_mode=mode)

        def send(case: AnyCase) -> None:
            self._send(case, kind)

        # Untyped in hypothesis.
        repeat: Any = seed
        random: Any = given(cases)
        run = settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )(repeat(start)(random(send)))
        try:
            run()
        except Unsatisfiable:
            assert kind is Kind.MISFIT  # an operation without parameters has no misfit
            return

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _boundary_cases(self, label: str) -> Iterator[AnyCase]:
        operation = _operation(self._plain, label)
        for mode in GenerationMode:
            generation = self._plain.config.generation_for(operation=operation)
            yield from self._plain.iter_coverage_cases(
                operation, generation_modes=[mode], generation_config=generation
            )

    def _send(self, case: AnyCase, kind: Kind) -> None:
        label = case.operation.label
        try:
            response = case.call(
                base_url=self._url, session=self._session, timeout=self._timeout_seconds
            )
        except requests.Timeout:
            self.findings.hung.append(label)
            return
        self.findings.answers[label, kind, response.status_code] += 1
        try:
            case.validate_response(response)
        except FailureGroup as group:
            self.findings.note(label, group)


def narrowed(document: Json, url: str) -> Json:
    """Return a document that allows only what a client of this server would send."""
    found = requests.get(f"{url}/v1/variables", timeout=30).json()["variables"]
    names = {"enum": [one["name"] for one in found if one["queryable"] and _takes_values(one)]}
    model = requests.get(f"{url}/v1/models", timeout=30).json()["models"][0]
    narrow = copy.deepcopy(document)
    schemas = narrow["components"]["schemas"]
    for name in _REQUESTED:
        _narrow(schemas[name]["properties"], names, model["name"])
    for name, kind in (("ObservationRow", _HOURS), ("ObservationColumns", _HOURS)):
        properties = schemas[name]["properties"]
        is_columnar = name == "ObservationColumns"
        for key, item in (("time", kind), ("variable", names), ("value", _VALUES)):
            properties[key] = _list(item, 6, 6) if is_columnar else item
    del schemas["EventBody"]["properties"]["above"]
    schemas["EventBody"]["required"].append("below")
    for parameter in narrow["paths"]["/v1/models/{name}/{version}"]["get"]["parameters"]:
        parameter["schema"] = {"const": model[parameter["name"]]}
    return narrow


def _narrow(properties: Json, names: Json, model: str) -> None:
    """Replace the fields that have one meaning wherever they stand."""
    rules: Json = {
        "times": _list(_LATER, 1, 5),
        "variables": _list(names, 1, 5),
        "variable": names,
        "below": _VALUES,
        "unit": _NOTHING,
        "as_of": _NOTHING,
        "strict": {"const": False},
        "within_hours": {"type": "number", "minimum": 0.5, "maximum": 24},
        "num_samples": {"type": "integer", "minimum": 0, "maximum": 5},
        "model": {"const": model},
        "horizon": {"type": "integer", "minimum": 1, "maximum": 12},
        "frequency": {"enum": ["hour", "H", "minute", "T"]},
        "start_timestamp": {"enum": [None, "2026-03-29T02:30:00+01:00", "2026-03-29"]},
        "type": {"const": "univariate_time_series"},
    }
    if "series" in properties and "seed" in properties:
        properties["series"]["maxItems"] = 3
    if "events" in properties:
        properties["events"]["maxItems"] = 2  # each runs the network two hundred times
    if "observations" in properties:
        properties["observations"]["anyOf"][0] |= {"minItems": 2, "maxItems": 20}
    is_input = "frequency" in properties and "series" in properties
    for name, rule in rules.items():
        if name in properties and (name != "type" or is_input):
            properties[name] = rule
    if is_input:
        properties["name"] = names
        properties["series"] = _list({"anyOf": [_VALUES, _NOTHING]}, 2, 12)


def _takes_values(variable: Json) -> bool:
    plausible = variable["plausible_range"]
    return bool(plausible["low"] <= _VALUES["minimum"] and _VALUES["maximum"] <= plausible["high"])


def _list(item: Json, shortest: int, longest: int) -> Json:
    return {"type": "array", "items": item, "minItems": shortest, "maxItems": longest}


def _operation(schema: Any, label: str) -> Any:
    method, path = label.split(" ", 1)
    return schema[path][method]
