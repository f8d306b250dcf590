"""Explicit Runge-Kutta methods as data (Hairer, Norsett, Wanner, Solving ODEs I, section II.1)."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class ButcherTableau:
    """Nodes c, strictly lower triangular stage matrix a, weights b, and the order they give."""

    order: int
    c: tuple[Fraction, ...]
    a: tuple[tuple[Fraction, ...], ...]
    b: tuple[Fraction, ...]


_HALF = Fraction(1, 2)
_ZERO = Fraction(0)
_ONE = Fraction(1)

EULER = ButcherTableau(order=1, c=(_ZERO,), a=((),), b=(_ONE,))

MIDPOINT = ButcherTableau(order=2, c=(_ZERO, _HALF), a=((), (_HALF,)), b=(_ZERO, _ONE))

RK4 = ButcherTableau(
    order=4,
    c=(_ZERO, _HALF, _HALF, _ONE),
    a=((), (_HALF,), (_ZERO, _HALF), (_ZERO, _ZERO, _ONE)),
    b=(Fraction(1, 6), Fraction(1, 3), Fraction(1, 3), Fraction(1, 6)),
)
