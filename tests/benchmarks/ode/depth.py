"""Adaptive depth: what each patient costs, by how stiff the patient's trajectory is."""

from dataclasses import dataclass

import torch
import torchdiffeq
from torch import Tensor

from model.ode import InitialValueProblem, Options, Solution, solve

_NUM_PATIENTS, _HOURS = 160, 48.0
_RTOL, _ATOL = 1e-4, 1e-6
_MAX_STEPS = 100_000
_CAPACITY, _HALF_SATURATION = 30.0, 150.0


@dataclass(frozen=True)
class Infusions:
    """A drug given in waves, eliminated (Michaelis-Menten), exchanged between blood and tissue.

    Parameters
    ----------
    exchange
        Per hour, own to each patient: the faster, the stiffer.
    period
        Hours from wave to wave, own to each patient.
    """

    exchange: Tensor
    period: Tensor

    def for_samples(self, samples: Tensor) -> "Infusions":
        """Return the vector field of these patients."""
        return Infusions(self.exchange[samples], self.period[samples])

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        """Return the change per hour of the amounts in blood and tissue."""
        blood, tissue = y.unbind(-1)
        given = 10 * (1 + torch.cos(2 * torch.pi * t / self.period))
        moved = self.exchange * (blood - 0.5 * tissue)
        eliminated = _CAPACITY * blood / (_HALF_SATURATION + blood)
        return torch.stack([given - eliminated - moved, moved], dim=-1)

    def stiffness(self, times: Tensor, states: Tensor) -> Tensor:
        """Return the largest |eigenvalue| of the Jacobian along [sample time state], times the span."""
        blood = states[..., 0]
        saturation = _CAPACITY * _HALF_SATURATION / (_HALF_SATURATION + blood) ** 2
        rate = self.exchange.unsqueeze(1).expand_as(blood)
        rows = [
            torch.stack([-saturation - rate, 0.5 * rate], -1),
            torch.stack([rate, -0.5 * rate], -1),
        ]
        eigenvalues = torch.linalg.eigvals(torch.stack(rows, -2))
        return eigenvalues.abs().amax((1, 2)) * (times[:, -1] - times[:, 0])


@dataclass(frozen=True)
class Depth:
    """For each patient: stiffness, and evaluations of the vector field by ways to solve.

    Parameters
    ----------
    adaptive
        Own steps; a Jacobian counts as many evaluations as the state has numbers.
    moved
        Whether the patient was handed over to Radau.
    explicit_only
        Own steps of dopri5 without the handover.
    shared
        One step for the whole batch: what every patient costs.
    """

    stiffness: Tensor
    adaptive: Tensor
    moved: Tensor
    explicit_only: Tensor
    shared: int

    @classmethod
    def run(cls) -> "Depth":
        """Solve the batch three times."""
        problem = _problem()
        switched = _solve(problem, switch_when_stiff=True)
        explicit = _solve(problem, switch_when_stiff=False)
        counts = switched.statistics
        jacobians = counts.num_jacobians * problem.y0.shape[1]
        assert isinstance(problem.vector_field, Infusions)
        return cls(
            problem.vector_field.stiffness(problem.query_times, switched.ys),
            counts.num_function_evaluations + jacobians,
            counts.num_jacobians > 0,
            explicit.statistics.num_function_evaluations,
            _shared_evaluations(problem),
        )


def _problem() -> InitialValueProblem:
    generator = torch.Generator().manual_seed(3)
    exponent = torch.linspace(-1.5, 2.7, _NUM_PATIENTS, dtype=torch.float64)
    uniform = torch.rand(2, _NUM_PATIENTS, generator=generator, dtype=torch.float64)
    field = Infusions(10**exponent, 6 + 18 * uniform[0])
    times = torch.linspace(0, _HOURS, 97, dtype=torch.float64).repeat(_NUM_PATIENTS, 1)
    y0 = torch.stack([20 * uniform[1], torch.zeros_like(uniform[1])], dim=1)
    return InitialValueProblem(field, y0, times[:, 0], times)


def _solve(problem: InitialValueProblem, *, switch_when_stiff: bool) -> Solution:
    options = Options(max_steps=_MAX_STEPS, switch_when_stiff=switch_when_stiff)
    return solve(problem, rtol=_RTOL, atol=_ATOL, options=options)


def _shared_evaluations(problem: InitialValueProblem) -> int:
    calls = 0

    def counted(t: Tensor, y: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return problem.vector_field(t.expand(len(y)), y)

    torchdiffeq.odeint(counted, problem.y0, problem.query_times[0], rtol=_RTOL, atol=_ATOL)
    return calls
