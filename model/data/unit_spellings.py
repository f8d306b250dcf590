"""What a unit may mean that is not written in UCUM: the spellings of laboratories and monitors.

`readings` gives every meaning that a text may have; which one it is, only the variable can say: a
`G/L` is a giga of cells a liter for a count and a gram a liter for a protein. A text that is UCUM as it
stands has one meaning and is not looked at here.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice, product
from types import MappingProxyType

from model.data.ucum import (
    METRIC,
    ONE,
    PLAIN,
    PREFIXES,
    Factor,
    Measure,
    atom,
    factors,
    measure,
    number,
)
from model.errors import UnitError

_MAX_LENGTH = 60
_MAX_READINGS = 512

# Whole units, without regard to case and spaces.
_WHOLE = MappingProxyType(
    {
        "bpm": "/min",
        "beatspermin": "/min",
        "beatsperminute": "/min",
        "brpm": "/min",
        "breathsperminute": "/min",
        "perminute": "/min",
        "lpm": "L/min",
        "mmhg": "mm[Hg]",
        "mm(hg)": "mm[Hg]",
        "torr": "mm[Hg]",
        "cmh2o": "cm[H2O]",
        "cmh20": "cm[H2O]",
        "cm(h2o)": "cm[H2O]",
        "degc": "Cel",
        "deg.c": "Cel",
        "degreesc": "Cel",
        "°c": "Cel",
        "c": "Cel",
        "celsius": "Cel",
        "celcius": "Cel",
        "degreecelsius": "Cel",
        "degreescelsius": "Cel",
        "degreesfahrenheit": "[degF]",
        "degf": "[degF]",
        "deg.f": "[degF]",
        "degreesf": "[degF]",
        "°f": "[degF]",
        "f": "[degF]",
        "fahrenheit": "[degF]",
        "kelvin": "K",
        "mg%": "mg/dL",
        "g%": "g/dL",
        "gm%": "g/dL",
        "ratio": "1",
        "fraction": "1",
        "decimal": "1",
        "proportion": "1",
        "inr": "{INR}",
        "score": "{score}",
        "points": "{score}",
        "point": "{score}",
        "ph": "[pH]",
        "phunits": "[pH]",
        "phunit": "[pH]",
        "units": "[pH]",
        "unit": "[pH]",
        "mosm/kgh2o": "mosm/kg",
    }
)

# Words within a unit; what is counted has no dimension.
_COUNTED = frozenset(
    (
        *("beats", "beat", "breaths", "breath", "insp", "resp", "bpm", "brpm", "#", "x"),
        *("cells", "cell", "count", "counts", "wbc", "rbc", "leukocytes", "erythrocytes"),
        *("thrombocytes", "platelets"),
    )
)
_WORDS = MappingProxyType(
    {
        "gm": ("g",),
        "gms": ("g",),
        "gram": ("g",),
        "grams": ("g",),
        "kgs": ("kg",),
        "kilogram": ("kg",),
        "kilograms": ("kg",),
        "mcg": ("ug",),
        "mcl": ("uL",),
        "mcmol": ("umol",),
        "microgram": ("ug",),
        "micrograms": ("ug",),
        "milligram": ("mg",),
        "milligrams": ("mg",),
        "liter": ("L",),
        "liters": ("L",),
        "litre": ("L",),
        "litres": ("L",),
        "cc": ("mL",),
        "ccm": ("mL",),
        "mls": ("mL",),
        "milliliter": ("mL",),
        "milliliters": ("mL",),
        "mmole": ("mmol",),
        "mmoles": ("mmol",),
        "umole": ("umol",),
        "mosmol": ("mosm",),
        "mval": ("meq",),
        "val": ("eq",),
        "iu": ("[iU]", "U"),
        "miu": ("m[iU]", "mU"),
        "uiu": ("u[iU]", "uU"),
        "u": ("U", "[iU]"),
        "mu": ("mU", "m[iU]"),
        "uu": ("uU", "u[iU]"),
        "ku": ("kU", "k[iU]"),
        "kiu": ("k[iU]", "kU"),
        "unit": ("U", "[iU]"),
        "units": ("U", "[iU]"),
        "[iu]": ("[iU]", "U"),
        "m[iu]": ("m[iU]", "mU"),
        "percent": ("%",),
        "pct": ("%",),
        "prozent": ("%",),
        "ppm": ("[ppm]",),
        "sec": ("s",),
        "secs": ("s",),
        "second": ("s",),
        "seconds": ("s",),
        "msec": ("ms",),
        "mins": ("min",),
        "minute": ("min",),
        "minutes": ("min",),
        "hr": ("h",),
        "hrs": ("h",),
        "hour": ("h",),
        "hours": ("h",),
        "day": ("d",),
        "days": ("d",),
        "week": ("wk",),
        "weeks": ("wk",),
        "month": ("mo",),
        "months": ("mo",),
        "y": ("a",),
        "yr": ("a",),
        "yrs": ("a",),
        "year": ("a",),
        "years": ("a",),
        "jahre": ("a",),
        "m": ("m", "min", "mo"),
        "in": ("[in_i]",),
        "inch": ("[in_i]",),
        "inches": ("[in_i]",),
        "ft": ("[ft_i]",),
        "feet": ("[ft_i]",),
        "lb": ("[lb_av]",),
        "lbs": ("[lb_av]",),
        "pound": ("[lb_av]",),
        "pounds": ("[lb_av]",),
        "oz": ("[oz_av]", "[foz_us]"),
        "ounce": ("[oz_av]", "[foz_us]"),
        "ounces": ("[oz_av]", "[foz_us]"),
        "dyne": ("dyn",),
        "dynes": ("dyn",),
        "mmhg": ("mm[Hg]",),
        "cmh": ("cm[H2O]",),
        "volt": ("V",),
    }
)
# A large number of cells by a letter, in which the case matters (a small g is a gram), or a word.
_LETTERS = MappingProxyType(
    {"K": "10*3", "k": "10*3", "M": "10*6", "m": "10*6", "G": "10*9", "T": "10*12"}
)
_NUMERALS = MappingProxyType(
    dict.fromkeys(("thou", "thous", "thousand", "tsd"), "10*3")
    | dict.fromkeys(("mil", "mill", "million", "mio"), "10*6")
    | dict.fromkeys(("giga", "gpt"), "10*9")
    | dict.fromkeys(("tera", "tpt"), "10*12")
)
# Molar concentrations, in which the case matters: mm is a length.
_MOLAR = MappingProxyType(
    {"mM": "mmol/L", "uM": "umol/L", "nM": "nmol/L", "pM": "pmol/L"}
    | {"mM/L": "mmol/L", "uM/L": "umol/L", "nM/L": "nmol/L"}
)

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\s+", " "),
        (r"\*\*", "^"),
        (r"^%\s.*", "%"),
        (r"\bsq\.?\s?m\b|\bsqm\b", "m2"),
        (r"\s*\bper\b\s*", "/"),
        (r"\s*/\s*", "/"),
        (r"[·⋅]|(?<=[A-Za-z])\*(?=[A-Za-z])", "."),
        # 10^9, 10E9, x10e9, 10x9, 10(9) and 10 9/ are UCUM's 10*9.
        (r"(?:[x×X]\s?)?(?<![0-9.])10\s?(?:\^|\*|[eExX]|exp)\s?\+?(-?\d+)", r"10*\1 "),
        (r"(?:[x×X]\s?)?(?<![0-9.])10\s?\((\d+)\)", r"10*\1 "),
        (r"(?:[x×X]\s?)?(?<![0-9.])10 (\d)(?=/)", r"10*\1 "),
        (r"(?<![\w.])1?[eE]\+?(\d+)(?=/)", r"10*\1 "),
        (r"\(?1[.,]73\s?m(?:\^|\*)?2\)?", "{1.73_m2}"),
        (r"(?<=[A-Za-z])\s?(?:FEU|feu)\b|(?<=kg) ?H2O\b", ""),
        (r"/c(?:u\s?)?mm\b", "/mm3"),
        (r"(?<=/)mm(?:\^|\*)3|(?<=/)mm3", "uL"),
    )
)


def normalized(text: str) -> str:
    """Return a text with one sign for each of micro, multiplication, powers and spaces."""
    text = re.sub("[⁰¹²³⁴-⁹⁻]+", lambda found: f"*{found[0].translate(_SUPERSCRIPTS)}", text)
    text = unicodedata.normalize("NFKC", text).replace("\N{GREEK SMALL LETTER MU}", "u")
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text.strip().rstrip(".")


@lru_cache(maxsize=4096)
def readings(text: str) -> tuple[Measure, ...]:
    """Return the meanings of a text that is not UCUM; none if it is no unit at all."""
    if len(text) > _MAX_LENGTH:
        return ()
    plain = normalized(text)
    if re.search(r"[0-9] [0-9]", plain):
        return ()
    squeezed = plain.replace(" ", "")
    found = [measure(squeezed)] if squeezed != text and _is_ucum(squeezed) else []
    whole = _MOLAR.get(squeezed) or _WHOLE.get(squeezed.casefold())
    if whole is not None:
        found.append(measure(whole))
    try:
        terms = factors(squeezed)
    except UnitError:
        return tuple(dict.fromkeys(found))
    choices = [tuple(_meanings(one)) for one in terms]
    for chosen in islice(product(*choices), _MAX_READINGS):
        try:
            found.append(_product(terms, chosen))
        except UnitError:
            continue
    return tuple(dict.fromkeys(found))


def _is_ucum(text: str) -> bool:
    try:
        measure(text)
    except UnitError:
        return False
    return True


def _product(terms: tuple[Factor, ...], units: tuple[Measure, ...]) -> Measure:
    if len(units) == 1 and terms[0].power == 1:
        return units[0]
    result = ONE
    for term, unit in zip(terms, units, strict=True):
        result = result.times(unit, term.power)
    return result


def _meanings(term: Factor) -> Iterator[Measure]:
    symbol = term.symbol
    if term.is_number:
        yield number(symbol)
        return
    exact = atom(symbol)
    if exact is not None:
        yield exact
    folded = symbol.casefold()
    if folded in _COUNTED:
        yield ONE
    numeral = _LETTERS.get(symbol) or _NUMERALS.get(folded)
    if numeral is not None and term.power == 1:
        yield number(numeral)
    for word in _WORDS.get(folded, ()):
        unit = atom(word)
        if unit is not None:
            yield unit
    if exact is None:
        yield from _in_any_case(folded)


def _in_any_case(folded: str) -> Iterator[Measure]:
    for known in (METRIC, PLAIN):
        for name, unit in known.items():
            if name.casefold() == folded:
                yield unit
    for name, unit in METRIC.items():
        prefix = PREFIXES.get(folded[:1])
        if prefix is not None and name.casefold() == folded[1:]:
            yield Measure(prefix * unit.factor, unit.powers)
