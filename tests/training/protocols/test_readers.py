"""Each protocol's reader against a plain loop over the lines, on 50 real records."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from model.records.errors import SourceError
from tests.training.protocols.challenge import read_slowly, write_record
from training.protocols import csdi, grafiti, saits
from training.protocols.catalogue import load
from training.protocols.cells import Cells, mean_of_cells
from training.protocols.raw import PARAMETERS, STATICS, read_set_a, read_stays, sets_in

SAITS = saits.VARIANTS["saits"].variables

Table = dict[tuple[int, str], float]


def tables(cells: Cells, names: tuple[str, ...], num_stays: int) -> list[Table]:
    result: list[Table] = [{} for _ in range(num_stays)]
    for stay, time, channel, value in zip(
        cells.stays, cells.times, cells.channels, cells.values, strict=True
    ):
        result[stay][int(time), names[channel]] = value
    return result


def paths(folder: Path) -> list[Path]:
    return sorted((folder / "set-a").glob("*.txt"))


def averaged(lines: Iterator[tuple[int, str, float]]) -> Table:
    found = defaultdict(list)
    for time, name, value in lines:
        found[time, name].append(value)
    return {key: sum(values) / len(values) for key, values in found.items()}


def check(found: list[Table], expected: list[Table]) -> None:
    assert sum(map(len, expected)) > 1000
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        assert list(one.values()) == pytest.approx([other[key] for key in one], rel=1e-12)


def test_lines_of_one_minute_are_averaged(sample: Path) -> None:
    raw = read_stays(sample)
    cells = mean_of_cells(raw.stays, raw.minutes, raw.parameters, raw.values)
    expected = [averaged(read_slowly(path)) for path in paths(sample)]
    check(tables(cells, PARAMETERS, len(raw)), expected)


def test_the_statics_are_those_of_minute_0_and_unknown_where_they_are_minus_1(sample: Path) -> None:
    raw = read_stays(sample)
    for row, path in zip(raw.statics, paths(sample), strict=True):
        lines = [one for one in read_slowly(path) if one[0] == 0]
        first = {name: value for _, name, value in reversed(lines)}
        written = [np.nan if first[name] == -1 else first[name] for name in STATICS]
        np.testing.assert_allclose(row, written)


def test_the_last_value_of_an_hour_wins_in_csdi(sample: Path) -> None:
    raw = read_set_a(sample)
    expected = [
        {
            (minute // 60, name): value
            for minute, name, value in read_slowly(path)
            if name in csdi.VARIABLES and minute < 2880
        }
        for path in paths(sample)
    ]
    check(tables(csdi.hourly_last(raw, csdi.VARIABLES), csdi.VARIABLES, len(raw)), expected)


def test_saits_averages_the_hours_and_leaves_out_records_of_one_hour(tmp_path: Path) -> None:
    write_record(tmp_path / "set-a", 1, "00:10,HR,70", "00:50,HR,80", "05:00,HR,90")
    write_record(tmp_path / "set-a", 2, "00:10,HR,70")
    stays, cells = saits._hourly_means(read_stays(tmp_path), SAITS, is_saits=True)
    assert stays.tolist() == [0]
    table = tables(cells, SAITS, 1)[0]
    assert table == {(0, "HR"): 75, (0, "Weight"): 80, (5, "HR"): 90}


@pytest.mark.parametrize(("missing", "shifted"), [(47, 47), (46, 46)])
def test_saits_shifts_the_rows_of_a_record_that_has_hour_48_in_place_of_another(
    tmp_path: Path, missing: int, shifted: int
) -> None:
    hours = [hour for hour in range(1, 49) if hour != missing]
    write_record(tmp_path / "set-a", 1, *(f"{hour:02d}:00,HR,{hour}" for hour in hours))
    raw = read_stays(tmp_path)
    rows = {
        is_saits: tables(
            saits._hourly_means(raw, SAITS, is_saits=is_saits)[1],
            SAITS,
            1,
        )[0]
        for is_saits in (True, False)
    }
    assert rows[True][shifted, "HR"] == missing + 1
    assert (missing, "HR") not in rows[False]
    assert (48, "HR") not in rows[False]


def slow_grafiti(path: Path, *, is_legacy: bool) -> tuple[list[int], Table]:
    """Follow the published reader line by line: it writes an hour when another begins."""
    hours: list[int] = []
    kept: list[tuple[int, str, float]] = []
    pending: list[tuple[int, str, float]] = []
    lines = [one for one in read_slowly(path) if not (one[0] == 0 and one[1] in STATICS)]
    for minute, name, value in lines:
        hour = minute // 60
        if hours and hour == hours[-1]:
            pending.append((hour, name, value))
            continue
        kept += pending
        is_lost = is_legacy and hours
        pending = [] if is_lost else [(hour, name, value)]
        hours.append(hour)
    if is_legacy:
        return hours[:-1], averaged(iter(kept))
    return hours, averaged(iter(kept + pending))


@pytest.mark.parametrize("is_legacy", [True, False])
def test_the_reader_of_grafiti_with_and_without_its_faults(sample: Path, is_legacy: bool) -> None:
    reading = grafiti._read(read_stays(sample), is_legacy=is_legacy)
    lines, bins = reading.lines, reading.bins
    cells = mean_of_cells(
        lines.stays, lines.minutes // 60, lines.channels(grafiti.VARIABLES), lines.values
    )
    slow = [slow_grafiti(path, is_legacy=is_legacy) for path in paths(sample)]
    check(tables(cells, grafiti.VARIABLES, len(lines)), [table for _, table in slow])
    for stay, (hours, _) in enumerate(slow):
        assert bins.hours[bins.stays == stay].tolist() == hours


def test_the_faulty_reader_of_grafiti_loses_an_eighth_of_the_targets(sample: Path) -> None:
    counts = [
        sum(
            int(part.target_mask.sum())
            for part in (protocol.train, protocol.validation, protocol.test)
        )
        for protocol in (
            load("grafiti-forecast", sample, legacy_reader=is_legacy) for is_legacy in (True, False)
        )
    ]
    assert 0.80 < counts[0] / counts[1] < 0.92


def test_set_a_alone_is_found_or_asked_for(sample: Path, tmp_path: Path) -> None:
    assert sets_in(sample) == sets_in(sample / "set-a") == "A"
    assert len(read_set_a(sample)) == len(read_set_a(sample / "set-a")) == 50
    write_record(tmp_path / "set-b", 1, "01:00,HR,70")
    write_record(tmp_path / "records", 1, "01:00,HR,70")
    with pytest.raises(SourceError, match="no folder set-a"):
        read_set_a(tmp_path)
    assert sets_in(tmp_path) == "B"
    assert sets_in(tmp_path / "records") == "?"
