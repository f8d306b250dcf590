"""`python -m tests.benchmarks.training_step --data MEDS`: where the time of a training step goes.

CPU time, torch on one thread, the preset's own batches; the parts are called one after another, as
the trainer does.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch.distributions import Normal
from torch.nn.utils import clip_grad_norm_

from model.elbo import bound_parts
from model.latent_ode import LatentODEOutput
from tests.catalogues import CHALLENGE
from training.config import configure
from training.fit import prepare
from training.loader import Loader, TrainingBatch
from training.loop import Trainer
from training.validation import Validation


@dataclass
class Stopwatch:
    """CPU seconds by part."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the CPU time of a block."""
        start = time.thread_time()
        yield
        self.seconds[name] += time.thread_time() - start

    def table(self, num_steps: int) -> str:
        """Return the parts as Markdown."""
        whole = sum(self.seconds.values())
        lines = ["| part | ms | share |", "|---|--:|--:|"]
        for name, seconds in (*self.seconds.items(), ("all", whole)):
            lines.append(f"| {name} | {1e3 * seconds / num_steps:.1f} | {seconds / whole:.0%} |")
        return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Time some steps and print a table."""
    given = _parse(arguments)
    torch.set_num_threads(1)
    config = configure(given.preset, given.overrides, seed=0)
    prepared = prepare(given.data)
    trainer = Trainer(
        Loader(prepared.train, CHALLENGE, prepared.normalization, config),
        Validation.of(prepared.tuning, CHALLENGE, prepared.normalization, config.horizon_hours),
        data_sha256="",
        device=torch.device("cpu"),
    )
    trainer.network.train()
    batches = iter(trainer.loader.epoch(0))
    watch, start = Stopwatch(), 0.0
    for number in range(given.warm_up + given.steps):
        if number == given.warm_up:
            watch.seconds.clear()
            start = time.process_time()
        made = next(batches)
        assert made is not None
        _step(trainer, made, watch)
    beside = time.process_time() - start - sum(watch.seconds.values())
    watch.seconds["batches, made in a thread beside"] = beside
    print(f"Preset {config.preset}, {config.batch_size} stays a step, {given.steps} steps.\n")
    print(watch.table(given.steps))


def _step(trainer: Trainer, made: TrainingBatch, watch: Stopwatch) -> None:
    config, network = trainer.config, trainer.network
    batch = made.batch.map(torch.from_numpy)
    targets = trainer.variable_weights.targets(made, trainer.device, config.largest_target)
    noise = torch.randn(1, len(made.places), config.latent_dim)
    trainer.optimizer.zero_grad()
    with watch.part("encoder"):
        encoding = network.encoder(batch)
    posterior = encoding.posterior
    with watch.part("latent equation"):
        z0 = posterior.loc + posterior.scale * noise
        latents = network.latent_trajectory(z0, encoding, batch)
    with watch.part("decoder"):
        decoded = network.decoder(latents, batch)
    with watch.part("bound"):
        nothing = torch.zeros_like(posterior.loc)
        prior = Normal(nothing, nothing + 1, validate_args=False)
        parts = bound_parts(LatentODEOutput(posterior, prior, decoded), targets)
        objective = parts.objective(parts.totals(), kl_weight=1.0, free_bits=config.free_bits)
    with watch.part("backward"):
        (-objective).backward()
    with watch.part("clip, AdamW, average"):
        clip_grad_norm_(list(network.parameters()), config.gradient_clip)
        trainer.optimizer.step()
        trainer._update_average()


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.training_step", description=__doc__
    )
    parser.add_argument("--data", type=Path, required=True, help="MEDS dataset")
    parser.add_argument("--preset", default="default")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--warm-up", type=int, default=5)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
