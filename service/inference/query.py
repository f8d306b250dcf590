"""What is asked about one series: query times and variables, and events.

A query is checked against the record of its series: the observations that are used. Answers come in
the order that was asked, and a time may be asked twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from jaxtyping import Float, Int

from model.data.reasons import Reason
from model.data.units import Conversion, conversion
from model.data.variables import Catalogue, Variable
from model.errors import UnitError, UnknownVariableError
from model.records.explaining import explain
from model.records.placing import Placed, place_times
from model.records.reading import Records
from model.records.times import Times, read_moments
from service.inference.errors import Fault, SeriesRefusedError
from service.inference.schemas import EventBody, QueryBody
from service.settings import Settings

Where = Callable[[int], str]
"""Path of the time at an index, for messages."""

EVENT_GRID_HOURS = 0.5
EVENT_SAMPLES = 200
"""Joint samples behind the probability of an event: a standard error of at most 0.035."""


class Reach(Enum):
    """Where the query times of an endpoint may lie."""

    ANYWHERE = "anywhere"
    AFTER_AS_OF = "after_as_of"


@dataclass(frozen=True)
class Record:
    """The observations that are used. `channels` are those observed, sorted.

    `as_of` is spelled as it was posted; `as_of_hours` is on the clock of the last piece.
    """

    records: Records
    as_of: float | str
    as_of_hours: float
    channels: Int[np.ndarray, " observed"]

    def place(self, times: Times) -> Placed:
        """Find the piece and the hour of times."""
        found = self.records
        subjects = np.zeros(len(times), dtype=np.int64)
        return place_times(times, subjects, found.cohort, found.clocks, found.piece_subjects)


@dataclass(frozen=True)
class AskedQuery:
    """Every channel at every time; `moments` are the times as they were spelled.

    `times_hours` are on the clocks of the `pieces` that the times are nearest to.
    """

    moments: list[float | str]
    pieces: Int[np.ndarray, " time"]
    times_hours: Float[np.ndarray, " time"]
    channels: tuple[int, ...]

    @property
    def num_queries(self) -> int:
        """Number of answers."""
        return len(self.times_hours) * len(self.channels)


@dataclass(frozen=True)
class AskedEvent:
    """A threshold in canonical units, and the times after `as_of` at which it is looked at."""

    variable: Variable
    channel: int
    threshold: float
    is_below: bool
    within_hours: float
    times_hours: Float[np.ndarray, " time"]


def read_query(
    body: QueryBody,
    record: Record,
    *,
    at: str,
    catalogue: Catalogue,
    settings: Settings,
    reach: Reach,
) -> AskedQuery:
    """Read times and variables.

    Raises
    ------
    SeriesRefusedError
        For a query without a defined answer.
    """
    moments = body["times"]
    if not moments:
        raise SeriesRefusedError(Fault.EMPTY_QUERY, "ask for at least one time", path=f"{at}.times")
    if len(moments) > settings.max_query_times:
        raise SeriesRefusedError(
            Fault.TOO_MANY_QUERY_TIMES,
            f"a series may be asked at {settings.max_query_times} times; split the query",
            path=f"{at}.times",
        )
    placed = record.place(read_moments(moments))
    _check_times(placed, lambda index: f"{at}.times[{index}]")
    if reach is Reach.AFTER_AS_OF:
        _check_after(placed, record, at)
    _check_distance(placed.outside_hours, settings, lambda index: f"{at}.times[{index}]")
    channels = _channels(body.get("variables"), record, at, catalogue)
    return AskedQuery(moments, placed.pieces, placed.hours, channels)


def read_events(
    bodies: Sequence[EventBody],
    record: Record,
    *,
    at: str,
    catalogue: Catalogue,
    settings: Settings,
) -> tuple[AskedEvent, ...]:
    """Read events.

    Raises
    ------
    SeriesRefusedError
        For an event without a defined probability.
    """
    return tuple(
        _read_event(body, record, f"{at}[{index}]", catalogue, settings)
        for index, body in enumerate(bodies)
    )


def _check_times(placed: Placed, where: Where) -> None:
    wrong = np.flatnonzero(placed.faults != Reason.KEPT)
    if len(wrong):
        reason = Reason(int(placed.faults[wrong[0]]))
        raise SeriesRefusedError(Fault(reason.code), explain(reason), path=where(int(wrong[0])))


def _check_after(placed: Placed, record: Record, at: str) -> None:
    last = len(record.records.cohort) - 1
    early = np.flatnonzero((placed.pieces < last) | (placed.hours <= record.as_of_hours))
    if len(early):
        raise SeriesRefusedError(
            Fault.QUERY_NOT_AFTER_AS_OF,
            "a forecast is asked at times after `as_of` (default: the last observation); "
            "use /v1/impute for times inside the record",
            path=f"{at}.times[{early[0]}]",
        )


def _check_distance(
    outside_hours: Float[np.ndarray, " time"], settings: Settings, where: Where
) -> None:
    limit = settings.max_outside_hours
    far = np.flatnonzero(outside_hours > limit)
    if len(far):
        raise SeriesRefusedError(
            Fault.QUERY_TOO_FAR,
            f"a time may lie up to {limit:g} hours before the first or after the last observation "
            "that is used, and as far into a silence of the record",
            path=where(int(far[0])),
        )


def _channels(
    names: Sequence[str] | None, record: Record, at: str, catalogue: Catalogue
) -> tuple[int, ...]:
    """Return the channels asked for, each once; by default those observed that can be estimated."""
    if names is None:
        channels = [int(one) for one in record.channels if catalogue[int(one)].is_queryable]
    else:
        channels = [
            queryable_channel(catalogue, name, path=f"{at}.variables[{index}]")
            for index, name in enumerate(names)
        ]
    if not channels:
        raise SeriesRefusedError(
            Fault.EMPTY_QUERY, "name at least one variable to estimate", path=f"{at}.variables"
        )
    return tuple(dict.fromkeys(channels))


def find_channel(catalogue: Catalogue, name: str, *, path: str) -> int:
    """Return the channel of a name or code, or refuse the series with the choices."""
    untrained = catalogue.find_untrained(name) if catalogue.find(name) is None else None
    if untrained is not None:
        raise SeriesRefusedError(
            Fault.VARIABLE_NOT_TRAINED,
            f"{untrained.name} is never estimated: the training data of this model hold too few values "
            "of it; /v1/variables lists what can be asked",
            path=path,
        )
    try:
        return catalogue.channel(name)
    except UnknownVariableError as error:
        raise SeriesRefusedError(Fault.UNKNOWN_VARIABLE, str(error), path=path) from None


def find_conversion(variable: Variable, unit: str | None, *, path: str) -> Conversion:
    """Return the conversion to the canonical unit, or refuse the series with the choices."""
    try:
        return conversion(variable, unit)
    except UnitError as error:
        raise SeriesRefusedError(Fault.UNKNOWN_UNIT, str(error), path=path) from None


def queryable_channel(catalogue: Catalogue, name: str, *, path: str) -> int:
    """Return the channel of a variable that can be estimated, or refuse the series."""
    channel = find_channel(catalogue, name, path=path)
    if not catalogue[channel].is_queryable:
        raise SeriesRefusedError(
            Fault.VARIABLE_NOT_QUERYABLE,
            f"{catalogue[channel].name} is read as input and never estimated",
            path=path,
        )
    return channel


def _read_event(
    body: EventBody, record: Record, at: str, catalogue: Catalogue, settings: Settings
) -> AskedEvent:
    below, above = body.get("below"), body.get("above")
    if (below is None) == (above is None):
        raise SeriesRefusedError(
            Fault.INVALID_EVENT, "an event has exactly one of `below` and `above`", path=at
        )
    channel = queryable_channel(catalogue, body["variable"], path=f"{at}.variable")
    variable = catalogue[channel]
    change = find_conversion(variable, body.get("unit"), path=f"{at}.unit")
    given = below if above is None else above
    assert given is not None
    threshold = change(given)
    low, high = variable.plausible_range
    if not low <= threshold <= high:
        raise SeriesRefusedError(
            Fault.INVALID_EVENT,
            f"the threshold must lie in the plausible range of {variable.name}, "
            f"{low:g} to {high:g} {variable.unit}",
            path=f"{at}.below" if above is None else f"{at}.above",
        )
    within = float(body["within_hours"])
    steps = np.arange(1, int(within / EVENT_GRID_HOURS) + 1)
    times = record.as_of_hours + EVENT_GRID_HOURS * steps
    outside = times[-1:] - record.records.cohort.times_hours[-1]
    _check_distance(outside, settings, lambda _index: f"{at}.within_hours")
    return AskedEvent(variable, channel, threshold, above is None, within, times)
