"""The picture of adaptive depth, as SVG: both axes logarithmic, the labels beside what they name."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tests.benchmarks.ode.depth import Depth
from training.report.chart import FONT, GRID, INK, MODEL_COLOR, MUTED, RULE, TARGET_COLOR

_WIDTH, _HEIGHT = 960, 540
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 24, 28, 68


@dataclass(frozen=True)
class LogAxis:
    """From a value to a place on the page."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Return the coordinate."""
        part = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + part * (self.end - self.start)

    def decades(self) -> list[int]:
        """Return the powers of ten within."""
        first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
        return [10**power for power in range(first, last + 1)]


def draw(depth: Depth) -> str:
    """Return the picture."""
    x = LogAxis(
        float(depth.stiffness.min()) / 1.25,
        float(depth.stiffness.max()) * 1.25,
        _LEFT,
        _WIDTH - _RIGHT,
    )
    y = LogAxis(50, 2 * depth.shared, _HEIGHT - _BOTTOM, _TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'font-family="{FONT.replace(chr(34), chr(39))}" font-size="13" fill="{INK}">',
        "<title>Evaluations of the vector field for each patient, by the stiffness of the "
        "patient's trajectory</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        *_frame(x, y),
        *_marks(depth, x, y),
        *_labels(depth, x, y),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _frame(x: LogAxis, y: LogAxis) -> Iterable[str]:
    for value in x.decades():
        yield _line(x.place(value), y.start, x.place(value), y.end, GRID)
        yield _text(x.place(value), y.start + 20, f"{value:,}", MUTED, "middle")
    for value in y.decades():
        yield _line(x.start, y.place(value), x.end, y.place(value), GRID)
        yield _text(x.start - 10, y.place(value) + 4, f"{value:,}", MUTED, "end")
    yield _line(x.start, y.start, x.end, y.start, RULE)
    middle = (x.start + x.end) / 2
    title = "stiffness of the trajectory: largest |eigenvalue| of the Jacobian × 48 hours"
    yield _text(middle, _HEIGHT - 16, title, MUTED, "middle")
    across = (y.start + y.end) / 2
    yield (
        f'<text transform="translate(20 {across:.0f}) rotate(-90)" text-anchor="middle" '
        f'fill="{MUTED}">evaluations of the vector field, per patient</text>'
    )


def _marks(depth: Depth, x: LogAxis, y: LogAxis) -> Iterable[str]:
    shared = y.place(depth.shared)
    yield _line(x.start, shared, x.end, shared, INK, dashes="6 5")
    rows = zip(
        depth.stiffness.tolist(),
        depth.adaptive.tolist(),
        depth.explicit_only.tolist(),
        depth.moved.tolist(),
        strict=True,
    )
    for stiffness, adaptive, explicit, moved in rows:
        across = x.place(stiffness)
        if moved:
            yield _dot(across, y.place(explicit), f'fill="none" stroke="{RULE}"', 3)
            yield _diamond(across, y.place(adaptive))
        else:
            yield _dot(across, y.place(adaptive), f'fill="{MODEL_COLOR}" fill-opacity="0.75"', 3.5)


def _labels(depth: Depth, x: LogAxis, y: LogAxis) -> Iterable[str]:
    shared = y.place(depth.shared)
    left = x.start + 12
    theirs = f"torchdiffeq, one step for all: {depth.shared:,} for every patient"
    yield _text(left, shared + 22, theirs, INK)
    lowest = y.place(float(depth.adaptive[~depth.moved].min()))
    yield _text(left, lowest + 26, "dopri5, each patient's own steps", MODEL_COLOR)
    right = x.end - 8
    bottom = y.place(float(depth.adaptive[depth.moved].double().min()))
    yield _text(right, bottom + 26, "moved to Radau by itself", TARGET_COLOR, "end")
    stiffest = depth.stiffness.argsort()[-24]
    yield _text(
        x.place(float(depth.stiffness[stiffest])) - 12,
        y.place(float(depth.explicit_only[stiffest])),
        "the same patients, had they stayed with dopri5",
        MUTED,
        "end",
    )


def _line(x0: float, y0: float, x1: float, y1: float, color: str, *, dashes: str = "") -> str:
    style = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" stroke="{color}"{style}/>'


def _text(x: float, y: float, text: str, color: str, anchor: str = "start") -> str:
    halo = 'stroke="#fff" stroke-width="5" paint-order="stroke"'
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" text-anchor="{anchor}" {halo}>{text}</text>'
    )


def _dot(x: float, y: float, style: str, radius: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" {style}/>'


def _diamond(x: float, y: float) -> str:
    return (
        f'<path d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z" fill="{TARGET_COLOR}" fill-opacity="0.8"/>'
    )
