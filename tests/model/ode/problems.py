"""Problems with exact solutions. Each carries its source; all are in float64.

A problem has one trajectory; `initial_value_problem` makes a batch of copies of it that starts at
`t0` and asks for the given times.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import expm
from scipy.optimize import brentq
from scipy.special import ellipj
from torch import Tensor

from model.ode.problem import InitialValueProblem, Jumps, VectorField


@dataclass(frozen=True)
class ExactProblem:
    """A vector field, y0 at t0, and the solution in closed form: times [...] -> [... state]."""

    name: str
    source: str
    vector_field: VectorField
    exact: Callable[[Tensor], Tensor]
    t0: float
    t1: float
    jump_times: tuple[float, ...] = ()
    jump_amounts: tuple[tuple[float, ...], ...] = ()
    y0_before_jump: tuple[float, ...] | None = None

    @property
    def y0(self) -> Tensor:
        """The state at t0, before a jump at t0."""
        if self.y0_before_jump is not None:
            return torch.tensor(self.y0_before_jump, dtype=torch.float64)
        return self.exact(torch.tensor(self.t0, dtype=torch.float64))

    def initial_value_problem(
        self, times: Tensor, dtype: torch.dtype = torch.float64
    ) -> InitialValueProblem:
        """One sample for each row of `times` [sample query]."""
        rows = len(times)
        jumps = None
        if self.jump_times:
            jumps = Jumps(
                torch.tensor(self.jump_times, dtype=dtype).repeat(rows, 1),
                torch.tensor(self.jump_amounts, dtype=dtype).repeat(rows, 1, 1),
            )
        return InitialValueProblem(
            self.vector_field,
            self.y0.to(dtype).repeat(rows, 1),
            torch.full((rows,), self.t0, dtype=dtype),
            times.to(dtype),
            jumps,
        )


def _column(t: Tensor) -> Tensor:
    return t.unsqueeze(-1)


def _linear(matrix: Tensor) -> VectorField:
    def vector_field(t: Tensor, y: Tensor) -> Tensor:
        return y @ matrix.to(y).T

    return vector_field


def _exponential(matrix: Tensor, y0: Tensor) -> Callable[[Tensor], Tensor]:
    def exact(t: Tensor) -> Tensor:
        flows = [expm(matrix.numpy() * float(one)) @ y0.numpy() for one in t.flatten()]
        return torch.from_numpy(np.array(flows)).reshape(*t.shape, len(y0))

    return exact


NON_NORMAL = torch.tensor(
    [[-0.3, 4.0, 0.0], [0.0, -0.5, 3.0], [-0.2, 0.0, -0.4]], dtype=torch.float64
)
_NON_NORMAL_Y0 = torch.tensor([1.0, -0.5, 0.25], dtype=torch.float64)


# ------------------------------------------------------------------------------------ Kepler


def _eccentric_anomaly(mean: float, eccentricity: float) -> float:
    return float(
        brentq(lambda e: e - eccentricity * np.sin(e) - mean, mean - 1.5, mean + 1.5, xtol=1e-15)
    )


def _kepler_field(t: Tensor, y: Tensor) -> Tensor:
    position, velocity = y[..., :2], y[..., 2:]
    return torch.cat([velocity, -position / position.norm(dim=-1, keepdim=True) ** 3], dim=-1)


def kepler(eccentricity: float) -> ExactProblem:
    """DETEST D1-D5: the two-body orbit, by Kepler's equation."""

    def exact(t: Tensor) -> Tensor:
        anomaly = torch.tensor(
            [_eccentric_anomaly(float(one), eccentricity) for one in t.flatten()],
            dtype=torch.float64,
        ).reshape(t.shape)
        minor, rate = (1 - eccentricity**2) ** 0.5, 1 / (1 - eccentricity * anomaly.cos())
        return torch.stack(
            [
                anomaly.cos() - eccentricity,
                minor * anomaly.sin(),
                -anomaly.sin() * rate,
                minor * anomaly.cos() * rate,
            ],
            dim=-1,
        )

    return ExactProblem(
        f"kepler_{eccentricity}", "Hull et al. 1972, DETEST D", _kepler_field, exact, 0.0, 20.0
    )


