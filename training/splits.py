"""Which subjects a model is fitted on, tuned on and judged on: by a hash of the subject's identity.

A subject's part depends on nothing but its identity and the salt, so that it stays the same when
other subjects come or go, and no subject is ever in two parts.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

_SALT = "lacuna-split-1"
_TUNING_SHARE = 0.1
_HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class Split:
    """Positions of the series of each part."""

    train: Int[np.ndarray, " train"]
    tuning: Int[np.ndarray, " tuning"]
    held_out: Int[np.ndarray, " held_out"]
    sha256: str


def split_subjects(subject_ids: Sequence[str]) -> Split:
    """Divide series by their subjects into 80 % train, 10 % tuning and 10 % held out."""
    places = np.array([_place(subject_id) for subject_id in subject_ids])
    is_held_out = places < _HELD_OUT_SHARE
    is_tuning = ~is_held_out & (places < _HELD_OUT_SHARE + _TUNING_SHARE)
    parts = np.where(is_held_out, "held_out", np.where(is_tuning, "tuning", "train"))
    lines = sorted({f"{subject}:{part}" for subject, part in zip(subject_ids, parts, strict=True)})
    return Split(
        np.flatnonzero(~is_held_out & ~is_tuning),
        np.flatnonzero(is_tuning),
        np.flatnonzero(is_held_out),
        hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    )


def _place(subject_id: str) -> float:
    """Return a number in [0, 1) that is uniform over subjects."""
    digest = hashlib.sha256(f"{_SALT}:{subject_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
