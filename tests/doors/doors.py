"""The doors: training import, batch jobs, and HTTP; and what each says became of a record."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np

from model.data.catalogue import shipped_catalogue
from model.data.reasons import Reason
from model.data.series import Cohort
from model.data.variables import Catalogue
from model.records.codes import CodeMap
from model.records.remarks import RemarkCode
from model.records.sources.options import SourceOptions
from service.inference.query import Reach
from service.inference.requests import read_request
from service.inference.schemas import ImputeRequest
from service.jobs.filling.chunk_reading import read_chunk_rows
from service.jobs.planning.chunks import read_chunk
from service.jobs.planning.plan import make_plan
from service.jobs.request import JobRequest
from service.settings import Settings
from tests.catalogues import CHALLENGE
from tests.doors.records import WAYS, Json, Row, body_of
from training.datasets.importing import ImportOptions, import_source
from training.datasets.meds import read_cohort

_SUSPECTED: Final = (RemarkCode.UNIT_SUSPECTED, RemarkCode.CLOCK_SUSPECTED)
_REASONS: Final = {reason.code for reason in Reason}
_WIRE: Final = {"implausible_value_dropped": "implausible_value", "duplicate_dropped": "duplicate"}
_SIDES: Final = {-1: "<=", 0: "=", 1: ">="}


@dataclass(frozen=True)
class Outcome:
    """What became of a record.

    `used` names each observation that a model sees: `TroponinT <= 0.01`. `reasons` counts the other
    rows. `suspected` are the remarks about units and clocks. `pieces` are the series it was cut into.
    """

    used: tuple[str, ...]
    reasons: Mapping[str, int] = field(default_factory=dict)
    suspected: frozenset[str] = frozenset()
    statics: Mapping[str, float] = field(default_factory=dict)
    pieces: int = 1


def described(
    cohort: Cohort, catalogue: Catalogue, reasons: Mapping[str, int], remarks: Iterator[str]
) -> Outcome:
    """Say in words what a cohort holds."""
    names = [catalogue[channel].name for channel in cohort.channels.tolist()]
    columns = zip(names, cohort.censoring.tolist(), cohort.values.tolist(), strict=True)
    first = cohort.statics[0] if len(cohort) else np.zeros(0)
    return Outcome(
        tuple(sorted(f"{name} {_SIDES[side]} {value:.5g}" for name, side, value in columns)),
        {reason: count for reason, count in reasons.items() if count},
        frozenset(code for code in remarks if code in _SUSPECTED),
        {
            static.name: float(f"{value:.5g}")
            for static, value in zip(catalogue.statics, first, strict=False)
            if not np.isnan(value)
        },
        len(cohort),
    )


def through_import(
    way: str, source: Path, folder: Path, catalogue: Catalogue = CHALLENGE, **options: Any
) -> Outcome:
    """Import a source, and read the data set from disk."""
    how = SourceOptions(format=WAYS[way].format, **options)
    report = import_source(source, folder, ImportOptions(source=how, catalogue=catalogue))
    assert report.is_balanced
    reasons: Counter[str] = Counter()
    for drop in report.drops:
        reasons[drop.reason] += drop.rows
    dataset = read_cohort(folder)
    remarks = (one.code for one in report.remarks)
    return described(dataset.cohort, dataset.catalogue, reasons, remarks)


def through_job(
    way: str, source: Path, folder: Path, catalogue: Catalogue = CHALLENGE, **options: Any
) -> Outcome:
    """Plan a batch job, and read its chunk as it is read to be filled."""
    codes = options.pop("codes", None)
    if codes is not None:
        entries = codes.entries.items()
        options["codes"] = {
            code: {"variable": one.variable, "unit": one.unit} for code, one in entries
        }
    request = JobRequest.model_validate({"format": WAYS[way].format, **options})
    plan = make_plan(source, request, folder, catalogue)
    (chunk,) = plan.chunks
    read = read_chunk_rows(read_chunk(folder, chunk), request, catalogue)
    reasons = Counter(plan.ignored)
    for one in read.account.not_used:
        reasons[one.reason] += one.rows
    remarks = (one.code for one in read.account.remarks)
    return described(read.cohort, catalogue, reasons, remarks)


def through_http(client: httpx.Client, rows: Sequence[Row], *, is_dated: bool = True) -> Outcome:
    """Post a record; the series that the model is given is read from the same body."""
    body = body_of(rows, is_dated=is_dated)
    answers = [client.post(f"/v1/{door}", json=body) for door in ("validate", "impute")]
    for answer in answers:
        assert answer.status_code == 200, answer.text
    checked, filled = (answer.json()["series"][0] for answer in answers)
    assert checked["warnings"] == filled["warnings"]
    read = read_request(
        ImputeRequest.model_validate(body),
        catalogue=CHALLENGE,
        settings=Settings(),
        reach=Reach.ANYWHERE,
    )
    (series,) = read.good
    assert checked["kept"] == series.num_observations
    warnings = checked["warnings"]
    return described(
        Cohort.from_series(series.pieces),
        CHALLENGE,
        _reasons(warnings),
        (one["code"] for one in warnings if _is_remark(one)),
    )


def _is_remark(warning: Json) -> bool:
    # The values that are not used and the column that is suspected have one name.
    return (warning["code"] in _SUSPECTED and "Nothing was converted" in warning["message"]) or (
        warning["code"] == RemarkCode.CLOCK_SUSPECTED
    )


def _reasons(warnings: Sequence[Json]) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in warnings:
        code = _WIRE.get(one["code"], one["code"])
        if code in _REASONS and not _is_remark(one):
            found[code] += one["count"]
    return found


def shipped() -> Catalogue:
    """Every variable that is known without a user's table."""
    return shipped_catalogue()


__all__ = ["CodeMap", "Outcome", "shipped", "through_http", "through_import", "through_job"]
