"""From the records of a source to a proposed table of variables.

A name that the known catalogue holds takes its row from there, with the quartiles of these records
as what is typical. Any other name gets a row from its values. A person decides afterwards: every
suggestion that needs one has a note.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from model.data.variables import Catalogue, Static, Variable, folded
from model.errors import CatalogueError
from model.records.glasgow import total_channel
from model.records.meanings import Meanings
from model.records.row_columns import RowColumns
from model.records.statics import age_position
from model.records.suspicion import suspect_units
from training.catalogue.known_rows import UnitDoubt, known_static, known_variable
from training.catalogue.new_rows import new_static, new_variable
from training.catalogue.proposal import Entry, LeftOut, Proposal, Seen
from training.catalogue.roles import is_static, why_not, why_not_static
from training.catalogue.sample import LEAST_SUBJECTS, Sample, samples_of


@dataclass(frozen=True, kw_only=True)
class ProposalRules:
    """`min_subjects` must have a variable that nobody knows; `max_variables` keeps the commonest."""

    min_subjects: int = LEAST_SUBJECTS
    max_variables: int | None = None

    def __post_init__(self) -> None:
        if self.min_subjects < LEAST_SUBJECTS:
            raise CatalogueError(
                f"--min-subjects must be {LEAST_SUBJECTS} or more: a figure of fewer subjects may be "
                "that of one"
            )


DEFAULT_RULES = ProposalRules()


def propose(
    rows: RowColumns,
    known: Catalogue,
    rules: ProposalRules = DEFAULT_RULES,
    *,
    columns: Sequence[str] = (),
    empty_columns: Sequence[str] = (),
) -> Proposal:
    """Suggest a table of variables for the rows of a source.

    Parameters
    ----------
    known
        The catalogue whose rows are taken where it knows a name.
    columns
        Names of the columns of a wide table: these may be repeated, whoever has values in them.
    empty_columns
        Those of them without any value.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from model.records.rows import row_batch
    >>> columns = {"subject_id": pa.array(list("abcde") * 8),
    ...     "variable": pa.array(["Spark"] * 40), "unit": pa.array(["mV"] * 40),
    ...     "value": pa.array([2.0 + place / 10 for place in range(40)])}
    >>> subjects = np.arange(40) % 5
    >>> hours = {"time_kind": pa.array([1] * 40), "hours": pa.array(np.arange(40.0) ** 2)}
    >>> rows = RowColumns.of(row_batch(columns | hours).batch, subjects, 5)
    >>> [entry] = propose(rows, Catalogue((), ())).entries
    >>> entry.item.name, entry.item.unit, entry.item.resolution
    ('Spark', 'mV', 0.1)
    """
    doubts = _doubts(rows, known)
    entries: list[Entry] = []
    left_out = [LeftOut(name, "no value in any row", is_column=True) for name in empty_columns]
    for sample in samples_of(rows, known):
        found = _entry(sample, known, doubts, rules)
        if isinstance(found, Entry):
            entries.append(found)
        else:
            left_out.append(replace(found, is_column=found.name in columns))
    entries += _made(rows, known, entries)
    entries, beyond = _commonest(entries, rules.max_variables)
    accepts = []
    for entry in entries:
        doubt = doubts.get(known.channels.get(entry.item.name, -1))
        if entry.is_known and doubt is not None and doubt.is_column:
            accepts.append((entry.item.name, doubt.unit))
    return Proposal(tuple(_ordered(entries, known)), (*left_out, *beyond), tuple(accepts))


def _made(rows: RowColumns, known: Catalogue, entries: Sequence[Entry]) -> Iterator[Entry]:
    """Give the known rows of what an import makes itself: ages from births, totals of the coma scale."""
    names = {entry.item.name for entry in entries}
    meanings = Meanings.of(rows.names, rows.units, known)
    age, total = age_position(known), total_channel(known)
    if age is not None and known.statics[age].name not in names and meanings.is_birth.any():
        seen = _seen(rows, meanings.is_birth)
        yield Entry(known.statics[age], seen, ("from the dates of birth",), is_known=True)
    is_part = meanings.parts >= 0
    if total is not None and known[total].name not in names and is_part.any():
        seen = _seen(rows, is_part)
        yield Entry(known[total], seen, ("added up from its three parts",), is_known=True)


def _seen(rows: RowColumns, chosen: Bool[np.ndarray, " row"]) -> Seen:
    subjects = len(np.unique(rows.subjects[chosen]))
    return Seen(rows=int(chosen.sum()), subjects=subjects, names=(), units=())


def joined(own: Catalogue, other: Catalogue) -> Catalogue:
    """Return all of one catalogue, and of another what the first does not answer to."""
    variables = list(own.variables)
    for variable in other.variables:
        if not _answers(own, (variable.name, *variable.codes)):
            free = tuple(name for name in variable.aliases if not _answers(own, (name,)))
            variables.append(replace(variable, aliases=free))
    statics = list(own.statics)
    for static in other.statics:
        if not _answers(own, (static.name, *static.codes)):
            free = tuple(name for name in static.aliases if not _answers(own, (name,)))
            statics.append(replace(static, aliases=free))
    return Catalogue(tuple(variables), tuple(statics))


def _answers(catalogue: Catalogue, names: Sequence[str]) -> bool:
    return any(
        catalogue.find(name) is not None or catalogue.find_static(name) is not None
        for name in names
    )


def _doubts(rows: RowColumns, known: Catalogue) -> dict[int, UnitDoubt]:
    """Return the suspicions of the one room, by channel; a whole column before single values."""
    meanings = Meanings.of(rows.names, rows.units, known)
    is_measured = (meanings.channels >= 0) & (meanings.faults == 0) & (rows.comparators == 0)
    found: dict[int, UnitDoubt] = {}
    for one in suspect_units(meanings, rows.numbers, is_measured, known):
        channel = meanings.found[one.pair].channel
        doubt = UnitDoubt(one.other_unit, len(one.rows), one.is_column)
        if channel not in found or doubt.is_column > found[channel].is_column:
            found[channel] = doubt
    return found


def _entry(
    sample: Sample, known: Catalogue, doubts: dict[int, UnitDoubt], rules: ProposalRules
) -> Entry | LeftOut:
    if sample.channel >= 0:
        return known_variable(sample, known[sample.channel], doubts.get(sample.channel))
    if sample.static >= 0:
        return known_static(sample, known.statics[sample.static])
    return _new(sample, rules)


def _new(sample: Sample, rules: ProposalRules) -> Entry | LeftOut:
    describes = is_static(sample)
    reason = why_not_static(sample) if describes else why_not(sample)
    if reason is None and sample.num_subjects < rules.min_subjects:
        reason = f"fewer than {rules.min_subjects} subjects have it"
    if reason is not None:
        return LeftOut(sample.name, reason, sample.num_subjects)
    return new_static(sample) if describes else new_variable(sample)


def _commonest(entries: Sequence[Entry], most: int | None) -> tuple[list[Entry], list[LeftOut]]:
    """Keep the variables that most subjects have; statics are few and all kept."""
    variables = [entry for entry in entries if isinstance(entry.item, Variable)]
    if most is None or len(variables) <= most:
        return list(entries), []
    variables.sort(key=lambda entry: (-entry.seen.subjects, -entry.seen.rows, entry.item.name))
    kept = {entry.item.name for entry in variables[:most]}
    reason = f"beyond the {most} variables that most subjects have"
    beyond = [LeftOut(entry.item.name, reason, entry.seen.subjects) for entry in variables[most:]]
    return [
        entry for entry in entries if isinstance(entry.item, Static) or entry.item.name in kept
    ], beyond


def _ordered(entries: Sequence[Entry], known: Catalogue) -> list[Entry]:
    """Put known variables first, in their order, and the others by how many subjects have them."""
    names = [one.name for one in known.variables] + [one.name for one in known.statics]
    places = {name: place for place, name in enumerate(names)}

    def rank(entry: Entry) -> tuple[bool, int, int, str]:
        place = places.get(entry.item.name, 0) if entry.is_known else 0
        return not entry.is_known, place, -entry.seen.subjects, folded(entry.item.name)

    return sorted(entries, key=rank)
