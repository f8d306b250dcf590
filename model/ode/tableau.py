"""Explicit Runge-Kutta methods as data (Hairer, Norsett, Wanner, Solving ODEs I, section II.1).

Exact where the source is exact. The tests check the order conditions of all rooted trees.
"""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class ButcherTableau:
    """Nodes c, strictly lower triangular stage matrix a, weights b, and the order they give.

    Parameters
    ----------
    b_error
        b minus the weights of the embedded method: h * sum b_error * stage estimates the error.
    dense
        For each stage the coefficients of theta, theta^2, ... in its weight at t + theta * h.
        Without them a solution is interpolated by cubics through states and derivatives.
    """

    name: str
    order: int
    c: tuple[Fraction, ...]
    a: tuple[tuple[Fraction, ...], ...]
    b: tuple[Fraction, ...]
    b_error: tuple[Fraction, ...] | None = None
    dense: tuple[tuple[Fraction, ...], ...] | None = None

    @property
    def num_stages(self) -> int:
        """How many times a step evaluates the vector field, the first included."""
        return len(self.b)

    @property
    def last_stage_is_next_first(self) -> bool:
        """Whether the last stage is the derivative at the new state ("first same as last")."""
        return self.a[-1] == self.b[:-1] and not self.b[-1] and self.c[-1] == 1

    @property
    def dense_order(self) -> int:
        """The power of the step with which the error at any time falls, knots or not.

        A cubic has 4 at most; weights of local order 4, as those of `dense`, leave an error h^5.
        """
        return self.order if self.dense is not None else min(self.order, 4)

    @property
    def evaluations_per_step(self) -> int:
        """Evaluations that one more step costs, given the derivative at its start."""
        return self.num_stages - 1 if self.last_stage_is_next_first else self.num_stages


def _row(*numbers: str | int) -> tuple[Fraction, ...]:
    return tuple(Fraction(number) for number in numbers)


EULER = ButcherTableau("euler", order=1, c=_row(0), a=((),), b=_row(1))

MIDPOINT = ButcherTableau("midpoint", order=2, c=_row(0, "1/2"), a=((), _row("1/2")), b=_row(0, 1))

RK4 = ButcherTableau(
    "rk4",
    order=4,
    c=_row(0, "1/2", "1/2", 1),
    a=((), _row("1/2"), _row(0, "1/2"), _row(0, 0, 1)),
    b=_row("1/6", "1/3", "1/3", "1/6"),
)

# Dormand, Prince 1980, J. Comp. Appl. Math. 6; dense output of order 4: Hairer et al., section II.6.
DOPRI5 = ButcherTableau(
    "dopri5",
    order=5,
    c=_row(0, "1/5", "3/10", "4/5", "8/9", 1, 1),
    a=(
        (),
        _row("1/5"),
        _row("3/40", "9/40"),
        _row("44/45", "-56/15", "32/9"),
        _row("19372/6561", "-25360/2187", "64448/6561", "-212/729"),
        _row("9017/3168", "-355/33", "46732/5247", "49/176", "-5103/18656"),
        _row("35/384", 0, "500/1113", "125/192", "-2187/6784", "11/84"),
    ),
    b=_row("35/384", 0, "500/1113", "125/192", "-2187/6784", "11/84", 0),
    b_error=_row("71/57600", 0, "-71/16695", "71/1920", "-17253/339200", "22/525", "-1/40"),
    dense=(
        _row(1, "-8048581381/2820520608", "8663915743/2820520608", "-12715105075/11282082432"),
        _row(0, 0, 0, 0),
        _row(0, "131558114200/32700410799", "-68118460800/10900136933", "87487479700/32700410799"),
        _row(0, "-1754552775/470086768", "14199869525/1410260304", "-10690763975/1880347072"),
        _row(
            0, "127303824393/49829197408", "-318862633887/49829197408", "701980252875/199316789632"
        ),
        _row(0, "-282668133/205662961", "2019193451/616988883", "-1453857185/822651844"),
        _row(0, "40617522/29380423", "-110615467/29380423", "69997945/29380423"),
    ),
)


def _product(
    factor: str, first: tuple[str | int, ...], second: tuple[str | int, ...]
) -> tuple[Fraction, ...]:
    """Return factor * first * second, polynomials in theta with the lowest power first."""
    total = [Fraction(0)] * (len(first) + len(second) - 1)
    for i, left in enumerate(_row(*first)):
        for j, right in enumerate(_row(*second)):
            total[i + j] += Fraction(factor) * left * right
    return tuple(total)


# Tsitouras 2011, Computers and Mathematics with Applications 62, table 1 and the interpolant of
# section 4, whose coefficients are printed as decimals.
_TSIT5_B = _row(
    "0.09646076681806522951816731316512876334",
    "0.01",
    "0.4798896504144995747752495322905965199",
    "1.379008574103741893192274821856872771",
    "-3.290069515436080679901047585711363850",
    "2.324710524099773982415355918398765796",
)

TSIT5 = ButcherTableau(
    "tsit5",
    order=5,
    c=_row(0, "0.161", "0.327", "0.9", "0.9800255409045096857298102862870245954942", 1, 1),
    a=(
        (),
        _row("0.161"),
        _row(
            "-0.008480655492356988544426874250230774675", "0.3354806554923569885444268742502307747"
        ),
        _row(
            "2.897153057105493432130432594192938765",
            "-6.359448489975074843148159912383825626",
            "4.362295432869581411017727318190886861",
        ),
        _row(
            "5.325864828439256604428877920840511318",
            "-11.74888356406282787774717033978577296",
            "7.495539342889836208304604784564358156",
            "-0.09249506636175524925650207933207191611",
        ),
        _row(
            "5.861455442946420028659251486982647890",
            "-12.92096931784710929170611868178335940",
            "8.159367898576158643180400794539253485",
            "-0.07158497328140099722453054252582973869",
            "-0.02826905039406838290900305721271224147",
        ),
        _TSIT5_B,
    ),
    b=(*_TSIT5_B, Fraction(0)),
    b_error=_row(
        "-0.001780011052225771443378550607539534775944678804333659557637450799792588061629796",
        "-0.000816434459656746904549136919395209",
        "0.007880878010261996010314727672526304238628733777103128603258129604952959142646516",
        "-0.1447110071732629095372574949130370",
        "0.5823571654525552250301825263272530",
        "-0.4580821059291869466616365188325542",
        "1/66",
    ),
    dense=(
        _product(
            "-1.0530884977290216",
            ("-1.3299890189751412", 1),
            ("0.7139816917074209", "-1.4364028541716351", 1),
        ),
        _product("0.1017", (0, 1), ("1.2949852507374631", "-2.1966568338249754", 1)),
        _product(
            "2.490627285651252793", (0, 1), ("1.57803468208092486", "-2.38535645472061657", 1)
        ),
        _product(
            "-16.54810288924490272",
            (0, "-0.61620406037800089", 1),
            ("-1.21712927295533244", 1),
        ),
        _product(
            "47.37952196281928122",
            (0, "-0.658047292653547382", 1),
            ("-1.203071208372362603", 1),
        ),
        _product("-34.87065786149660974", (0, "-2/3", 1), ("-1.2", 1)),
        _product("2.5", (0, "-0.6", 1), (-1, 1)),
    ),
)
