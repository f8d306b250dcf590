"""The challenge's text files as the protocols read them: every line, nothing cleaned.

An import of the same files drops what cannot be. The published protocols keep all of it, a pH of 735
and an unknown height of -1 as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from model.records.errors import SourceError
from model.records.rows import TimeKind
from model.records.sources.challenge import Lines, first_of_stay, read_lines

STATICS = ("Age", "Gender", "Height", "ICUType", "Weight")
SERIES = (
    *("Albumin", "ALP", "ALT", "AST", "Bilirubin", "BUN", "Cholesterol", "Creatinine", "DiasABP"),
    *("FiO2", "GCS", "Glucose", "HCO3", "HCT", "HR", "K", "Lactate", "Mg", "MAP", "MechVent"),
    *("Na", "NIDiasABP", "NIMAP", "NISysABP", "PaCO2", "PaO2", "pH", "Platelets", "RespRate"),
    *("SaO2", "SysABP", "Temp", "TroponinI", "TroponinT", "Urine", "WBC"),
)
PARAMETERS = (*STATICS, *SERIES)
"""The 41 parameters in the order of the latent ODE's reader; Weight is a static and a series."""

MINUTES = 48 * 60 + 1
"""A record has minutes 0 to 2880."""

_UNKNOWN = -1.0


@dataclass(frozen=True)
class Stays:
    """All lines of all records but the RecordID lines, in the order of the ids and of the files.

    `stays` is the position of a line's record in `record_ids`; `parameters` indexes `PARAMETERS`.
    `statics` holds Age, Gender, Height, ICUType (1 to 4) and the Weight on admission, NaN where
    unknown; the same lines are among the others with the value as written, -1 included.
    """

    sets: str
    record_ids: Int[np.ndarray, " stay"]
    statics: Float[np.ndarray, "stay static"]
    stays: Int[np.ndarray, " line"]
    minutes: Int[np.ndarray, " line"]
    parameters: Int[np.ndarray, " line"]
    values: Float[np.ndarray, " line"]

    def __len__(self) -> int:
        return len(self.record_ids)

    def take(self, kept: Bool[np.ndarray, " line"]) -> "Stays":
        """Return the same stays with the lines where `kept` is True."""
        return replace(
            self,
            stays=self.stays[kept],
            minutes=self.minutes[kept],
            parameters=self.parameters[kept],
            values=self.values[kept],
        )

    def channels(self, variables: Sequence[str]) -> Int[np.ndarray, " line"]:
        """Return the position of each line's parameter in `variables`, -1 where it is not there."""
        position = {name: index for index, name in enumerate(variables)}
        return np.array([position.get(name, -1) for name in PARAMETERS])[self.parameters]


def read_stays(data: Path) -> Stays:
    """Read all sets of a folder that holds `set-a` and others, or one folder of text files.

    Raises
    ------
    SourceError
        If there are no such files, or one is not of this format; the message names the file.
    """
    return _stays(*read_lines(data), sets_in(data))


def read_set_a(data: Path) -> Stays:
    """Read set A alone, for the protocols that are defined on it.

    Raises
    ------
    SourceError
        If `data` holds no folder `set-a` and is not that folder.
    """
    folder = data if data.name == "set-a" else data / "set-a"
    if not folder.is_dir():
        raise SourceError(
            f"{data}: no folder set-a; this protocol is defined on set A of the PhysioNet 2012 "
            "challenge, give the folder that holds set-a"
        )
    return _stays(*read_lines(folder), "A")


def sets_in(data: Path) -> str:
    """Name the sets of a folder, "A+B"; "?" for text files in a folder with another name."""
    folders = sorted(data.glob("set-[abc]")) or [data]
    names = [folder.name.removeprefix("set-").upper() for folder in folders]
    return "+".join(names) if all(name in ("A", "B", "C") for name in names) else "?"


def _stays(record_ids: list[int], lines: Lines, sets: str) -> Stays:
    position = {name: index for index, name in enumerate(PARAMETERS)}
    parameters = lines.parameters.each(
        [float(position.get(name, -1)) for name in lines.parameters.names], -1.0
    ).astype(np.int64)
    values = lines.values.numbers
    minutes = np.rint(lines.hours * 60)
    # A reader of the published kind stops at what is not of this form; there is none in A and B.
    is_line = (parameters >= 0) & (lines.kinds == TimeKind.HOURS) & np.isfinite(values)
    is_line &= (minutes >= 0) & (minutes < MINUTES)
    is_weight = parameters == position["Weight"]
    is_static = (parameters >= 0) & (parameters < len(STATICS)) & ~is_weight
    is_admission = first_of_stay(lines, is_weight & (lines.hours == 0))
    # Of the weight, -1 on admission says that it is not known, and later it says nothing.
    is_line &= ~is_weight | is_admission | (values != _UNKNOWN)
    is_static = is_line & (is_static | is_admission)
    statics = np.full((len(record_ids), len(STATICS)), np.nan)
    statics[lines.files[is_static], parameters[is_static]] = values[is_static]
    return Stays(
        sets,
        np.array(record_ids, dtype=np.int64),
        np.where(statics == _UNKNOWN, np.nan, statics),
        lines.files[is_line],
        minutes[is_line].astype(np.int64),
        parameters[is_line],
        values[is_line],
    )
