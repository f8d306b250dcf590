"""From an input on a grid to the observations and the query of `service.inference`.

A gap is no observation; after that nothing here differs from any other irregular series.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from model.data.variables import Catalogue
from service.errors import InvalidRequestError, TooLargeError
from service.inference.answers import Remark, RemarkCode
from service.inference.errors import Fault, SeriesRefusedError
from service.inference.observations import Table
from service.inference.query import Reach, find_channel
from service.inference.reading import ReadSeries, read_table
from service.inference.requests import ReadRequest, Refused, check_sums, require_any
from service.inference.schemas import ForecastSeries
from service.settings import Settings
from service.timeseries.grid import Grid, read_grid, spelled
from service.timeseries.schemas import TimeSeriesInput, TimeSeriesRequest


@dataclass(frozen=True)
class GridTable(Table):
    """Observations that were cells of a series: `cells[row]` is the time and the variable of one."""

    cells: Int[np.ndarray, "row 2"]

    def path(self, row: int, field: str = "") -> str:
        """Return the path of a row's cell; of its variable, the name of the series."""
        if field == "variable":
            return self.at.removesuffix(".series") + ".name"
        time, variable = self.cells[row]
        return f"{self.at}[{time}]" + (f"[{variable}]" if self.is_columnar else "")


@dataclass(frozen=True)
class ReadInput:
    """One input as read, or refused; `start` is the time of its first forecast."""

    body: TimeSeriesInput
    read: ReadSeries | Refused
    start: str = ""


def read_inputs(
    body: TimeSeriesRequest, *, catalogue: Catalogue, settings: Settings
) -> list[ReadInput]:
    """Read every input; a refused one does not touch the others.

    Raises
    ------
    TooLargeError
        If the inputs together are beyond a limit.
    InvalidRequestError, SeriesRefusedError
        If the horizon is beyond its limit, or no input can be answered.
    """
    if len(body.inputs) > settings.max_series:
        raise TooLargeError(
            f"a request may have {settings.max_series} inputs; send more requests",
            code="too_many_series",
            path="inputs",
        )
    if body.options.horizon > settings.max_query_times:
        raise InvalidRequestError(
            f"the horizon may be {settings.max_query_times} steps",
            code=Fault.TOO_MANY_QUERY_TIMES.value,
            path="options.horizon",
        )
    inputs = [
        _read_one(one, index, body.options.horizon, catalogue, settings)
        for index, one in enumerate(body.inputs)
    ]
    whole = ReadRequest(tuple(one.read for one in inputs))
    require_any(whole, at="inputs")
    check_sums(whole, 0, settings)
    return inputs


def _read_one(
    body: TimeSeriesInput, index: int, horizon: int, catalogue: Catalogue, settings: Settings
) -> ReadInput:
    at = f"inputs[{index}]"
    try:
        num_times = len(body.series)
        grid = read_grid(body, num_steps=num_times + horizon, at=at)
        names = _names(body, catalogue, at)
        table = _table(body, _values(body, len(names), at), grid, names, at)
        asked: Any = {
            "times": grid.hours(num_times, num_times + horizon).tolist(),
            "variables": names,
        }
        read = read_table(
            ForecastSeries.model_construct(observations=[], query=asked),
            table,
            at=at,
            subject_id=str(index),
            catalogue=catalogue,
            settings=settings,
            reach=Reach.AFTER_AS_OF,
            is_strict=False,
        )
        return ReadInput(body, _with_start(read, body, at), spelled(grid.instant(num_times)))
    except SeriesRefusedError as error:
        error.path = _posted_path(error.path, at)
        return ReadInput(body, Refused(str(index), error))


def _names(body: TimeSeriesInput, catalogue: Catalogue, at: str) -> list[str]:
    """Return the variable of each column."""
    path = f"{at}.name"
    if body.type == "univariate_time_series":
        return [body.name]
    names = [name.strip() for name in body.name.split(",")]
    channels = {find_channel(catalogue, name, path=path) for name in names}
    if len(channels) < len(names):
        raise SeriesRefusedError(
            Fault.DUPLICATE_VARIABLE,
            "the name of a multivariate series holds every variable once",
            path=path,
        )
    return names


def _values(body: TimeSeriesInput, width: int, at: str) -> Float[np.ndarray, "time variable"]:
    """Return the cells as a table, NaN where there is a gap."""
    rows: Sequence[Any] = body.series
    # The schema has seen to it that all of them are lists, or none is.
    widths = [len(row) for row in rows] if rows and isinstance(rows[0], list) else []
    is_multivariate = body.type == "multivariate_time_series"
    if rows and (bool(widths) != is_multivariate or set(widths) - {width}):
        wrong = next((time for time, found in enumerate(widths) if found != width), 0)
        expected = f"a list of {width} values" if is_multivariate else "a number or null"
        raise SeriesRefusedError(
            Fault.SERIES_SHAPE,
            f"expected {expected} for each time, as `type` and `name` say",
            path=f"{at}.series[{wrong}]",
        )
    return np.array(rows, dtype=float).reshape(len(rows), width)


def _table(
    body: TimeSeriesInput,
    values: Float[np.ndarray, "time variable"],
    grid: Grid,
    names: Sequence[str],
    at: str,
) -> GridTable:
    cells = np.argwhere(~np.isnan(values))
    hours = grid.hours(0, len(values))
    return GridTable(
        times=hours[cells[:, 0]].tolist(),
        names=[names[column] for column in cells[:, 1]],
        values=values[cells[:, 0], cells[:, 1]].tolist(),
        units=[None] * len(cells),
        comparators=[None] * len(cells),
        at=f"{at}.series",
        is_columnar=body.type == "multivariate_time_series",
        cells=cells,
    )


def _with_start(read: ReadSeries, body: TimeSeriesInput, at: str) -> ReadSeries:
    """Say so where the start was assumed."""
    if body.start_timestamp is not None:
        return read
    remark = Remark(
        RemarkCode.START_ASSUMED,
        f"{at}.start_timestamp",
        "no start was given; the times of the answer count from 2000-01-01T00:00:00Z",
    )
    return replace(read, remarks=(remark, *read.remarks))


def _posted_path(path: str | None, at: str) -> str:
    """Return where the fault is in the client's form: the query is made from horizon and name."""
    if path is None or path.startswith(f"{at}.query.times"):
        return "options.horizon"
    return re.sub(r"\.query\..*", ".name", path)
