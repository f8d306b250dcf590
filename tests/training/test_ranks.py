"""Two processes that share the work have the loss curve and the weights of one."""

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import distributed

from model.data.normalization import Normalization
from tests.catalogues import CHALLENGE
from tests.series import random_cohort
from training.checkpoint import EpochRecord
from training.config import TrainingConfig
from training.loader import Loader
from training.loop import Trainer
from training.ranks import Rank, join, leave
from training.validation import Validation

REPOSITORY = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
CONFIG = TrainingConfig(
    seed=1,
    epochs=3,
    # The last of 27 series stands alone in its batch: one of two processes has nothing to do.
    batch_size=13,
    num_samples=2,
    latent_dim=4,
    encoder_dim=8,
    encoder_layers=1,
    dynamics_dim=6,
    decoder_dim=8,
    knot_hours=4.0,
    dropout=0.0,
    free_bits=0.2,
    kl_warmup_steps=2,
)


@dataclass
class _Curve:
    records: list[EpochRecord]

    def on_batch(self, epoch: int, batch: int, num_batches: int, loss: float) -> None:
        pass

    def on_epoch(self, record: EpochRecord, *, is_best: bool) -> None:
        self.records.append(record)


def train(directory: Path) -> None:
    """Train alone or with the processes that the environment names; each writes what it found."""
    rank = join(CPU)
    cohort = random_cohort(27, np.random.default_rng(4), mean_observations=40)
    normalization = Normalization.fit(cohort, CHALLENGE)
    trainer = Trainer(
        Loader(cohort, CHALLENGE, normalization, CONFIG, rank),
        Validation.of(cohort.select(range(6)), CHALLENGE, normalization, CONFIG.horizon_hours),
        data_sha256="data",
        device=CPU,
    )
    curve = _Curve([])
    trainer.run(directory / "run", resume=False, progress=curve)
    numbers = [
        [record.loss, record.log_likelihood, record.kl_divergence, record.validation_error]
        for record in curve.records
    ]
    found = {name: value.contiguous() for name, value in trainer.network.state_dict().items()}
    save_file(found | {"curve": torch.tensor(numbers)}, directory / f"{rank.number}.safetensors")
    leave()


def run(directory: Path, num_processes: int) -> list[dict[str, torch.Tensor]]:
    """Start processes as `torchrun` would; return what each found."""
    directory.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
        "WORLD_SIZE": str(num_processes),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.training.test_ranks", str(directory)],
            cwd=REPOSITORY,
            env={**environment, "RANK": str(number), "LOCAL_RANK": str(number)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(num_processes)
    ]
    try:
        for process in processes:
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors[-2000:]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [load_file(directory / f"{number}.safetensors") for number in range(num_processes)]


@pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()),
    reason="this build of torch has no gloo, by which processes on CPUs talk",
)
def test_two_processes_have_the_curve_and_weights_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = run(tmp_path / "two", 2)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    train(tmp_path)
    alone = load_file(tmp_path / "0.safetensors")
    assert alone["curve"].shape == (CONFIG.epochs, 4)
    for name, expected in alone.items():
        torch.testing.assert_close(first[name], expected, atol=1e-4, rtol=1e-4, msg=name)
        # Both go on from the very same weights.
        assert torch.equal(first[name], second[name]), name


def test_shares_part_a_batch() -> None:
    for size in (0, 1, 2, 7):
        shares = [np.arange(size)[Rank(number, 3).share] for number in range(3)]
        assert sorted(np.concatenate(shares)) == list(range(size))


def test_alone_nothing_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    rank = join(CPU)
    assert rank == Rank()
    assert rank.is_first
    values = torch.arange(3.0)
    assert torch.equal(rank.sum(values), values)
    parameter = torch.zeros(2, requires_grad=True)
    rank.sum_gradients([parameter])
    assert parameter.grad is None
    leave()


if __name__ == "__main__":
    train(Path(sys.argv[1]))
