"""Which units are suspected in the whole of a source: what one chunk shows must not decide alone.

Where the user accepts a unit for a variable (`accepted_units`), rows in a suspected unit are read in
the accepted one. Of the values of such variables the distinct ones are counted, to three digits, so
that memory is flat in the size of the source and the order of its rows does not matter.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.data.variables import Catalogue
from model.records.labels import Labels
from model.records.meanings import Meanings
from model.records.suspicion import suspect_units

Pair = tuple[str, str]
"""A name and a unit as the source writes them, empty where there is none."""

_DIGITS = 3
_MAX_VALUES = 20_000


@dataclass
class PairDigest:
    """The values of the pairs of some variables, each with how often it occurs."""

    catalogue: Catalogue
    variables: frozenset[int]
    counts: dict[Pair, Counter[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, accepted_units: Mapping[str, str], catalogue: Catalogue) -> "PairDigest":
        """Begin a digest of the variables for which a unit is accepted."""
        return cls(catalogue, frozenset(map(catalogue.channel, accepted_units)))

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the measured values of rows in `model.records.rows.SCHEMA`."""
        if not self.variables:
            return
        names, units = Labels.of(batch.column("variable")), Labels.of(batch.column("unit"))
        numbers = pc.fill_null(batch.column("value"), np.nan).to_numpy(zero_copy_only=False)
        is_measured = np.isfinite(numbers) & (batch.column("comparator").to_numpy() == 0)
        for code, name in enumerate(names.names):
            if self.catalogue.find(name) not in self.variables:
                continue
            own = is_measured & (names.codes == code)
            for unit_code in np.unique(units.codes[own]).tolist():
                values = numbers[own & (units.codes == unit_code)]
                pair = (name, units.names[unit_code] if unit_code >= 0 else "")
                found, counts = np.unique(_rounded(values), return_counts=True)
                counter = self.counts.setdefault(pair, Counter())
                counter.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))

    def suspected(self) -> frozenset[Pair]:
        """Return the pairs whose values fit another unit better."""
        names: list[str] = []
        units: list[str] = []
        numbers: list[float] = []
        for (name, unit), counter in sorted(self.counts.items()):
            share = min(1.0, _MAX_VALUES / counter.total())
            for value, count in sorted(counter.items()):
                times = int(np.ceil(count * share))
                names += [name] * times
                units += [unit] * times
                numbers += [value] * times
        meanings = Meanings.of(Labels.of_texts(names), Labels.of_texts(units), self.catalogue)
        found = suspect_units(
            meanings, np.array(numbers), np.ones(len(numbers), dtype=bool), self.catalogue
        )
        pairs = (meanings.found[one.pair] for one in found)
        return frozenset((pair.name, pair.unit) for pair in pairs)


def _rounded(values: np.ndarray) -> np.ndarray:
    scale = 10.0 ** (_DIGITS - 1 - np.floor(np.log10(np.maximum(np.abs(values), 1e-12))))
    return np.rint(values * scale) / scale
