"""From a cohort to training batches: shuffled, of similar length, with mixed tasks.

Everything random about a batch comes from (seed, epoch, batch number), so that a resumed run sees
the batches that the interrupted one would have seen.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from model.data.batch import Batch, Query, build_batch
from model.data.normalization import Normalization
from model.data.series import Cohort
from model.data.variables import Catalogue
from model.data.windows import Window, forecast_masks, hidden_cells_masks
from training.config import TrainingConfig

# Batches are cut from chunks of this many batches, each sorted by length: rows are padded to the
# longest series of a batch, and within a chunk neighbors are nearly of one length.
_BATCHES_IN_CHUNK = 8


@dataclass(frozen=True)
class TrainingBatch:
    """A batch and the standardized values of its queries."""

    batch: Batch[np.ndarray]
    targets: Float[np.ndarray, " query"]


@dataclass(frozen=True)
class Loader:
    """Makes the batches of any epoch."""

    cohort: Cohort
    catalogue: Catalogue
    normalization: Normalization
    config: TrainingConfig

    @property
    def num_batches(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.cohort) // self.config.batch_size)

    def epoch(self, epoch: int) -> Iterator[TrainingBatch]:
        """Yield the batches of an epoch; the next one is prepared while the current one is used."""
        seed = self.config.seed
        plan = self._plan(np.random.default_rng([seed, epoch]))
        with ThreadPoolExecutor(max_workers=1) as executor:
            upcoming = executor.submit(self._make, plan[0], np.random.default_rng([seed, epoch, 0]))
            for number in range(1, len(plan) + 1):
                current = upcoming.result()
                if number < len(plan):
                    generator = np.random.default_rng([seed, epoch, number])
                    upcoming = executor.submit(self._make, plan[number], generator)
                if current is not None:
                    yield current

    def _plan(self, generator: np.random.Generator) -> list[Int[np.ndarray, " chosen"]]:
        size = self.config.batch_size
        order = generator.permutation(len(self.cohort))
        chunks = np.array_split(order, max(1, len(order) // (size * _BATCHES_IN_CHUNK)))
        by_length = [
            chunk[np.argsort(self.cohort.counts[chunk], kind="stable")] for chunk in chunks
        ]
        arranged = np.concatenate(by_length)
        batches = [arranged[start : start + size] for start in range(0, len(arranged), size)]
        return [batches[index] for index in generator.permutation(len(batches))]

    def _make(
        self, chosen: Int[np.ndarray, " chosen"], generator: np.random.Generator
    ) -> TrainingBatch | None:
        """Make one batch; None where no series has both context and target, as when all are tiny."""
        window = self._window(self.cohort.select(chosen), generator)
        if len(window.context) == 0:
            return None
        batch = build_batch(window.context, Query.at(window.target), self.normalization)
        targets = self.normalization.apply(window.target.values, window.target.channels)
        return TrainingBatch(batch, targets.astype(np.float32))

    def _window(self, cohort: Cohort, generator: np.random.Generator) -> Window:
        """Cut some series in time and hide single observations of the others."""
        config, size = self.config, len(cohort)
        first = cohort.times_hours[cohort.offsets[:-1]]
        span = cohort.times_hours[cohort.offsets[1:] - 1] - first
        ends = first + span * generator.uniform(*config.context_share, size)
        is_forecast = generator.random(size) < config.forecast_share
        hidden = generator.uniform(*config.hidden_fraction, size)
        forecast = forecast_masks(
            cohort, context_end_hours=ends, horizon_hours=config.horizon_hours
        )
        cells = hidden_cells_masks(cohort, hidden_fraction=hidden, generator=generator)
        masks = forecast.choose(is_forecast[cohort.series_indices], cells)
        return masks.split(cohort, self.catalogue)