# ------------------------------------------------------------------------------------ rigid body


def _rigid_body_field(t: Tensor, y: Tensor) -> Tensor:
    a, b, c = y.unbind(-1)
    return torch.stack([b * c, -a * c, -0.51 * a * b], dim=-1)


def _rigid_body_exact(t: Tensor) -> Tensor:
    sn, cn, dn, _ = ellipj(t.numpy(), 0.51)
    return torch.from_numpy(np.stack([sn, cn, dn], axis=-1))


# ------------------------------------------------------------------------------------ stiff, exact


def prothero_robinson(rate: float) -> ExactProblem:
    """y' = rate (y - cos t) - sin t, y = cos t, for every rate (Prothero, Robinson 1974)."""

    def vector_field(t: Tensor, y: Tensor) -> Tensor:
        return rate * (y - _column(t.cos())) - _column(t.sin())

    return ExactProblem(
        f"prothero_robinson_{rate:g}",
        "Prothero, Robinson 1974, Math. Comp. 28",
        vector_field,
        lambda t: _column(t.cos()),
        0.0,
        2.0,
    )


def kaps(epsilon: float) -> ExactProblem:
    """The solution exp(-2t), exp(-t) is the same for every epsilon (Kaps; Dekker, Verwer 1984)."""

    def vector_field(t: Tensor, y: Tensor) -> Tensor:
        a, b = y.unbind(-1)
        return torch.stack([-(1 / epsilon + 2) * a + b**2 / epsilon, a - b - b**2], dim=-1)

    return ExactProblem(
        f"kaps_{epsilon:g}",
        "Dekker, Verwer 1984, Stability of Runge-Kutta methods",
        vector_field,
        lambda t: torch.stack([torch.exp(-2 * t), torch.exp(-t)], dim=-1),
        0.0,
        5.0,
    )


# ------------------------------------------------------------------------------------ pharmacokinetics
# Gibaldi, Perrier 1982, Pharmacokinetics, chapters 1 and 2; amounts in mg, rates per hour.

_ELIMINATION, _ABSORPTION, _INFUSION = 0.3, 1.1, 12.0
_DOSE, _DOSE_TIMES = 100.0, (0.0, 6.0, 12.0, 13.5)
_TWO_COMPARTMENTS = torch.tensor([[-0.9, 0.4], [0.5, -0.4]], dtype=torch.float64)
_GUT_AND_BLOOD = torch.tensor(
    [[-_ABSORPTION, 0.0], [_ABSORPTION, -_ELIMINATION]], dtype=torch.float64
)


def _infusion_exact(t: Tensor) -> Tensor:
    return _column(_INFUSION / _ELIMINATION * (1 - torch.exp(-_ELIMINATION * t)))


def _bateman(t: Tensor) -> Tensor:
    """Gut and blood after one oral dose (Bateman 1910)."""
    gut = _DOSE * torch.exp(-_ABSORPTION * t)
    factor = _DOSE * _ABSORPTION / (_ABSORPTION - _ELIMINATION)
    return torch.stack(
        [gut, factor * (torch.exp(-_ELIMINATION * t) - torch.exp(-_ABSORPTION * t))], dim=-1
    )


def _repeated_oral(t: Tensor) -> Tensor:
    """Superposition of one Bateman curve for each dose."""
    since = [(t - dose) for dose in _DOSE_TIMES]
    return sum(
        (
            torch.where(_column(one >= 0), _bateman(one.clamp(min=0)), torch.zeros(2).double())
            for one in since
        ),
        torch.zeros(*t.shape, 2, dtype=torch.float64),
    )


