"""The remarks about units, clocks and texts: one for each variable and unit, never with a value."""

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Int

from model.data.cleaning import Observations
from model.data.reasons import Reason, is_kept
from model.data.variables import Catalogue
from model.records.meanings import Meaning, Meanings
from model.records.remarks import Remark, RemarkCode
from model.records.row_columns import RowColumns
from model.records.rows import TimeKind
from model.records.suspicion import Suspicion, is_clock_suspected


def remarks_of(
    rows: RowColumns,
    meanings: Meanings,
    fates: Int[np.ndarray, " row"],
    suspicions: list[Suspicion],
    accepted: Mapping[int, str],
    kept: Observations,
    kind: TimeKind,
    catalogue: Catalogue,
) -> tuple[Remark, ...]:
    """Return what was noticed, in the order of the first rows."""
    counts, first_rows = meanings.counts, meanings.first_rows
    found = []
    for pair, meaning in enumerate(meanings.found):
        if meaning.channel < 0 or meaning.fault is not Reason.KEPT:
            continue
        place = int(counts[pair]), int(first_rows[pair])
        if pair in accepted:
            found.append(_accepted(meaning, accepted[pair], *place, catalogue))
        elif not meaning.unit:
            found.append(_assumed(meaning, *place, catalogue))
        elif not meaning.conversion.is_identity:
            found.append(_converted(meaning, *place, catalogue))
    found += [
        _suspected(one, meanings, int(counts[one.pair]), int(first_rows[one.pair]), catalogue)
        for one in suspicions
        if one.pair not in accepted
    ]
    found += _texts(rows, meanings, fates, catalogue)
    if kind is TimeKind.HOURS and is_clock_suspected(kept.series_indices, kept.times_hours):
        message = (
            "the times were read as hours, but they look like minutes: the stays would last months, "
            "with a look twice a day or less; give the unit of the times if it is another"
        )
        found.append(Remark(RemarkCode.CLOCK_SUSPECTED, message, len(rows), 0))
    return tuple(sorted(found, key=lambda one: (one.first_row, one.code)))


def _converted(meaning: Meaning, rows: int, first_row: int, catalogue: Catalogue) -> Remark:
    variable, change = catalogue[meaning.channel], meaning.conversion
    shift = f", plus {change.offset:.8g}" if change.offset else ""
    message = (
        f"{variable.name} was converted from {meaning.unit} to {variable.unit}: "
        f"times {change.factor:.8g}{shift}"
    )
    return Remark(RemarkCode.UNIT_CONVERTED, message, rows, first_row, variable.name, meaning.unit)


def _assumed(meaning: Meaning, rows: int, first_row: int, catalogue: Catalogue) -> Remark:
    variable = catalogue[meaning.channel]
    message = f"no unit was given; assumed {variable.name} in {variable.unit}"
    return Remark(RemarkCode.UNIT_ASSUMED, message, rows, first_row, variable.name)


def _accepted(
    meaning: Meaning, unit: str, rows: int, first_row: int, catalogue: Catalogue
) -> Remark:
    variable = catalogue[meaning.channel]
    came = f"in {meaning.unit}" if meaning.unit else "without a unit"
    message = f"{variable.name} came {came} and was read in {unit}, as it was accepted"
    return Remark(RemarkCode.UNIT_ACCEPTED, message, rows, first_row, variable.name, unit)


def _suspected(
    suspicion: Suspicion, meanings: Meanings, rows: int, first_row: int, catalogue: Catalogue
) -> Remark:
    meaning = meanings.found[suspicion.pair]
    variable = catalogue[meaning.channel]
    came = f"in {meaning.unit}" if meaning.unit else "without a unit"
    if suspicion.is_column:
        found = f"the middle of its values is unusual in {meaning.unit or variable.unit} and usual"
    else:
        rows, first_row = len(suspicion.rows), int(suspicion.rows[0])
        found = f"values cannot be in {meaning.unit or variable.unit} and fit"
    message = (
        f"{variable.name} came {came}: {found} in {suspicion.other_unit}. Nothing was converted; "
        f"state the unit, or accept {variable.name}={suspicion.other_unit}"
    )
    return Remark(
        RemarkCode.UNIT_SUSPECTED, message, rows, first_row, variable.name, suspicion.other_unit
    )


def _texts(
    rows: RowColumns, meanings: Meanings, fates: Int[np.ndarray, " row"], catalogue: Catalogue
) -> Iterator[Remark]:
    if not rows.texts.names:
        return
    told = np.flatnonzero(rows.texts.codes >= 0)
    beside = told[np.isfinite(rows.numbers[told]) & is_kept(fates[told])]
    channels = meanings.channels[beside]
    for channel in sorted(set(channels.tolist()) - {-1}):
        own = beside[channels == channel]
        name = catalogue[channel].name
        message = f"{name}: the number was used, the text beside it was not"
        yield Remark(RemarkCode.TEXT_BESIDE_NUMBER, message, len(own), int(own[0]), name)
