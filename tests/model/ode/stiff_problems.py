"""Stiff problems without exact solutions: their fields, starts and published end values.

Hairer, Wanner, Solving ODEs II, section IV.10; end values from Mazzia, Magherini, Test Set for
Initial Value Problem Solvers, release 2.4 (2008), where they are given to more digits than here.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from model.ode.problem import InitialValueProblem, VectorField


@dataclass(frozen=True)
class StiffProblem:
    """A vector field, y0 at t = 0 and the state at `end`."""

    name: str
    vector_field: VectorField
    y0: tuple[float, ...]
    end: float
    y_end: tuple[float, ...]

    def initial_value_problem(self, num_samples: int = 1) -> InitialValueProblem:
        """Copies of the problem that ask for the end."""
        return InitialValueProblem(
            self.vector_field,
            torch.tensor(self.y0, dtype=torch.float64).repeat(num_samples, 1),
            torch.zeros(num_samples, dtype=torch.float64),
            torch.full((num_samples, 1), self.end, dtype=torch.float64),
        )


# What the slow, the middle and the fast reaction do to the three substances.
_STOICHIOMETRY = torch.tensor([[-1, 1, 0], [1, -1, 0], [0, -1, 1]], dtype=torch.float64)
_ROBERTSON = torch.tensor([[0.04], [1e4], [3e7]], dtype=torch.float64) * _STOICHIOMETRY


def robertson(t: Tensor, y: Tensor) -> Tensor:
    """Robertson 1966, a chemical reaction."""
    a, b, c = y.unbind(-1)
    return torch.stack([a, b * c, b * b], -1) @ _ROBERTSON.to(y)


def robertson_with_rates(rates: Tensor, y: Tensor) -> Tensor:
    """Robertson's field; `rates` of the slow, the middle and the fast reaction."""
    a, b, c = y.unbind(-1)
    return (rates * torch.stack([a, b * c, b * b], -1)) @ _STOICHIOMETRY


def van_der_pol(t: Tensor, y: Tensor) -> Tensor:
    """Van der Pol's oscillator with mu = 1000."""
    a, b = y.unbind(-1)
    return torch.stack([b, 1000 * (1 - a * a) * b - a], -1)


def _hires(t: Tensor, y: Tensor) -> Tensor:
    a, b, c, d, e, f, g, h = y.unbind(-1)
    exchange = 280 * f * h
    return torch.stack(
        [
            -1.71 * a + 0.43 * b + 8.32 * c + 0.0007,
            1.71 * a - 8.75 * b,
            -10.03 * c + 0.43 * d + 0.035 * e,
            8.32 * b + 1.71 * c - 1.12 * d,
            -1.745 * e + 0.43 * f + 0.43 * g,
            -exchange + 0.69 * d + 1.71 * e - 0.43 * f + 0.69 * g,
            exchange - 1.81 * g,
            1.81 * g - exchange,
        ],
        -1,
    )


def _oregonator(t: Tensor, y: Tensor) -> Tensor:
    a, b, c = y.unbind(-1)
    return torch.stack(
        [77.27 * (b + a * (1 - 8.375e-6 * a - b)), (c - (1 + a) * b) / 77.27, 0.161 * (a - c)], -1
    )


def _e5(t: Tensor, y: Tensor) -> Tensor:
    a, b, c, d = y.unbind(-1)
    first, second, third = 7.89e-10 * a, 1.1e7 * a * c, 1.13e9 * b * c
    back = 1.13e3 * d
    return torch.stack(
        [-first - second, first - third, first - second - third + back, second - back], -1
    )


ROBERTSON = StiffProblem(
    "robertson",
    robertson,
    (1.0, 0.0, 0.0),
    1e11,
    (0.2083340149701255e-07, 0.8333360770334713e-13, 0.9999999791665050),
)
VAN_DER_POL = StiffProblem(
    "van_der_pol", van_der_pol, (2.0, 0.0), 2000.0, (0.1706167732170483e1, -0.8928097010247975e-3)
)
HIRES = StiffProblem(
    "hires",
    _hires,
    (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0057),
    321.8122,
    (
        0.7371312573325668e-3,
        0.1442485726316185e-3,
        0.5888729740967575e-4,
        0.1175651343283149e-2,
        0.2386356198831331e-2,
        0.6238968252742796e-2,
        0.2849998395185769e-2,
        0.2850001604814231e-2,
    ),
)
OREGONATOR = StiffProblem(
    "oregonator",
    _oregonator,
    (1.0, 2.0, 3.0),
    360.0,
    (0.1000814870318523e1, 0.1228178521549917e4, 0.1320554942846706e3),
)
PUBLISHED = (ROBERTSON, VAN_DER_POL, HIRES, OREGONATOR)
# Enright, Hull, Lindberg 1975, problem E5; to 1e6, where scipy's BDF and Radau agree to these digits.
E5 = StiffProblem(
    "e5",
    _e5,
    (1.76e-3, 0.0, 0.0, 0.0),
    1e6,
    (4.936720e-08, 1.861587e-13, 1.860692e-13, 8.941848e-17),
)
