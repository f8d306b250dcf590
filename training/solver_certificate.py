"""How far the numbers of the ODE solver are from the exact solution, in units that a reader knows.

The trajectory is solved on the encoder's knots with few sweeps. What that costs is measured on the
answers: every target of the tuning subjects, in standard deviations of its own predictive
distribution, against a solution with four times the steps and sweeps.
"""

import copy
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from model.latent_ode import LatentODE
from training.validation import NetworkAnswers, Validation

LARGEST_ERROR = 0.01
"""Standard deviations by which the solver may change an answer."""

_MAX_DOUBLINGS = 3
_FINER = 4


@dataclass(frozen=True)
class SolverCertificate:
    """The grid with which a model is served, and what it costs in accuracy.

    Errors are in standard deviations of the predictive distribution, over `num_targets` targets.
    """

    method: str
    step_hours: float
    num_sweeps: int
    largest_error: float
    median_error: float
    num_targets: int

    @property
    def holds(self) -> bool:
        """Whether no answer is off by more than a hundredth of a standard deviation."""
        return self.largest_error <= LARGEST_ERROR

    @property
    def text(self) -> str:
        """One sentence for a card."""
        return (
            f"{self.method} with steps of {self.step_hours:g} h on every series' own clock and "
            f"{self.num_sweeps} sweeps; on {self.num_targets:,} targets of the tuning subjects the "
            f"solver moves an answer by at most {self.largest_error:.2g} (half of them by less than "
            f"{self.median_error:.1g}) standard deviations of its predictive distribution"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `metrics.json`."""
        return {**asdict(self), "holds": self.holds, "unit": "predictive standard deviations"}


def certify(
    network: LatentODE, validation: Validation, device: torch.device
) -> tuple[LatentODE, SolverCertificate]:
    """Return the network with the first grid, from its own by doubling, whose error is small enough.

    If none is small enough, the last is returned with a certificate that does not hold.
    """
    for doublings in range(_MAX_DOUBLINGS + 1):
        served = _refined(network, 2**doublings)
        exact = _answers(_refined(served, _FINER), validation, device)
        certificate = _compare(_answers(served, validation, device), exact, served)
        if certificate.holds or doublings == _MAX_DOUBLINGS:
            return served, certificate
    raise AssertionError("the loop returns in its last round")


def _refined(network: LatentODE, factor: int) -> LatentODE:
    changed = copy.deepcopy(network)
    config = network.config
    config = replace(
        config, num_substeps=config.num_substeps * factor, num_sweeps=config.num_sweeps * factor
    )
    changed.config = changed.dynamics.config = config
    return changed.eval()


def _answers(
    network: LatentODE, validation: Validation, device: torch.device
) -> list[NetworkAnswers]:
    return [validation.answer(network, window, device) for window in validation.windows]


def _compare(
    served: list[NetworkAnswers], exact: list[NetworkAnswers], network: LatentODE
) -> SolverCertificate:
    errors = np.concatenate([answer_errors(*pair) for pair in zip(served, exact, strict=True)])
    config = network.config
    return SolverCertificate(
        method="exponential waveform relaxation",
        step_hours=config.knot_hours / config.num_substeps,
        num_sweeps=config.num_sweeps,
        largest_error=float(errors.max()),
        median_error=float(np.median(errors)),
        num_targets=len(errors),
    )


def answer_errors(found: NetworkAnswers, exact: NetworkAnswers) -> Float[np.ndarray, " query"]:
    """Return the larger error of mean and standard deviation, as a share of the latter."""
    (mean, deviation), (true_mean, true_deviation) = _moments(found), _moments(exact)
    moved = np.abs(mean - true_mean) / true_deviation
    return np.maximum(moved, np.abs(deviation - true_deviation) / true_deviation)


def _moments(
    answers: NetworkAnswers,
) -> tuple[Float[np.ndarray, " query"], Float[np.ndarray, " query"]]:
    """Return mean and standard deviation of each mixture; a Laplace component has variance 2 scale^2."""
    mean = (answers.weight * answers.loc).sum(axis=0)
    spread = 2 * answers.scale**2 + (answers.loc - mean) ** 2
    return mean, np.sqrt((answers.weight * spread).sum(axis=0))
