"""Ragged series and queries as flat arrays for the network.

Each series has its own clock, zero at its first context observation. Three index levels:

    knot    a time on the regular grid of one series' own clock, at which the encoder reads
    point   one time of one series that is asked about
    query   one variable at one point; what an answer belongs to

Knots reach from zero to the last context observation, so that they depend on the context alone (for
a causal batch to the last point: later knots change nothing at earlier ones).
All three are flat: nothing is padded here. How far a network has to pad, and how far the latent
equation has to be solved, is said by the lengths of two counting arrays, so that a network knows
all its shapes from its inputs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float, Int

from model.data.cells import Cells, Places
from model.data.neighborhoods import Neighborhoods, neighborhoods
from model.data.normalization import Normalization
from model.data.own_records import OwnRecords, own_records
from model.data.query import Query
from model.data.series import Cohort, hours_since, joined_ranges

LARGEST_INPUT = 8.0
"""Standard deviations. The network reads no value beyond, so that a mistyped one moves it little."""

FARTHEST_HOURS = 96.0
"""The latent equation is solved so far beyond the context; nothing is learned about later times."""

SOLVER_BLOCK = 8
"""Knots that the solver takes together; there is always an interval to read in."""

Array = TypeVar("Array")
Other = TypeVar("Other")


@dataclass(frozen=True)
class Batch(Generic[Array]):
    """Network input. Values are standardized, times are hours on the series' own clock."""

    statics: Array  # float32 [series, static], 0 where unknown
    known_statics_mask: Array  # bool [series, static]
    knot_counts: Array  # int64 [series]
    knot_series: Array  # int64 [knot], sorted
    knot_places: Array  # int64 [knot], number of the knot in its series
    padded_places: Array  # int64 [padded_knot], 0, 1, ... to the last knot of the longest series
    solver_blocks: Array  # int64 [block of `SOLVER_BLOCK` knots], 0, 1, ... beyond the last point
    point_series: Array  # int64 [point]
    point_times: Array  # float32 [point], at most `FARTHEST_HOURS` after the last knot
    query_points: Array  # int64 [query]
    query_channels: Array  # int64 [query]
    knots: Neighborhoods[Array]
    points: Neighborhoods[Array]
    records: OwnRecords[Array]  # float32

    def map(self, function: Callable[[Array], Other]) -> "Batch[Other]":
        """Apply a function to every array, for example to move it to a device."""
        return Batch(
            statics=function(self.statics),
            known_statics_mask=function(self.known_statics_mask),
            knot_counts=function(self.knot_counts),
            knot_series=function(self.knot_series),
            knot_places=function(self.knot_places),
            padded_places=function(self.padded_places),
            solver_blocks=function(self.solver_blocks),
            point_series=function(self.point_series),
            point_times=function(self.point_times),
            query_points=function(self.query_points),
            query_channels=function(self.query_channels),
            knots=self.knots.map(function),
            points=self.points.map(function),
            records=self.records.map(function),
        )

    def arrays(self) -> dict[str, Array]:
        """Return every array by its name; those of a part are named after both: `knots_counts`."""
        found: dict[str, Array] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in _PARTS:
                found |= {f"{field.name}_{name}": array for name, array in vars(value).items()}
            else:
                found[field.name] = value
        return found

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Array]) -> "Batch[Array]":
        """Put together what `arrays` took apart."""
        values: dict[str, object] = {}
        for field in fields(cls):
            if field.name in _PARTS:
                part = _PARTS[field.name]
                own = [arrays[f"{field.name}_{one.name}"] for one in fields(part)]
                values[field.name] = part(*own)
            else:
                values[field.name] = arrays[field.name]
        return cls(**values)  # type: ignore[arg-type]


_PARTS = MappingProxyType({"knots": Neighborhoods, "points": Neighborhoods, "records": OwnRecords})