PHARMACOKINETICS = (
    ExactProblem(
        "one_compartment_bolus",
        "Gibaldi, Perrier 1982",
        lambda t, y: -_ELIMINATION * y,
        lambda t: _column(_DOSE * torch.exp(-_ELIMINATION * t)),
        0.0,
        24.0,
    ),
    ExactProblem(
        "two_compartment_bolus",
        "Gibaldi, Perrier 1982",
        _linear(_TWO_COMPARTMENTS),
        _exponential(_TWO_COMPARTMENTS, torch.tensor([_DOSE, 0.0], dtype=torch.float64)),
        0.0,
        24.0,
    ),
    ExactProblem(
        "infusion",
        "Gibaldi, Perrier 1982",
        lambda t, y: _INFUSION - _ELIMINATION * y,
        _infusion_exact,
        0.0,
        24.0,
    ),
    ExactProblem("oral_absorption", "Bateman 1910", _linear(_GUT_AND_BLOOD), _bateman, 0.0, 24.0),
    ExactProblem(
        "repeated_oral_doses",
        "Bateman 1910; superposition",
        _linear(_GUT_AND_BLOOD),
        _repeated_oral,
        0.0,
        24.0,
        jump_times=(*_DOSE_TIMES[::-1], float("inf")),
        jump_amounts=((_DOSE, 0.0),) * len(_DOSE_TIMES) + ((0.0, 0.0),),
        y0_before_jump=(0.0, 0.0),
    ),
)


# ------------------------------------------------------------------------------------ the rest

DECAY = ExactProblem(
    "decay", "DETEST A1", lambda t, y: -y, lambda t: _column(torch.exp(-t)), 0.0, 5.0
)
COSINE_GROWTH = ExactProblem(
    "cosine_growth",
    "Hull et al. 1972, DETEST A3",
    lambda t, y: y * _column(t.cos()),
    lambda t: _column(torch.exp(t.sin())),
    0.0,
    5.0,
)


def _rational_field(t: Tensor, y: Tensor) -> Tensor:
    a, b = y.unbind(-1)
    return torch.stack([b / t, b * (a + 2 * b - 1) / (t * (a - 1))], dim=-1)


def _sine_field(t: Tensor, y: Tensor) -> Tensor:
    t = _column(t)
    return 2 * y / t + t**4 * torch.sin(2 * t) - t**2 + 4 * t**3


def _sine_exact(t: Tensor) -> Tensor:
    return _column(
        -0.5 * t**4 * torch.cos(2 * t)
        + 0.5 * t**3 * torch.sin(2 * t)
        + 0.25 * t**2 * torch.cos(2 * t)
        - t**3
        + 2 * t**4
        + (torch.pi - 0.25) * t**2
    )


SMOOTH = (
    DECAY,
    ExactProblem(
        "cubic_decay",
        "DETEST A2",
        lambda t, y: -(y**3) / 2,
        lambda t: _column((1 + t) ** -0.5),
        0.0,
        5.0,
    ),
    COSINE_GROWTH,
    ExactProblem(
        "logistic",
        "DETEST A4",
        lambda t, y: y / 4 * (1 - y / 20),
        lambda t: _column(20 / (1 + 19 * torch.exp(-t / 4))),
        0.0,
        20.0,
    ),
    ExactProblem("sine", "torchdiffeq, tests/problems.py", _sine_field, _sine_exact, 1.0, 8.0),
    ExactProblem(
        "non_normal",
        "linear, exponential of the matrix",
        _linear(NON_NORMAL),
        _exponential(NON_NORMAL, _NON_NORMAL_Y0),
        0.0,
        3.0,
    ),
    ExactProblem(
        "oscillator",
        "harmonic oscillator",
        lambda t, y: torch.stack([y[..., 1], -y[..., 0]], dim=-1),
        lambda t: torch.stack([t.cos(), -t.sin()], dim=-1),
        0.0,
        20.0,
    ),
    ExactProblem(
        "rational",
        "scipy, integrate/tests/test_ivp.py",
        _rational_field,
        lambda t: torch.stack([t / (t + 10), 10 * t / (t + 10) ** 2], dim=-1),
        5.0,
        9.0,
    ),
    ExactProblem(
        "rigid_body",
        "Euler; DETEST B5, Jacobi elliptic functions",
        _rigid_body_field,
        _rigid_body_exact,
        0.0,
        12.0,
    ),
    kepler(0.1),
    kepler(0.5),
    kepler(0.9),
)
