"""Small tables to propose from: one unknown variable in long form, and whole files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from model.data.variables import Catalogue
from model.records.sources.options import SourceFormat, SourceOptions
from training.catalogue.proposal import Entry, Proposal
from training.catalogue.proposing import DEFAULT_RULES, ProposalRules, propose
from training.datasets.importing import read_source

CSV = SourceOptions(format=SourceFormat.CSV)
NOTHING = Catalogue((), ())


def long_table(
    values: Sequence[object] | np.ndarray,
    *,
    name: str = "Spark",
    units: Sequence[str | None] | str | None = None,
    num_subjects: int = 20,
) -> pd.DataFrame:
    """Give the values to the subjects in turn, each at a time of its own."""
    count = len(values)
    hours = np.arange(count) // num_subjects
    return pd.DataFrame(
        {
            "subject_id": np.arange(count) % num_subjects,
            "time": hours + (hours % 3) * 0.25,
            "variable": name,
            "value": values,
            "unit": units,
        }
    )


def proposed(
    folder: Path,
    *tables: pd.DataFrame,
    known: Catalogue = NOTHING,
    rules: ProposalRules = DEFAULT_RULES,
) -> Proposal:
    path = folder / "source.csv"
    pd.concat(tables).to_csv(path, index=False)
    return propose(read_source(path, CSV, known).rows, known, rules)


def entry_of(proposal: Proposal, name: str) -> Entry:
    [found] = [entry for entry in proposal.entries if entry.item.name == name]
    return found
