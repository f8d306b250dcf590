"""When somebody looks at a simulated patient, and at what.

Rounds about every hour, more of them in a crisis because somebody looks; blood about every six
hours, in panels; things that nobody ever looks at in a subject, or no longer. One quarter of an
hour is one slot, with at most one look in it. What is then written down is in
`training.datasets.simulated`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
from jaxtyping import Bool, Float, Int

from training.datasets.trajectory import Trajectory

SLOT_MINUTES = 15
SLOTS_PER_HOUR = 4

PerSlot = Float[np.ndarray, "slot subject"]
Mask = Bool[np.ndarray, "slot subject"]
Chances = Float[np.ndarray, "look subject"]


class Schedule(Enum):
    """When there is an opportunity to look."""

    ROUND = auto()  # about hourly, oftener in a crisis
    CHECK = auto()  # every fourth round
    DRAW = auto()  # blood, about every sixth hour


@dataclass(frozen=True)
class Look:
    """Things that are looked at together: their opportunities, and how often these are taken."""

    schedule: Schedule
    share: float  # of the subjects in whom it is ever looked at
    chance: float  # at each opportunity


LOOKS = {
    "rate": Look(Schedule.ROUND, 0.99, 0.93),
    "pressure": Look(Schedule.ROUND, 1.00, 0.75),
    "temperature": Look(Schedule.ROUND, 0.99, 0.35),
    "breathing": Look(Schedule.ROUND, 0.55, 0.70),
    "oximeter": Look(Schedule.ROUND, 0.50, 0.70),
    "urine": Look(Schedule.ROUND, 0.96, 0.60),
    "ventilator": Look(Schedule.ROUND, 1.00, 0.25),
    "fingerstick": Look(Schedule.ROUND, 1.00, 0.40),
    "coma": Look(Schedule.CHECK, 0.98, 0.95),
    "oxygen": Look(Schedule.CHECK, 0.95, 0.90),
    "gas": Look(Schedule.DRAW, 0.78, 0.85),
    "lactate": Look(Schedule.DRAW, 0.60, 0.60),
    "chemistry": Look(Schedule.DRAW, 0.99, 0.85),
    "count": Look(Schedule.DRAW, 0.98, 0.75),
}
LINE_SHARE = 0.6
SPARSE_SHARE = 0.15


@dataclass(frozen=True)
class Attention:
    """The minutes of the slots, and which looks are taken in each."""

    minutes: Int[np.ndarray, "slot subject"]
    looks: Mapping[str, Mask]


@dataclass(frozen=True)
class _Habits:
    """What stays the same in a subject's care."""

    round_slots: Int[np.ndarray, " subject"]
    round_phase: Int[np.ndarray, " subject"]
    draw_slots: Int[np.ndarray, " subject"]
    draw_phase: Int[np.ndarray, " subject"]
    has_line: Bool[np.ndarray, " subject"]
    away_start_hours: Float[np.ndarray, "absence subject"]
    away_end_hours: Float[np.ndarray, "absence subject"]
    measured: Bool[np.ndarray, "look subject"]
    stop_hours: Chances


def attend(
    trajectory: Trajectory, streams: Sequence[np.random.Generator], *, duration_hours: float
) -> Attention:
    """Decide when each subject is looked at, from one stream a subject.

    Slots begin at admission and lie wholly within the duration.
    """
    num_slots = int(duration_hours * SLOTS_PER_HOUR + 1e-9)
    habits = _habits(np.stack([stream.random(10 + 3 * len(LOOKS)) for stream in streams], axis=1))
    shape = (num_slots, 4 + len(LOOKS))
    chances = np.stack([stream.random(shape) for stream in streams], axis=-1)
    slots = np.arange(num_slots)[:, None]
    minutes = SLOT_MINUTES * slots + 2 + (11 * chances[:, 0]).astype(np.int64)
    hours = minutes / 60
    crisis = _crisis(trajectory, hours)
    opportunities = _opportunities(habits, slots, crisis, chances[:, 1:4])
    gone = (hours > habits.away_start_hours[:, None]) & (hours < habits.away_end_hours[:, None])
    present = ~gone.any(axis=0)
    looks = {
        name: opportunities[look.schedule]
        & (chances[:, 4 + row] < look.chance)
        & habits.measured[row]
        & (hours < habits.stop_hours[row])
        & present
        for row, (name, look) in enumerate(LOOKS.items())
    }
    return Attention(minutes, _reasons(looks, trajectory, hours, habits.has_line))


