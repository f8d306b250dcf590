"""Which subjects an artifact saw, as salted hashes: it recognizes a subject and names none.

The salt is the artifact's own. So the hashes of two artifacts cannot be joined, and no table of
hashes that was made beforehand helps. Who already has a list of identifiers can test each of them;
that is what `evaluate` does.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool

_HASH_BYTES = 16
_SALT_BYTES = 32


@dataclass(frozen=True)
class FittedSubjects:
    """Hashes of the subjects of every part of the data that an artifact was fitted on.

    Weights saw `train`; the stopping time and the calibration saw `tuning`. `held_out` were seen by
    nothing, and the errors in `metrics.json` are theirs.
    """

    salt: str
    train: tuple[str, ...]
    tuning: tuple[str, ...]
    held_out: tuple[str, ...]

    @classmethod
    def of(
        cls, train: Sequence[str], tuning: Sequence[str], held_out: Sequence[str]
    ) -> "FittedSubjects":
        """Hash identifiers with a new salt; an identifier may repeat."""
        salt = secrets.token_hex(_SALT_BYTES)
        parts = (sorted({_hash(salt, one) for one in part}) for part in (train, tuning, held_out))
        return cls(salt, *map(tuple, parts))

    @classmethod
    def nobody(cls) -> "FittedSubjects":
        """Return the subjects of a model that saw no data."""
        return cls.of((), (), ())

    @cached_property
    def _seen(self) -> frozenset[str]:
        return frozenset((*self.train, *self.tuning))

    @cached_property
    def _held_out(self) -> frozenset[str]:
        return frozenset(self.held_out)

    def is_seen(self, subject_ids: Sequence[str]) -> Bool[np.ndarray, " series"]:
        """Return which subjects training or tuning saw."""
        return self._are_among(subject_ids, self._seen)

    def is_held_out(self, subject_ids: Sequence[str]) -> Bool[np.ndarray, " series"]:
        """Return which subjects were kept for judging when the artifact was fitted."""
        return self._are_among(subject_ids, self._held_out)

    def _are_among(
        self, subject_ids: Sequence[str], hashes: frozenset[str]
    ) -> Bool[np.ndarray, " series"]:
        known = {one: _hash(self.salt, one) in hashes for one in set(subject_ids)}
        return np.array([known[one] for one in subject_ids], dtype=bool)

    def to_json(self) -> dict[str, Any]:
        """Return plain lists for `subjects.json`."""
        return {
            "salt": self.salt,
            "train": list(self.train),
            "tuning": list(self.tuning),
            "held_out": list(self.held_out),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "FittedSubjects":
        """Read what `to_json` wrote.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is anything else.
        """
        parts = (tuple(map(str, content[name])) for name in ("train", "tuning", "held_out"))
        return cls(str(content["salt"]), *parts)


def _hash(salt: str, subject_id: str) -> str:
    return hashlib.blake2b(
        subject_id.encode(), key=bytes.fromhex(salt), digest_size=_HASH_BYTES
    ).hexdigest()
