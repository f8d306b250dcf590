"""Small parts and protocols, made by hand."""

from collections.abc import Sequence

import numpy as np

from model.data.series import Cohort, Series
from training.protocols.part import Part
from training.protocols.protocol import Protocol

GIVEN, ASKED, BOTH = "given", "asked", "both"

Row = tuple[float, int, float, str]


def part(*series: Sequence[Row]) -> Part:
    """Make a part of rows (time, channel, value, role), one sequence for each series."""
    rows = [row for one in series for row in one]
    cohort = Cohort.from_series(
        [
            Series(
                str(index),
                np.array([row[0] for row in one], dtype=float),
                np.array([row[1] for row in one], dtype=np.int64),
                np.array([row[2] for row in one], dtype=float),
                np.full(5, np.nan),
            )
            for index, one in enumerate(series)
        ]
    )
    return Part(
        cohort,
        np.array([row[3] != ASKED for row in rows]),
        np.array([row[3] != GIVEN for row in rows]),
    )


def random_part(
    generator: np.random.Generator, *, num_series: int = 12, num_channels: int = 3
) -> Part:
    """Make a part with random values; half of the observations are given, half are asked."""
    series = []
    for _ in range(num_series):
        count = int(generator.integers(8, 30))
        times = np.sort(generator.integers(0, 48, count)).astype(float)
        series.append(
            [
                (time, channel, value, GIVEN if is_given else ASKED)
                for time, channel, value, is_given in zip(
                    times.tolist(),
                    generator.integers(0, num_channels, count).tolist(),
                    generator.normal(size=count).tolist(),
                    (generator.random(count) < 0.5).tolist(),
                    strict=True,
                )
            ]
        )
    return part(*series)


def protocol(name: str, test: Part, *, num_channels: int = 3) -> Protocol:
    """Make a protocol whose three parts are the same."""
    return Protocol(
        name=name,
        variables=tuple(f"v{channel}" for channel in range(num_channels)),
        train=test,
        validation=test,
        test=test,
        seed=0,
        loc=np.zeros(num_channels),
        scale=np.ones(num_channels),
        sets="A",
        num_records=len(test.cohort),
    )