def _habits(uniforms: Float[np.ndarray, "chance subject"]) -> _Habits:
    sparse = uniforms[0] < SPARSE_SHARE
    away_start = 48.0 * uniforms[5:7]
    shares = np.array([look.share for look in LOOKS.values()])[:, None]
    by_look = uniforms[10:].reshape(3, len(LOOKS), -1)
    return _Habits(
        round_slots=np.where(sparse, 8 + 4 * (2 * uniforms[1]).astype(np.int64), 4),
        round_phase=(4 * uniforms[2]).astype(np.int64),
        draw_slots=np.where(sparse, 48, 24),
        draw_phase=(10 * uniforms[3]).astype(np.int64),
        has_line=uniforms[4] < LINE_SHARE,
        away_start_hours=away_start,
        away_end_hours=away_start + 4.0 * uniforms[7:9],
        measured=by_look[0] < shares,
        stop_hours=np.where(by_look[1] < 0.1, 6.0 + 42.0 * by_look[2], np.inf),
    )


def _crisis(trajectory: Trajectory, hours: PerSlot) -> Mask:
    pressure = trajectory.at(trajectory.levels["MAP"], hours)
    rate = trajectory.at(trajectory.levels["HR"], hours)
    saturation = trajectory.at(trajectory.levels["SaO2"], hours)
    crisis: Mask = (pressure < 62.0) | (rate > 125.0) | (saturation < 90.5)
    return crisis


def _opportunities(
    habits: _Habits,
    slots: Int[np.ndarray, "slot 1"],
    crisis: Mask,
    chances: Float[np.ndarray, "slot 3 subject"],
) -> dict[Schedule, Mask]:
    since = slots - habits.round_phase
    regular = (since >= 0) & (since % habits.round_slots == 0)
    checks = (since >= 0) & (since % (4 * habits.round_slots) == 0)
    since = slots - habits.draw_phase
    planned = (since >= 0) & (since % habits.draw_slots == 0)
    late = (5 * chances[:, 1]).astype(np.int64)  # slots; never early, so that a stay can be cut
    draws = crisis & (chances[:, 2] < 0.06)
    slot, subject = np.nonzero(planned)
    actual = slot + late[slot, subject]
    inside = actual < len(slots)
    draws[actual[inside], subject[inside]] = True
    return {
        Schedule.ROUND: regular | (crisis & (chances[:, 0] < 0.45)),
        Schedule.CHECK: checks,
        Schedule.DRAW: draws,
    }


def _reasons(
    looks: Mapping[str, Mask],
    trajectory: Trajectory,
    hours: PerSlot,
    has_line: Bool[np.ndarray, " subject"],
) -> dict[str, Mask]:
    """Leave out what there is no reason to look at: a ventilator that is not there."""
    ventilated = trajectory.at(trajectory.ventilated, hours) > 0.5
    on_insulin = trajectory.at(trajectory.insulin, hours) > 60.0
    on_oxygen = trajectory.at(trajectory.levels["FiO2"], hours) > 0.35
    return {
        **looks,
        "line": looks["pressure"] & has_line,
        "cuff": looks["pressure"] & ~has_line,
        "lactate": looks["lactate"] & looks["gas"],
        "ventilator": looks["ventilator"] & ventilated,
        "oxygen": (looks["oxygen"] | looks["gas"]) & (ventilated | on_oxygen),
        "glucose": looks["chemistry"] | (looks["fingerstick"] & on_insulin),
    }
