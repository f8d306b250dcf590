"""Whether a text looks like a unit. It is asked of brackets in headers and of the ends of codes.

No unit is converted here: `model.data.units` does that. A text that looks like a unit and has no
conversion is reported as such; a text that does not look like one stays a part of the name.
"""

import re
from functools import lru_cache
from typing import Final

# What units are made of, in lower case: prefixes are written out, as there are few.
_ATOMS_TEXT: Final = (
    "% %% ‰ percent fraction ratio index score points 1 kg g gm mg ug µg μg mcg ng pg fg lb lbs "
    "oz l dl ml ul µl μl cl fl cc mol mmol umol µmol μmol nmol pmol fmol eq meq ueq mval mosm "
    "osm mosmol osmol mosmols u iu ui mu miu uiu µu ku kiu ukat µkat μkat nkat mmhg mm[hg] "
    "cmh2o cm[h2o] torr kpa hpa pa mbar bar m cm mm um µm dm in inch inches [in_i] ft m2 m² cm2 "
    "mm3 µl3 c °c degc cel celsius f °f degf [degf] fahrenheit k s sec second seconds min "
    "minute minutes h hr hrs hour hours d day days wk week weeks mo month months a y yr yrs "
    "year years ms bpm beats breaths {beats} {breaths} insp/min hz rpm resp {resp} breath beat "
    "mv v w j cal kcal lpm ph cells cell {cells} {#} # 10 10^3 10^6 10^9 10^12 10*3 10*6 10*9 "
    "10*12 10e3 10e6 10e9 10e12 k/ul x10 e3 e6 e9 e12 g/l thousand thou mil {score} {ratio} "
    "{inr} inr"
)
_ATOMS: Final = frozenset(_ATOMS_TEXT.split(" "))
_SEPARATORS = re.compile(r"\s*[/.·]\s*|\s+per\s+|\s+")
_EXPONENT = re.compile(r"(?:\^|\*\*|\*)?-?[0-9²³]$")
_NO_UNIT: Final = frozenset({"", "unk", "unknown", "none", "na", "n/a", "null", "nan"})

_SUFFIXES: Final = {
    "mg_dl": "mg/dL", "mgdl": "mg/dL", "g_dl": "g/dL", "gdl": "g/dL", "g_l": "g/L",
    "mg_l": "mg/L", "ug_l": "ug/L", "ng_ml": "ng/mL", "pg_ml": "pg/mL", "ug_dl": "ug/dL",
    "mmol_l": "mmol/L", "mmoll": "mmol/L", "umol_l": "umol/L", "umoll": "umol/L",
    "meq_l": "meq/L", "u_l": "U/L", "iu_l": "U/L", "mmhg": "mm[Hg]", "cmh2o": "cm[H2O]",
    "kpa": "kPa", "bpm": "/min", "per_min": "/min", "kg": "kg", "cm": "cm", "ml": "mL",
    "ml_h": "mL/h", "degc": "Cel", "celsius": "Cel", "degf": "[degF]", "fahrenheit": "[degF]",
    "percent": "%", "pct": "%",
}  # fmt: skip

_LONGEST_FIRST: Final = tuple(sorted(_SUFFIXES, key=len, reverse=True))


def is_no_unit(text: str) -> bool:
    """Return whether a text says that there is no unit.

    Examples
    --------
    >>> is_no_unit("UNK"), is_no_unit("kg")
    (True, False)
    """
    return text.strip().lower() in _NO_UNIT


def looks_like_unit(text: str) -> bool:
    """Return whether every part of a text is a part of units.

    Examples
    --------
    >>> [looks_like_unit(text) for text in ("mg/dL", "beats per min", "10^9/L", "/min", "total")]
    [True, True, True, True, False]
    """
    # The area of a body: the point within it separates nothing.
    lowered = text.strip().lower().replace("1.73m2", "m2").replace("1.73_m2", "m2")
    if lowered in _ATOMS:
        return True
    parts = [part for part in _SEPARATORS.split(lowered) if part]
    return bool(parts) and all(_is_part(part) for part in parts)


def split_bracket(header: str) -> tuple[str, str | None]:
    """Return the name and the unit of `name [unit]` or `name (unit)`; other brackets stay.

    Examples
    --------
    >>> split_bracket("Glucose [mg/dL]"), split_bracket("GCS (total)")
    (('Glucose', 'mg/dL'), ('GCS (total)', None))
    """
    stripped = header.strip()
    for opening, closing in ("[]", "()"):
        if not stripped.endswith(closing):
            continue
        depth = 0
        for place in range(len(stripped) - 1, -1, -1):
            depth += (stripped[place] == closing) - (stripped[place] == opening)
            if depth == 0:
                name, unit = stripped[:place].strip(), stripped[place + 1 : -1].strip()
                return (name, unit) if name and looks_like_unit(unit) else (stripped, None)
    return stripped, None


@lru_cache(maxsize=4096)
def split_suffix(header: str) -> tuple[str, str | None]:
    """Return the name and the unit of `name_unit`, for the few ends that can be nothing else.

    Examples
    --------
    >>> split_suffix("glucose_mg_dl"), split_suffix("heart_rate")
    (('glucose', 'mg/dL'), ('heart_rate', None))
    """
    lowered = header.strip().lower()
    for suffix in _LONGEST_FIRST:
        if lowered.endswith(f"_{suffix}") and len(lowered) > len(suffix) + 1:
            return header.strip()[: -len(suffix) - 1], _SUFFIXES[suffix]
    return header.strip(), None


def split_code(code: str) -> tuple[str, str]:
    """Split `code//unit` as MEDS writes it; the unit is empty where there is none.

    A unit may begin with a slash: `HR///min` is `HR` and `/min`.

    Examples
    --------
    >>> split_code("LAB//50971//mEq/L"), split_code("HR///min"), split_code("HR")
    (('LAB//50971', 'mEq/L'), ('HR', '/min'), ('HR', ''))
    """
    head, separator, tail = code.rpartition("//")
    if not separator:
        return code, ""
    return (head[:-1], f"/{tail}") if head.endswith("/") else (head, tail)


def _is_part(part: str) -> bool:
    return part in _ATOMS or _EXPONENT.sub("", part) in _ATOMS or part == "{m2}"
