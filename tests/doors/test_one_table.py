# ruff: noqa: E501  a table has a line for each case
"""One table of inputs through all doors: a row means the same in an import, in a job and in a request.

Every case is one example of a kind of trap. It is written as a long and a wide table, Parquet, NDJSON,
FHIR (a line a resource, and a Bundle), MEDS and OMOP, imported and read by a batch job, and posted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.doors.doors import Outcome, through_http, through_import, through_job
from tests.doors.records import TABLES, WAYS, Row

_ALL: Final = frozenset({*WAYS, "http"})
_TEXT: Final = _ALL - {"meds"}
"""Doors whose times are text; MEDS has timestamps."""

COMPANION: Final = Row("HR", 80.0, "/min", 0.0)
"""A good row in every record, so that something is left."""


@dataclass(frozen=True)
class Case:
    """Rows, and what becomes of them at every door of `doors`. What `used` shows is without `HR = 80`."""

    kind: str
    rows: tuple[Row, ...]
    used: tuple[str, ...] = ()
    reasons: Mapping[str, int] = field(default_factory=dict)
    suspected: frozenset[str] = frozenset()
    statics: Mapping[str, float] = field(default_factory=dict)
    pieces: int = 1
    is_dated: bool = True
    doors: frozenset[str] = _ALL

    @property
    def expected(self) -> Outcome:
        used = tuple(sorted(("HR = 80", *self.used)))
        return Outcome(used, self.reasons, self.suspected, self.statics, self.pieces)


def case(
    kind: str,
    *rows: Row,
    used: str = "",
    why: str = "",
    suspected: str = "",
    doors: frozenset[str] = _ALL,
    but_not: str = "",
    pieces: int = 1,
    is_dated: bool = True,
    **statics: float,
) -> Case:
    """A line of the table: `used` and `why` are separated by commas; `2 x duplicate` counts."""
    reasons = {}
    for one in filter(None, why.split(", ")):
        count, _, reason = one.rpartition(" x ")
        reasons[reason] = int(count or 1)
    told = tuple(filter(None, used.split(", ")))
    kept = doors - set(but_not.split())
    warned = frozenset(filter(None, suspected.split(", ")))
    return Case(kind, rows, told, reasons, warned, statics, pieces, is_dated, kept)


_HOURLY = tuple(Row("HR", 80.0 + hour % 5, "/min", 60.0 * hour) for hour in range(1, 48))

TABLE = [
    # The first table of the issue: values.
    case("a limit", Row("TroponinT", "<0.01", "ug/L"), used="TroponinT <= 0.01"),
    case("a limit above", Row("TroponinT", ">20", "ug/L"), used="TroponinT >= 20"),
    case("a limit with blanks", Row("Lactate", "> 15", "mmol/L"), used="Lactate >= 15"),
    case("a limit or equal", Row("Lactate", "<=0.5", "mmol/L"), used="Lactate <= 0.5"),
    case("a limit in words", Row("Lactate", "GREATER THAN 15", "mmol/L"), used="Lactate >= 15"),
    case(
        "a limit in its own field",
        Row("TroponinT", 0.01, "ug/L", comparator="<"),
        used="TroponinT <= 0.01",
        but_not="wide",
    ),
    case("a flag", Row("TroponinT", "1.1*", "ug/L"), used="TroponinT = 1.1"),
    case("a flag of a letter", Row("K", "5.2 H", "mmol/L"), used="K = 5.2"),
    case("a word", Row("K", "hemolyzed"), why="value_is_text"),
    case("the oldest", Row("age_years", "> 89", at=None), age_years=90.0),
    # Names and units.
    case("another name", Row("hr", 81.0, "/min"), used="HR = 81"),
    case("a name in small letters", Row("ph", 7.31), used="pH = 7.31"),
    case("a LOINC code", Row("8867-4", 81.0, "/min"), used="HR = 81", but_not="fhir bundle"),
    case("a LOINC code of MEDS", Row("LOINC//8867-4", 81.0, "/min"), used="HR = 81", but_not="fhir bundle"),
    case("no variable of the catalogue", Row("lunar phase", 0.5), why="unknown_variable"),
    case("gm/dL", Row("Albumin", 3.1, "gm/dL"), used="Albumin = 3.1"),
    case("µmol/l", Row("Creatinine", 88.42, "µmol/l"), used="Creatinine = 1.0002"),
    case("10^9/l", Row("Platelets", 250.0, "10^9/l"), used="Platelets = 250"),
    case("ng/l", Row("TroponinT", 14.0, "ng/l"), used="TroponinT = 0.014"),
    case("MG/DL", Row("Glucose", 100.0, "MG/DL"), used="Glucose = 100"),
    case("G/L", Row("Albumin", 31.0, "G/L"), used="Albumin = 3.1"),
    case("Kg", Row("Weight", 70.0, "Kg"), used="Weight = 70"),
    case("mval/l", Row("Na", 140.0, "mval/l"), used="Na = 140"),
    case("Percent", Row("FiO2", 40.0, "Percent"), used="FiO2 = 0.4"),
    # A wide table has a unit in a header alone, and one that is none is a part of the name.
    case("no unit of the variable", Row("K", 4.0, "furlong"), why="unknown_unit", but_not="wide"),
    case("a unit of something else", Row("K", 4.0, "mg/dL"), why="unknown_unit"),
    case("room air", Row("FiO2", 20.9, "%"), used="FiO2 = 0.209"),
    # Times.
    case("a date without a time", Row("K", 4.0, "mmol/L", "2026-03-01"), why="date_without_time", doors=_TEXT),
    case("no time", Row("K", 4.0, "mmol/L", None), why="missing_time", but_not="http"),
    case("a time in words", Row("K", 4.0, "mmol/L", "yesterday"), why="invalid_time", doors=_TEXT - {"omop"}),
    case("the day first", Row("K", 4.0, "mmol/L", "01.03.2026 10:00"), why="time_without_offset", doors=_TEXT - {"omop"}),
    case(
        "clocks mixed",
        Row("HR", 81.0, "/min", "2026-03-01T10:30:00+02:00"),
        Row("HR", 82.0, "/min", "2026-03-01T10:30:00"),
        Row("HR", 83.0, "/min", "2026-03-01T09:30:00Z"),
        used="HR = 81, HR = 83",
        why="time_without_offset",
        doors=_TEXT,
    ),
    case(
        "hours among dates",
        Row("HR", 81.0, "/min", 2.0),
        Row("K", 4.0, "mmol/L", "5.5"),
        used="HR = 81",
        why="mixed_time_kinds",
        doors=frozenset({*TABLES, "http"}),
    ),
    case("a shifted date", Row("K", 4.0, "mmol/L", "2201-05-01T10:00:00Z"), used="K = 4", pieces=2, doors=_TEXT),
    case("a date of nobody", Row("K", 4.0, "mmol/L", "2301-05-01T10:00:00Z"), why="time_out_of_range", doors=_TEXT),
    case("a record of years", Row("K", 4.0, "mmol/L", 24.0 * 4000), used="K = 4", pieces=2),
    case(
        "minutes as hours",
        *_HOURLY,
        used=", ".join(f"HR = {80 + hour % 5}" for hour in range(1, 48)),
        suspected="clock_suspected",
        is_dated=False,
        doors=frozenset({*TABLES, "http"}),
    ),
    # Units that nobody wrote.
    case("glucose in another unit", Row("Glucose", 14.2), used="Glucose = 14.2", suspected="unit_suspected"),
    case("creatinine in another unit", Row("Creatinine", 180.0), why="unit_suspected", suspected="unit_suspected"),
    case("percent", Row("FiO2", 40.0), why="unit_suspected", suspected="unit_suspected"),
    case("97.2 Cel", Row("Temp", 97.2, "Cel"), why="unit_suspected", suspected="unit_suspected"),
    case("a value of nobody", Row("K", 99.0, "mmol/L"), why="implausible_value"),
    case("nothing", Row("K", "NA", "mmol/L"), why="missing_value", but_not="wide omop fhir bundle"),
    case("infinite", Row("K", "1e999", "mmol/L"), why="invalid_value"),
    # One merge rule for every kind of variable.
    case(
        "amounts add up",
        *(Row("Urine", volume, "mL") for volume in (100.0, 50.0, 50.0)),
        used="Urine = 200",
        why="2 x amount_added",
    ),
    case("levels are averaged", Row("K", 4.0), Row("K", 5.0), used="K = 4.5", why="conflict_averaged"),
    case("a level twice", Row("K", 4.0), Row("K", 4.0), used="K = 4", why="duplicate"),
    case("a score stays one", Row("GCS", 3.0), Row("GCS", 15.0), used="GCS = 3", why="score_superseded"),
    case("a state", Row("MechVent", 0.0), Row("MechVent", 1.0), used="MechVent = 1", why="state_superseded"),
    case(
        "a limit beside a value",
        Row("Lactate", "<2", "mmol/L"),
        Row("Lactate", 1.5, "mmol/L"),
        used="Lactate = 1.5",
        why="censored_superseded",
    ),
    # Text beside the number.
    case(
        "not testable",
        Row("GCS_eye", 4.0),
        Row("GCS_verbal", 1.0, text="No Response-ETT"),
        Row("GCS_motor", 6.0),
        why="not_testable, 2 x incomplete_score",
        doors=frozenset({"csv", "parquet", "ndjson", "meds"}),
    ),
    case(
        "a total of parts",
        *(Row(name, value) for name, value in (("GCS_eye", 4.0), ("GCS_verbal", 5.0), ("GCS_motor", 6.0))),
        used="GCS = 15",
        why="3 x combined_into_score",
    ),
    # Descriptors.
    case("sex f", Row("sex", "f", at=None), sex=0.0),
    case("sex M", Row("sex", "M", at=None), sex=1.0),
    # A request names the descriptor, and what is wrong with it in one way: `static_ignored`.
    case("sex of nobody", Row("sex", "zz", at=None), why="value_is_text", but_not="http"),
    case("inches", Row("height_cm", 70.0, "[in_i]", at=None), height_cm=177.8, but_not="http"),
    case(
        "a descriptor twice",
        Row("weight_kg", 80.0, "kg", at=None),
        Row("weight_kg", 82.0, "kg", at=None),
        weight_kg=81.0,
        why="conflict_averaged",
        but_not="http",
    ),
]  # fmt: skip


@pytest.mark.parametrize("one", TABLE, ids=lambda one: one.kind)
def test_a_record_means_the_same_at_every_door(
    one: Case, client: httpx.Client, tmp_path: Path
) -> None:
    rows = [COMPANION, *one.rows]
    found: dict[str, Outcome] = {}
    for name in sorted(one.doors - {"http"}):
        folder = tmp_path / name
        folder.mkdir()
        source = WAYS[name].write(folder, rows, is_dated=one.is_dated)
        found[f"import {name}"] = through_import(name, source, folder / "dataset")
        found[f"job {name}"] = through_job(name, source, folder / "job")
    if "http" in one.doors:
        found["http"] = through_http(client, rows, is_dated=one.is_dated)
    assert found == dict.fromkeys(found, one.expected)
