"""A proposal for a file or folder, with an account of how it was read."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.data.catalogue import shipped_catalogue
from model.data.catalogue_table import read_catalogue
from model.data.variables import Catalogue
from model.records.codes import CodeMap
from model.records.errors import SourceError
from model.records.meanings import Meanings
from model.records.rows import TimeKind
from model.records.sources.describing import describe_source
from model.records.sources.files import endings_of, list_files, reading
from model.records.sources.layouts import WideLayout, layout_of
from model.records.sources.options import SourceOptions
from model.records.sources.tables import open_table
from model.records.unit_texts import split_code, split_suffix
from training.catalogue.proposal import Proposal
from training.catalogue.proposing import DEFAULT_RULES, ProposalRules, joined, propose
from training.catalogue.sample import LEAST_SUBJECTS
from training.datasets.importing import read_source
from training.datasets.metadata import CATALOGUE_FILE


@dataclass(frozen=True, kw_only=True)
class ProposalAccount:
    """A proposal, and how many rows and subjects it rests on."""

    source: str
    proposal: Proposal
    description: tuple[str, ...]
    num_rows: int
    num_subjects: int
    num_unread_times: int
    seconds: float

    def lines(self) -> Iterator[str]:
        """Give the account as text for a terminal."""
        yield f"source {self.source}: {self.seconds:.1f} s"
        yield from (f"  {line}" for line in self.description)
        yield f"{self.num_rows:,} values of {self.num_subjects:,} subjects"
        if self.num_unread_times:
            yield (
                f"{self.num_unread_times:,} values have a time that cannot be used: name the column "
                "(--columns time=...), its format, unit or zone"
            )
        if self.num_subjects < LEAST_SUBJECTS:
            yield f"nothing is said about the values of fewer than {LEAST_SUBJECTS} subjects"
        yield from self.proposal.lines()


def propose_from(
    source: Path,
    options: SourceOptions,
    *,
    known: Path | None = None,
    rules: ProposalRules = DEFAULT_RULES,
) -> ProposalAccount:
    """Read a source and suggest a table of variables for it.

    Parameters
    ----------
    known
        A table whose rows come before those of the shipped one; by default that of the source,
        where it is a data set of this program.

    Raises
    ------
    SourceError
        If the source cannot be read.
    CatalogueError
        If the known table cannot be used.
    """
    started = time.perf_counter()
    catalogue = _known(source, known)
    read = read_source(source, options, catalogue)
    if not len(read.rows):
        raise SourceError(f"{source.name}: there is no value in it")
    seen = set(read.rows.names.names)
    headers = _headers(source, options)
    empty = [name for name in headers if seen.isdisjoint(_readings(name, options.codes))]
    usable = (TimeKind.MISSING, TimeKind.HOURS, TimeKind.INSTANT, TimeKind.LOCAL)
    is_birth = Meanings.of(read.rows.names, read.rows.units, catalogue).is_birth
    return ProposalAccount(
        source=options.format,
        proposal=propose(read.rows, catalogue, rules, columns=headers, empty_columns=empty),
        description=tuple(describe_source(source, options).lines()),
        num_rows=len(read.rows),
        num_subjects=len(read.subject_ids),
        num_unread_times=int(np.sum(~np.isin(read.rows.times.kinds, usable) & ~is_birth)),
        seconds=time.perf_counter() - started,
    )


def _known(source: Path, known: Path | None) -> Catalogue:
    own = source / CATALOGUE_FILE if known is None else known
    if known is None and not own.is_file():
        return shipped_catalogue()
    return joined(read_catalogue(own), shipped_catalogue())


def _headers(source: Path, options: SourceOptions) -> Sequence[str]:
    """Return the names of the columns of the first file, where it is a wide table."""
    if not options.format.is_table:
        return ()
    listing = list_files(source, endings_of(options.format), what=options.format.label)
    for file in listing.files:
        with reading(file, options.format.label):
            for table in open_table(file, options):
                layout = layout_of(table.columns, options, is_static=lambda _: True)
                return layout.names if isinstance(layout, WideLayout) else ()
    return ()


def _readings(name: str, codes: CodeMap) -> set[str]:
    """Return the names that a column may have become: by the code map, or without its unit."""
    mapped = codes.find(name)
    own = {name, split_suffix(name)[0], split_code(name)[0]}
    return own if mapped is None else own | {mapped.variable}
