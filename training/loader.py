"""From a cohort to training batches: shuffled, of similar length, with mixed tasks.

Everything random comes from (seed, epoch), so that a resumed run sees the batches that the
interrupted one would have seen, and processes that share the work agree on them.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from model.data.batch import Batch, build_batch, num_knots
from model.data.normalization import Normalization
from model.data.query import Query
from model.data.series import Cohort, hours_since, joined_ranges
from model.data.variables import Catalogue
from model.data.windows import WindowMasks
from training.config import TrainingConfig
from training.ranks import ALONE, Rank

# Batches are cut from chunks of this many batches, each sorted by length: knots are padded to the
# longest context of a batch, and within a chunk neighbors are nearly of one length.
_BATCHES_IN_CHUNK = 16


@dataclass(frozen=True)
class TrainingBatch:
    """A batch and what its queries should have said, in standardized units.

    `places` is where each series stands in the batch that all processes share.
    """

    batch: Batch[np.ndarray]
    values: Float[np.ndarray, " query"]
    low: Float[np.ndarray, " query"]
    high: Float[np.ndarray, " query"]
    censoring: Int[np.ndarray, " query"]
    places: Int[np.ndarray, " series"]


@dataclass(frozen=True)
class Loader:
    """Makes the batches of any epoch."""

    cohort: Cohort
    catalogue: Catalogue
    normalization: Normalization
    config: TrainingConfig
    rank: Rank = ALONE

    @property
    def num_batches(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.cohort) // self.config.batch_size)

    def epoch(self, epoch: int) -> Iterator[TrainingBatch | None]:
        """Yield the batches of an epoch; the next one is prepared while the current one is used.

        None where this process has no series with both context and target.
        """
        generator = np.random.default_rng([self.config.seed, epoch])
        masks = self.config.tasks.draw(self.cohort, generator)
        plan = self._plan(masks, generator)
        with ThreadPoolExecutor(max_workers=1) as executor:
            upcoming = executor.submit(self._make, plan[0], masks)
            for number in range(1, len(plan) + 1):
                current = upcoming.result()
                if number < len(plan):
                    upcoming = executor.submit(self._make, plan[number], masks)
                yield current

    def padding(self, epoch: int) -> float:
        """Return the share of an epoch's knots that is padding."""
        generator = np.random.default_rng([self.config.seed, epoch])
        masks = self.config.tasks.draw(self.cohort, generator)
        lengths = self._lengths(masks)
        plan = self._plan(masks, generator)
        padded = sum(len(batch) * lengths[batch].max() for batch in plan)
        return 1 - float(lengths.sum() / padded)

    def _lengths(self, masks: WindowMasks) -> Int[np.ndarray, " series"]:
        """Return the number of knots of every series' context."""
        cohort = self.cohort
        origin = cohort.times_hours[cohort.offsets[:-1]][cohort.series_indices]
        since = np.where(masks.context_mask, hours_since(cohort.times_hours, origin), 0.0)
        spans = np.maximum.reduceat(since, cohort.offsets[:-1])
        return num_knots(spans, self.config.knot_hours)

    def _plan(
        self, masks: WindowMasks, generator: np.random.Generator
    ) -> list[Int[np.ndarray, " chosen"]]:
        size, lengths = self.config.batch_size, self._lengths(masks)
        order = generator.permutation(len(self.cohort))
        chunks = np.array_split(order, max(1, len(order) // (size * _BATCHES_IN_CHUNK)))
        by_length = [chunk[np.argsort(lengths[chunk], kind="stable")] for chunk in chunks]
        arranged = np.concatenate(by_length)
        batches = [arranged[start : start + size] for start in range(0, len(arranged), size)]
        return [batches[index] for index in generator.permutation(len(batches))]

    def _make(self, chosen: Int[np.ndarray, " chosen"], masks: WindowMasks) -> TrainingBatch | None:
        """Make this process' part of a batch; None where no series has both context and target."""
        places = np.arange(len(chosen))[self.rank.share]
        mine = chosen[self.rank.share]
        rows = joined_ranges(self.cohort.offsets[mine], self.cohort.counts[mine])
        part = WindowMasks(masks.context_mask[rows], masks.target_mask[rows])
        window, usable = part.split_usable(self.cohort.select(mine), self.catalogue)
        if len(usable) == 0:
            return None
        target = window.target
        batch = build_batch(
            window.context,
            Query.at(target),
            self.normalization,
            knot_hours=self.config.knot_hours,
            is_causal=self.config.direction == "filter",
        )
        values = self.normalization.apply(target.values, target.channels).astype(np.float32)
        low, high = self.normalization.interval(target.values, target.channels, target.censoring)
        return TrainingBatch(
            batch,
            values,
            low.astype(np.float32),
            high.astype(np.float32),
            target.censoring,
            places[usable],
        )
