"""A small reader of UCUM: the terms that laboratories, monitors and pumps use.

Products, quotients, whole powers, prefixes, numbers, annotations in braces and the arbitrary units
of medicine. Factors are fractions, so that 60 U are exactly 1 ukat and a conversion that is an
identity is one exactly. Not read: square roots, logarithmic units, and units that no chart holds.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

from model.errors import UnitError

Powers = tuple[tuple[str, int], ...]
"""Sorted pairs of a base dimension and its power, none of them zero."""


@dataclass(frozen=True)
class Measure:
    """A unit as a number of base units: base = (value + shift) * factor.

    Base dimensions are m, s, g, K, mol, eq (equivalents) and one for each arbitrary unit, which
    nothing but itself can be converted to.
    """

    factor: Fraction
    powers: Powers = ()
    shift: Fraction = Fraction(0)

    def times(self, other: "Measure", power: int = 1) -> "Measure":
        """Return the product with a power of another unit.

        Raises
        ------
        UnitError
            If one of the two has a zero of its own, as degrees Celsius have.
        """
        if self.shift or other.shift:
            raise UnitError("a unit with a zero of its own stands alone")
        powers = dict(self.powers)
        for dimension, one in other.powers:
            powers[dimension] = powers.get(dimension, 0) + one * power
        kept = tuple(sorted((name, one) for name, one in powers.items() if one))
        return Measure(self.factor * other.factor**power, kept)


ONE = Measure(Fraction(1))


def _of(factor: str | Fraction, **powers: int) -> Measure:
    return Measure(Fraction(factor), tuple(sorted(powers.items())))


_MINUTE = Fraction(60)
_DAY = Fraction(86_400)
_YEAR = _DAY * Fraction("365.25")
# 7.500616827 mm of mercury are one kilopascal.
_MERCURY = Fraction(1_000_000_000) / Fraction("7.500616827")

METRIC: Mapping[str, Measure] = MappingProxyType(
    {
        "m": _of("1", m=1),
        "s": _of("1", s=1),
        "g": _of("1", g=1),
        "K": _of("1", K=1),
        "mol": _of("1", mol=1),
        "osm": _of("1", mol=1),
        "eq": _of("1", eq=1),
        "L": _of("1/1000", m=3),
        "l": _of("1/1000", m=3),
        "U": _of(Fraction(1, 60_000_000), mol=1, s=-1),
        "kat": _of("1", mol=1, s=-1),
        "[iU]": _of("1", iU=1),
        "[IU]": _of("1", iU=1),
        "Pa": _of("1000", g=1, m=-1, s=-2),
        "bar": _of("100000000", g=1, m=-1, s=-2),
        "m[Hg]": _of(_MERCURY, g=1, m=-1, s=-2),
        "m[H2O]": _of("9806650", g=1, m=-1, s=-2),
        "dyn": _of("1/100", g=1, m=1, s=-2),
        "N": _of("1000", g=1, m=1, s=-2),
        "J": _of("1000", g=1, m=2, s=-2),
        "cal": _of("4184", g=1, m=2, s=-2),
        "W": _of("1000", g=1, m=2, s=-3),
        "Hz": _of("1", s=-1),
        "V": _of("1", volt=1),
    }
)
PLAIN: Mapping[str, Measure] = MappingProxyType(
    {
        "%": _of("1/100"),
        "[ppm]": _of("1/1000000"),
        "min": _of(_MINUTE, s=1),
        "h": _of(Fraction(3600), s=1),
        "d": _of(_DAY, s=1),
        "wk": _of(7 * _DAY, s=1),
        "mo": _of(_YEAR / 12, s=1),
        "a": _of(_YEAR, s=1),
        "Cel": Measure(Fraction(1), (("K", 1),), Fraction("273.15")),
        "[degF]": Measure(Fraction(5, 9), (("K", 1),), Fraction("459.67")),
        "[lb_av]": _of("453.59237", g=1),
        "[oz_av]": _of(Fraction("453.59237") / 16, g=1),
        "[in_i]": _of("0.0254", m=1),
        "[ft_i]": _of("0.3048", m=1),
        "[foz_us]": _of("0.0000295735295625", m=3),
        "[drp]": _of("1/20000000", m=3),
        "[pH]": _of("1", pH=1),
        "deg": _of("1", deg=1),
    }
)
PREFIXES: Mapping[str, Fraction] = MappingProxyType(
    {"f": Fraction(1, 10**15), "p": Fraction(1, 10**12), "n": Fraction(1, 10**9)}
    | {"u": Fraction(1, 10**6), "m": Fraction(1, 1000), "c": Fraction(1, 100)}
    | {"d": Fraction(1, 10), "h": Fraction(100), "k": Fraction(1000)}
)

# Numbers are short, so that no text of a stranger asks for ten to the billion.
_TOKEN = re.compile(
    r"(?P<power>10[*^][+-]?[0-9]{1,2}(?![0-9]))|(?P<number>[0-9]{1,7}(?:\.[0-9]{1,7})?(?![0-9]))"
    r"|(?P<annotation>\{[^{}]*\})|(?P<symbol>(?:[A-Za-z%°#]|\[[^\[\]]+\])+)"
    r"(?P<exponent>[*^]?[+-]?[0-9]{1,2}(?![0-9]))?|(?P<operator>[./()])"
)


@dataclass(frozen=True)
class Factor:
    """A symbol or a number of a term, with its power; a divisor has a negative one."""

    symbol: str
    power: int

    @property
    def is_number(self) -> bool:
        """Whether it is a number, a power of ten or an annotation, and no symbol."""
        return self.symbol[0] in "0123456789{"


def factors(text: str) -> tuple[Factor, ...]:
    """Cut a term into its factors.

    Raises
    ------
    UnitError
        If the text is no term.
    """
    if not text:
        raise UnitError("an empty text is no unit")
    found = tuple(_factors(text))
    if not found:
        raise UnitError("no unit is left of this text")
    return found


def _factors(text: str) -> Iterator[Factor]:
    # `sign` is that of the next factor; a bracket keeps the sign before it for its end.
    signs, sign, before = [1], 1, "."
    for match in _tokens(text):
        token = match[0]
        if match["operator"] is None:
            if not _may_follow(match, before):
                raise UnitError("two factors stand beside each other without an operator")
            exponent = int((match["exponent"] or "1").strip("*^"))
            yield Factor(_symbol(match), sign * signs[-1] * exponent)
        elif token == "(":
            if before not in ("(", ".", "/"):
                raise UnitError("a bracket stands behind a factor without an operator")
            signs.append(signs[-1] * sign)
            sign = 1
        elif token == ")":
            if len(signs) == 1:
                raise UnitError("a bracket is closed that was not opened")
            signs.pop()
        else:
            sign = -1 if token == "/" else 1
        before = token
    if len(signs) > 1:
        raise UnitError("a bracket is not closed")


def _tokens(text: str) -> Iterator[re.Match[str]]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise UnitError("this text is no unit")
        yield match
        position = match.end()


def _may_follow(match: re.Match[str], before: str) -> bool:
    """Whether a factor may stand behind this token: a number takes a symbol, all an annotation."""
    if before in ("(", ".", "/") or match["annotation"] is not None:
        return True
    return match["symbol"] is not None and before[0].isdigit()


def _symbol(match: re.Match[str]) -> str:
    return match["power"] or match["number"] or match["annotation"] or match["symbol"]


def number(symbol: str) -> Measure:
    """Return what a number, a power of ten or an annotation stands for."""
    if symbol.startswith("{"):
        return ONE
    base, _, power = symbol.replace("^", "*").partition("*")
    return Measure(Fraction(base) ** int(power) if power else Fraction(base))


def atom(symbol: str) -> Measure | None:
    """Return the unit of a symbol with or without a prefix, or None."""
    known = METRIC.get(symbol) or PLAIN.get(symbol)
    if known is not None:
        return known
    prefix, rest = PREFIXES.get(symbol[:1]), METRIC.get(symbol[1:])
    return None if prefix is None or rest is None else Measure(prefix * rest.factor, rest.powers)


def measure(text: str) -> Measure:
    """Read a term.

    A term that is nothing but an annotation, such as `{score}`, is a dimension of its own: a score
    is not a fraction, and no per cent of it are one.

    Raises
    ------
    UnitError
        If the text is not a term of the units known here.
    """
    found = factors(text)
    if all(one.symbol.startswith("{") for one in found):
        return Measure(Fraction(1), ((text.casefold(), 1),))
    result = ONE
    for one in found:
        unit = number(one.symbol) if one.is_number else atom(one.symbol)
        if unit is None:
            raise UnitError("this text contains a unit that is not known")
        result = unit if len(found) == 1 and one.power == 1 else result.times(unit, one.power)
    return result
