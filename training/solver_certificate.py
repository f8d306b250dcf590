"""How far the numbers of the ODE solver are from the exact solution, in units that a reader knows.

The fixed grid is the serving default. Its error is estimated as the solver does it, by a solution
with half as many steps (Hairer, Norsett, Wanner, Solving ODEs I, section II.4), but on the answers:
every target of the tuning subjects, in standard deviations of its own predictive distribution.
"""

import copy
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from model.latent_ode import LatentODE
from model.ode import RK4
from training.validation import NetworkAnswers, Validation

LARGEST_ERROR = 0.01
"""Standard deviations by which the grid may change an answer."""

_MAX_HALVINGS = 4
# The standard deviation of a Laplace distribution with scale 1.
_LAPLACE_DEVIATION = math.sqrt(2)


@dataclass(frozen=True)
class SolverCertificate:
    """The step with which a model is served, and what it costs in accuracy.

    Errors are in standard deviations of the predictive distribution, over `num_targets` targets.
    """

    method: str
    step_hours: float
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
            f"{self.method} with steps of {self.step_hours:g} h on every series' own clock; on "
            f"{self.num_targets:,} targets of the tuning subjects the grid moves an answer by at most "
            f"{self.largest_error:.2g} (half of them by less than {self.median_error:.1g}) standard "
            "deviations of its predictive distribution"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `metrics.json`."""
        return {**asdict(self), "holds": self.holds, "unit": "predictive standard deviations"}


def certify(
    network: LatentODE, validation: Validation, device: torch.device
) -> tuple[LatentODE, SolverCertificate]:
    """Return the network with the first step, from its own by halves, whose error is small enough.

    If no step is small enough, the last is returned with a certificate that
    does not hold.
    """
    coarse = _answers(_with_step(network, 2 * network.config.step_hours), validation, device)
    for halvings in range(_MAX_HALVINGS + 1):
        fine = _with_step(network, network.config.step_hours / 2**halvings)
        answers = _answers(fine, validation, device)
        certificate = _compare(answers, coarse, fine.config.step_hours)
        if certificate.holds or halvings == _MAX_HALVINGS:
            return fine, certificate
        coarse = answers
    raise AssertionError("the loop returns in its last round")


def _with_step(network: LatentODE, step_hours: float) -> LatentODE:
    changed = copy.deepcopy(network)
    changed.config = replace(network.config, step_hours=step_hours)
    return changed.eval()


def _answers(
    network: LatentODE, validation: Validation, device: torch.device
) -> list[NetworkAnswers]:
    return [validation.answer(network, window, device) for window in validation.windows]


def _compare(
    fine: list[NetworkAnswers], coarse: list[NetworkAnswers], step_hours: float
) -> SolverCertificate:
    errors = np.concatenate([_errors(*pair) for pair in zip(fine, coarse, strict=True)])
    return SolverCertificate(
        method=RK4.name,
        step_hours=step_hours,
        largest_error=float(errors.max()),
        median_error=float(np.median(errors)),
        num_targets=len(errors),
    )


def _errors(fine: NetworkAnswers, coarse: NetworkAnswers) -> Float[np.ndarray, " query"]:
    """Return the larger error of location and scale, each as a share of the standard deviation."""
    moved = np.abs(fine.loc - coarse.loc) / (_LAPLACE_DEVIATION * fine.scale)
    widened = np.abs(fine.scale - coarse.scale) / fine.scale
    return np.maximum(moved, widened) / (2**RK4.order - 1)
