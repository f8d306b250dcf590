"""The samples of a Radau search that still run: where each one stands, one record for each.

Records are on the host, where the decisions are made; the states are tensors beside them.
"""

import numpy as np

from model.ode.solution import Status

Rows = np.ndarray
"""A structured array."""


def new_rows(t0: np.ndarray, end: np.ndarray, sign: np.ndarray) -> Rows:
    """Return all samples at their t0; times are in the precision of t0.

    `h` is the signed step to try next, `stop` the next jump or the end. `last_h` and `last_error`
    are of the last accepted step since the start or a jump; before it `last_error` is infinite.
    `factored_h` is the step that the matrices are for.
    """
    time, count = t0.dtype, np.int64
    fields = [(name, time) for name in ("t", "end", "sign", "stop", "h", "last_h", "factored_h")]
    fields += [(name, np.dtype(np.float64)) for name in ("last_error", "bound", "rounding")]
    fields += [
        (name, np.dtype(bool)) for name in ("running", "rejected", "fresh", "stale", "diverged")
    ]
    counters = ("sample", "status", "num_jumps", *COUNTERS)
    fields += [(name, np.dtype(count)) for name in counters]
    # torch takes columns only if they are aligned.
    rows = np.zeros(len(t0), np.dtype(fields, align=True))
    rows["sample"] = np.arange(len(t0))
    rows["t"], rows["end"], rows["sign"] = t0, end, sign
    return rows


def set_bounds(
    rows: Rows, precision: float, smallest_rtol: np.ndarray, most_widening: np.ndarray
) -> None:
    """Set how far Newton's iteration goes: to rounding, and to what the tolerances as given need."""
    rows["rounding"] = 10 * precision / (smallest_rtol * most_widening)
    # As RADAU5 would have it for the tolerances as they were given.
    asked = np.sqrt(smallest_rtol).clip(max=0.03) / most_widening
    rows["bound"] = np.maximum(rows["rounding"], asked)


COUNTERS = ("evaluations", "accepted", "rejected_steps", "jacobians", "factorizations")
"""In the order of `Statistics`."""


def clip(rows: Rows) -> None:
    """Cut the steps, or stretch them a little, to end at the samples' stops."""
    remaining = rows["stop"] - rows["t"]
    lands = (1.0001 * np.abs(rows["h"]) >= np.abs(remaining)) & (remaining != 0)
    np.copyto(rows["h"], remaining, where=lands)


def fail(rows: Rows, which: np.ndarray, status: Status) -> None:
    """Let go of samples."""
    rows["status"][which] = int(status)
    rows["running"] &= ~which
