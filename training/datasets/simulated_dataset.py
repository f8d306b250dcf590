"""A simulated cohort on disk: the MEDS data set, the truth beside it, and a request to try a server with.

data/, metadata/        as every data set
truth/0.parquet         noise-free values of every simulated level, every 30 minutes
example_request.json    the first day of one held-out subject, as a body for POST /v1/forecast
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from model.data.catalogue import shipped_catalogue
from model.data.variables import Catalogue
from model.files import write_atomically
from model.records.clocks import RELATIVE_ANCHOR
from training.datasets.meds import check_replaceable, read_cohort, write_meds
from training.datasets.simulated import Simulation, simulate
from training.splits import split_subjects

EXAMPLE_FILE = "example_request.json"
_COMPANIONS = frozenset({"truth", EXAMPLE_FILE})
_CONTEXT_END_HOURS = 24.0
_QUERY_HOURS = (24.0, 27.0, 30.0, 36.0, 42.0, 47.0)
_QUERY_VARIABLES = ("HR", "Temp")
# Together a number of 18 digits.
_MOST_SUBJECTS = _MOST_SEEDS = 10**9


def write_simulated(out: Path, *, num_subjects: int, seed: int) -> str:
    """Simulate, write, and return one line that says what was written.

    Examples
    --------
    >>> import tempfile
    >>> from training.datasets.meds import read_cohort
    >>> folder = Path(tempfile.mkdtemp())
    >>> said = write_simulated(folder / "cohort", num_subjects=3, seed=0)
    >>> len(read_cohort(folder / "cohort").cohort)
    3
    """
    check_replaceable(out, companions=_COMPANIONS)
    simulation = _numbered(simulate(num_subjects, generator=np.random.default_rng(seed)), seed)
    write_meds(
        out,
        simulation.table,
        name=f"simulated-{num_subjects}-seed-{seed}",
        anchor=RELATIVE_ANCHOR,
        catalogue=shipped_catalogue().only(set(simulation.table["code"])),
        companions=_COMPANIONS,
    )
    (out / "truth").mkdir()
    simulation.truth.to_parquet(out / "truth" / "0.parquet", compression="zstd", index=False)
    example = json.dumps(_example_request(out, simulation), indent=1)
    write_atomically(out / EXAMPLE_FILE, example.encode() + b"\n")
    num_observations = int(simulation.table["time"].notna().sum())
    return (
        f"wrote {out}: {num_subjects:,} subjects, {num_observations:,} observations, truth beside"
    )


def _numbered(simulation: Simulation, seed: int) -> Simulation:
    """Give the subjects of another seed other numbers, because they are other people."""
    first = seed % _MOST_SEEDS * _MOST_SUBJECTS
    tables = (
        table.assign(subject_id=table["subject_id"] + first)
        for table in (simulation.table, simulation.truth)
    )
    return Simulation(*tables)


def _example_request(out: Path, simulation: Simulation) -> dict[str, object]:
    """Ask for the second day of the best observed subject that `fit` will not train on."""
    dataset = read_cohort(out)
    cohort, catalogue = dataset.cohort, dataset.catalogue
    held_out = split_subjects(cohort.subject_ids).held_out
    candidates = held_out if len(held_out) else np.arange(len(cohort))
    series = cohort[candidates[np.argmax(cohort.counts[candidates])]]
    seen = series.times_hours <= _CONTEXT_END_HOURS
    variables = [catalogue[channel] for channel in series.channels[seen]]
    statics = _statics(simulation.table, series.subject_id, catalogue)
    return {
        "series": [
            {
                "subject_id": f"simulated-{series.subject_id}",
                "static": statics,
                "observations": {
                    "time": [round(float(time), 4) for time in series.times_hours[seen]],
                    "variable": [variable.name for variable in variables],
                    "value": [round(float(value), 3) for value in series.values[seen]],
                    "unit": [variable.unit for variable in variables],
                },
                "query": {"times": list(_QUERY_HOURS), "variables": list(_QUERY_VARIABLES)},
            }
        ],
        "quantile_levels": [0.05, 0.5, 0.95],
        "seed": 0,
    }


def _statics(table: pd.DataFrame, subject_id: str, catalogue: Catalogue) -> dict[str, object]:
    rows = table[(table["subject_id"] == int(subject_id)) & table["time"].isna()]
    found: dict[str, object] = {}
    for code, value in zip(rows["code"], rows["numeric_value"], strict=True):
        static = catalogue.statics[catalogue.static_positions[str(code)]]
        known = static.categories[int(value)] if static.categories else round(float(value), 1)
        found[static.name] = known
    return found
