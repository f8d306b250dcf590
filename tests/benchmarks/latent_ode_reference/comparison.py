"""Both trainings and the table about them."""

import argparse
from collections.abc import Sequence

from tests.benchmarks.latent_ode_reference import ours
from tests.benchmarks.latent_ode_reference.course import Course, warm_up
from tests.benchmarks.latent_ode_reference.reference import Reference, Settings
from tests.catalogues import CHALLENGE
from training.config import configure
from training.fit import prepare
from training.tasks import Task
from training.validation import Validation

ASKED_RATIO = 20.0


def compare(given: argparse.Namespace) -> str:
    """Return the table; each training is printed when it ends."""
    warm_up()
    task, cpu_seconds = Task(given.task), 60 * given.minutes
    config = configure(given.preset, given.overrides, seed=given.seed)
    prepared = prepare(given.data)
    validation = Validation.of(
        prepared.tuning, CHALLENGE, prepared.normalization, config.horizon_hours
    )
    window = validation.forecast if task is Task.FORECAST else validation.imputation
    courses: list[Course] = []
    for grid_hours in [] if given.only == "ours" else given.grid_hours:
        for batch_size in given.batch_sizes:
            settings = Settings(grid_hours, batch_size, given.observation_deviation, given.seed)
            reference = Reference(
                prepared.train,
                window,
                prepared.normalization,
                task,
                config.horizon_hours,
                settings,
            )
            courses.append(_shown(reference.train(cpu_seconds)))
    own = None
    if given.only != "reference":
        own = _shown(ours.train(prepared, validation, config, task, cpu_seconds))
    return _table(courses, own)


def _shown(course: Course) -> Course:
    print(
        f"{course.name}: {course.num_records:,} records in {course.cpu_seconds:.0f} CPU seconds, "
        f"{course.records_per_second:.1f} a second, best error {course.best_error:.4f} of "
        f"{len(course.points)} validations",
        flush=True,
    )
    return course


def _table(references: Sequence[Course], own: Course | None) -> str:
    lines = [
        "| training | records a second | validation error | ours faster by | ours reaches its error in |",
        "| --- | --: | --: | --: | --: |",
    ]
    for course in [*references, *([own] if own else [])]:
        cells = [course.name, f"{course.records_per_second:.1f}", f"{course.best_error:.4f}"]
        lines.append(f"| {' | '.join([*cells, *_compared(course, own)])} |")
    return "\n".join([*lines, "", *_verdicts(references, own)])


def _compared(course: Course, own: Course | None) -> tuple[str, str]:
    if own is None or course is own:
        return "", ""
    seconds = own.seconds_to(course.best_error)
    reached = "never" if seconds is None else f"{seconds:.1f} s of {course.cpu_seconds:.0f} s"
    return f"{own.records_per_second / course.records_per_second:.1f}x", reached


def _verdicts(references: Sequence[Course], own: Course | None) -> list[str]:
    if own is None:
        return []
    verdicts = []
    for course in references:
        ratio = own.records_per_second / course.records_per_second
        is_met = ratio >= ASKED_RATIO and own.best_error <= course.best_error
        verdicts.append(
            f"- asked {ASKED_RATIO:g}x the records a second of `{course.name}` at no larger error: "
            f"{ratio:.1f}x, error {own.best_error:.4f} against {course.best_error:.4f}: "
            f"{'met' if is_met else '**missed**'}"
        )
    return verdicts
