"""Which subjects a model is fitted on, tuned on and judged on: by a hash of the subject's identity.

A subject's part depends on nothing but its own identifier at the source and a fixed public salt. So
it stays the same when rows or subjects come, go or change their order, and no subject is ever in two
parts. Who wants other parts gives a file (`read_split`) or asks for folds (`fold_of`).
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, Shaped

_SALT = "lacuna-split-1"
# Who tunes is drawn apart from the fold, so that it is a tenth of what each fold leaves.
_TUNING_SALT = "lacuna-tuning-1"
_TUNING_SHARE = 0.1
_HELD_OUT_SHARE = 0.1
_COLUMNS = ["subject_id", "part"]
_MAX_LISTED = 5


class SplitError(ValueError):
    """Raised for a file of parts that does not fit the subjects, or a fold that does not exist."""


class Part(StrEnum):
    """What a subject is used for."""

    TRAIN = "train"
    """The weights are fitted on it."""
    TUNING = "tuning"
    """The stopping time and the calibration are."""
    HELD_OUT = "held_out"
    """Nothing is: errors are reported on it."""


@dataclass(frozen=True)
class Split:
    """Positions of the series of each part."""

    train: Int[np.ndarray, " train"]
    tuning: Int[np.ndarray, " tuning"]
    held_out: Int[np.ndarray, " held_out"]
    sha256: str

    @classmethod
    def of(cls, subject_ids: Sequence[str], parts: Shaped[np.ndarray, " series"]) -> "Split":
        """Make a split from the part of each series; `parts` holds values of `Part`."""
        lines = sorted({f"{one}:{part}" for one, part in zip(subject_ids, parts, strict=True)})
        train, tuning, held_out = (np.flatnonzero(parts == part.value) for part in Part)
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        return cls(train, tuning, held_out, digest)


@dataclass(frozen=True, kw_only=True)
class SplitChoice:
    """How `fit` is to divide the subjects: by default, by a file, or by folds.

    `fold` counts from 1 to `num_folds`. Its subjects are held out.
    """

    file: Path | None = None
    num_folds: int | None = None
    fold: int | None = None

    def __post_init__(self) -> None:
        if (self.num_folds is None) != (self.fold is None):
            raise SplitError("folds need both: --folds K says how many, --fold I which is held out")
        if self.file is not None and self.num_folds is not None:
            raise SplitError("a file of parts and folds exclude each other; choose one")
        if self.num_folds is not None and self.fold is not None:
            if self.num_folds < 2:
                raise SplitError(f"at least 2 folds are needed, got {self.num_folds}")
            if not 1 <= self.fold <= self.num_folds:
                raise SplitError(f"the fold must be from 1 to {self.num_folds}, got {self.fold}")

    def divide(self, subject_ids: Sequence[str], *, absent: Collection[str] = ()) -> Split:
        """Divide series by their subjects.

        Parameters
        ----------
        absent
            Subjects of the source that have no series; a file may name them too.

        Raises
        ------
        SplitError
            If the file does not give every subject one part.
        """
        if self.file is not None:
            return read_split(self.file, subject_ids, absent=absent)
        if self.num_folds is not None and self.fold is not None:
            return fold_of(subject_ids, num_folds=self.num_folds, fold=self.fold)
        return split_subjects(subject_ids)


DEFAULT_SPLIT = SplitChoice()


def split_subjects(subject_ids: Sequence[str]) -> Split:
    """Divide series by their subjects into 80 % train, 10 % tuning and 10 % held out.

    Examples
    --------
    >>> split = split_subjects([str(number) for number in range(1000)])
    >>> sum(len(part) for part in (split.train, split.tuning, split.held_out))
    1000
    """
    places = _places(subject_ids, _SALT)
    is_held_out = places < _HELD_OUT_SHARE
    is_tuning = ~is_held_out & (places < _HELD_OUT_SHARE + _TUNING_SHARE)
    return Split.of(subject_ids, _parts(is_held_out, is_tuning))


def fold_of(subject_ids: Sequence[str], *, num_folds: int, fold: int) -> Split:
    """Hold out one of `num_folds` folds, counted from 1; a tenth of the others tunes.

    Every subject is held out in exactly one of the folds.

    Examples
    --------
    >>> ids = [str(number) for number in range(100)]
    >>> folds = [fold_of(ids, num_folds=5, fold=fold).held_out for fold in range(1, 6)]
    >>> sorted(np.concatenate(folds).tolist()) == list(range(100))
    True
    """
    folds = (_places(subject_ids, _SALT) * num_folds).astype(np.int64) + 1
    is_held_out = folds == fold
    is_tuning = ~is_held_out & (_places(subject_ids, _TUNING_SALT) < _TUNING_SHARE)
    return Split.of(subject_ids, _parts(is_held_out, is_tuning))


def read_split(path: Path, subject_ids: Sequence[str], *, absent: Collection[str] = ()) -> Split:
    """Read the part of every subject from a CSV file with the columns subject_id and part.

    Raises
    ------
    SplitError
        If a part is unknown, a subject is there twice, is none of the data set, or is missing. The
        message gives the lines of the file and never an identifier.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "parts.csv"
    >>> _ = path.write_text("subject_id,part\\na,train\\nb,tuning\\nc,held_out\\n")
    >>> read_split(path, ["a", "b", "c"]).held_out.tolist()
    [2]
    """
    lines, parts = _read_rows(path)
    known, others = set(subject_ids), set(absent)
    strangers = [lines[name] for name in parts if name not in known and name not in others]
    if strangers:
        raise SplitError(
            f"{path}: {len(strangers)} subject(s) are not in the data set ({_lines(strangers)}); "
            "a subject is named by its identifier at the source"
        )
    missing = known - set(parts)
    if missing:
        raise SplitError(
            f"{path}: {len(missing)} of {len(known)} subjects of the data set have no line; give "
            f"each one of the parts {', '.join(Part)}"
        )
    return Split.of(subject_ids, np.array([parts[one] for one in subject_ids], dtype=object))


def _read_rows(path: Path) -> tuple[Mapping[str, int], Mapping[str, str]]:
    """Return the line and the part of every subject of the file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SplitError(f"{path} cannot be read as CSV: {type(error).__name__}") from error
    header = [name.strip() for name in rows[0]] if rows else []
    if header[:2] != _COLUMNS:
        raise SplitError(f"{path}: the first line must be {','.join(_COLUMNS)}")
    filled = [(line, row) for line, row in enumerate(rows[1:], start=2) if any(row)]
    bad = [line for line, row in filled if len(row) < 2 or row[1].strip() not in list(Part)]
    if bad:
        raise SplitError(f"{path}: expected one of {', '.join(Part)} as part ({_lines(bad)})")
    counts = Counter(row[0].strip() for _, row in filled)
    twice = [line for line, row in filled if counts[row[0].strip()] > 1]
    if twice:
        raise SplitError(f"{path}: a subject has more than one line ({_lines(twice)})")
    lines = {row[0].strip(): line for line, row in filled}
    return lines, {row[0].strip(): row[1].strip() for _, row in filled}


def _lines(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_MAX_LISTED]))
    return f"line {shown}" + (", ..." if len(numbers) > _MAX_LISTED else "")


def _parts(
    is_held_out: Shaped[np.ndarray, " series"], is_tuning: Shaped[np.ndarray, " series"]
) -> Shaped[np.ndarray, " series"]:
    rest = np.where(is_tuning, Part.TUNING.value, Part.TRAIN.value)
    return np.where(is_held_out, Part.HELD_OUT.value, rest)


def _places(subject_ids: Sequence[str], salt: str) -> Float[np.ndarray, " series"]:
    """Return numbers in [0, 1) that are uniform over subjects."""
    return np.array([_place(subject_id, salt) for subject_id in subject_ids], dtype=float)


def _place(subject_id: str, salt: str) -> float:
    digest = hashlib.sha256(f"{salt}:{subject_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