def build_batch(
    context: Cohort,
    query: Query,
    normalization: Normalization,
    *,
    knot_hours: float = 1.0,
    is_causal: bool = False,
) -> Batch[np.ndarray]:
    """Arrange a context cohort (no series empty) and the queries about it.

    Raises
    ------
    ValueError
        If a series has no observation, or the numbers of series differ.

    Examples
    --------
    >>> from model.data.catalogue import shipped_catalogue
    >>> catalogue = shipped_catalogue()
    >>> rows = {"offsets": np.array([0, 2]), "times_hours": np.array([0.0, 3.0])}
    >>> rows |= {"channels": np.zeros(2, dtype=np.int64), "values": np.array([3.0, 3.2])}
    >>> cohort = Cohort(("a",), statics=np.full((1, len(catalogue.statics)), np.nan), **rows)
    >>> query = Query.grid([np.array([5.0])], [np.zeros(1, dtype=np.int64)])
    >>> batch = build_batch(cohort, query, Normalization.fit(cohort, catalogue))
    >>> batch.knot_counts.tolist(), batch.point_times.tolist()
    ([4], [5.0])
    """
    if len(query.point_offsets) != len(context) + 1:
        raise ValueError("`query` must have as many series as `context`")
    if np.any(context.counts == 0):
        raise ValueError("every series of `context` needs at least one observation")
    origins = context.times_hours[context.offsets[:-1]]
    cells = standardized_cells(context, normalization, origins)
    series, owners = query.series_of_points, query.points_of_queries
    points = Places(series, hours_since(query.times_hours, origins[series]))
    spans = cells.places.times[context.offsets[1:] - 1]
    knots = _Knots.of(spans, points, knot_hours, is_causal=is_causal)
    places = Places(
        np.concatenate([knots.series, points.series]),
        np.concatenate([knots.places * knot_hours, points.times]),
    )
    found = neighborhoods(cells, places, len(normalization.loc), is_causal=is_causal)
    around_knots, around_points = found.split(len(knots.series))
    asked = Places(series[owners], points.times[owners])
    records = own_records(cells, asked, query.channels, is_causal=is_causal)
    return Batch(
        statics=normalization.apply_statics(context.statics).astype(np.float32),
        known_statics_mask=~np.isnan(context.statics),
        knot_counts=knots.counts,
        knot_series=knots.series,
        knot_places=knots.places,
        padded_places=np.arange(knots.counts.max()),
        solver_blocks=np.arange(-(-knots.num_solver_knots // SOLVER_BLOCK)),
        point_series=points.series,
        point_times=knots.point_times,
        query_points=owners,
        query_channels=query.channels.astype(np.int64),
        knots=around_knots,
        points=around_points,
        records=records.map(lambda array: array.astype(np.float32)),
    )


def standardized_cells(
    context: Cohort, normalization: Normalization, origins: Float[np.ndarray, " series"]
) -> Cells:
    """Return the observations on the clocks that begin at `origins`, as the network reads them."""
    series = context.series_indices
    values = normalization.apply(context.values, context.channels)
    return Cells(
        Places(series, hours_since(context.times_hours, origins[series])),
        context.channels,
        np.clip(values, -LARGEST_INPUT, LARGEST_INPUT),
        context.censoring,
    )


def num_knots(
    span_hours: Float[np.ndarray, " series"], knot_hours: float
) -> Int[np.ndarray, " series"]:
    """Return how many knots a context of this span has: the first at zero, the last not before its end."""
    return np.ceil(span_hours / knot_hours - 1e-9).astype(np.int64) + 1


@dataclass(frozen=True)
class _Knots:
    """The knots of all series, and how far the latent equation is solved."""

    counts: Int[np.ndarray, " series"]
    series: Int[np.ndarray, " knot"]
    places: Int[np.ndarray, " knot"]
    point_times: Float[np.ndarray, " point"]
    num_solver_knots: int

    @classmethod
    def of(
        cls,
        spans: Float[np.ndarray, " series"],
        points: Places,
        knot_hours: float,
        *,
        is_causal: bool,
    ) -> "_Knots":
        farthest = spans[points.series] + FARTHEST_HOURS
        if is_causal:
            # Where a filter's record ends must not matter to what lies before: the knots go on.
            spans = spans.copy()
            np.maximum.at(spans, points.series, np.minimum(points.times, farthest))
        counts = num_knots(spans, knot_hours)
        series = np.repeat(np.arange(len(spans)), counts)
        places = joined_ranges(np.zeros_like(counts), counts)
        ends = ((counts - 1) * knot_hours + FARTHEST_HOURS)[points.series]
        times = np.minimum(points.times, ends).astype(np.float32)
        last = num_knots(times.max(initial=0.0, keepdims=True), knot_hours)[0]
        return cls(counts, series, places, times, int(last))
