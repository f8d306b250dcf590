"""The published table with our rows in it, as Markdown, and everything as JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from training.protocols.judge import Judgment
from training.protocols.protocol import Protocol
from training.protocols.published import STATUS_TEXT, PublishedRow, published_rows
from training.protocols.scores import Score

_COLUMNS = {
    "mtan-interpolation": ("mse_all", "mse_held_out", "mse_rubanova"),
    "tpatchgnn-forecast": ("mse", "mae", "mae_median", "mse_without_worst_stay"),
    "grafiti-forecast": ("mse", "crps", "mnll", "mae"),
    "csdi-imputation": ("mae", "rmse", "crps"),
    "saits-imputation": ("mae", "rmse", "mse", "mre"),
}
_UNITS = {1.0: "", 1e-2: ", e-2", 1e-3: ", e-3"}
_UNIT_OF = {
    "mtan-interpolation": dict.fromkeys(_COLUMNS["mtan-interpolation"], 1e-3),
    "tpatchgnn-forecast": {
        "mse": 1e-3,
        "mae": 1e-2,
        "mae_median": 1e-2,
        "mse_without_worst_stay": 1e-3,
    },
    "saits-imputation": {"mre": 1e-2},
}
_NONE = "-"


def markdown(protocol: Protocol, judgments: Sequence[Judgment]) -> str:
    """Write the published rows, ours below them, and how ours compare with least squares."""
    columns = _COLUMNS[protocol.name]
    units = _UNIT_OF.get(protocol.name, {})
    names = [f"{column}{_UNITS[units.get(column, 1.0)]}" for column in columns]
    test = judgments[0].scores
    published = published_rows(protocol)
    lines = [
        f"# {protocol.name}, sets {protocol.sets}, {protocol.options_text}",
        "",
        f"Test: {test.num_series} stays, {test.num_targets} targets, {test.num_variables} "
        f"variables. Masks {protocol.mask_sha256[:16]}.",
        "",
        f"| model | {' | '.join(names)} | sets | status |",
        "|---|" + "---|" * (len(columns) + 2),
        *(_published_line(row, columns, units) for row in published),
        *(_own_line(one, columns, units, protocol.sets) for one in judgments),
        "",
        "; ".join(f"{letter}: {text}" for letter, text in STATUS_TEXT.items())
        + "; M: measured here. Rows of other sets are on other records.",
        "",
        *_ratio_lines(judgments),
        *_calibration_lines(judgments),
    ]
    return "\n".join(lines).rstrip() + "\n"


def as_json(protocol: Protocol, judgments: Sequence[Judgment]) -> dict[str, Any]:
    """Return everything that the table rests on."""
    return {
        "protocol": protocol.name,
        "sets": protocol.sets,
        "seed": protocol.seed,
        "options": dict(protocol.options),
        "mask_sha256": protocol.mask_sha256,
        "methods": [
            {
                "name": one.name,
                "num_series": one.scores.num_series,
                "num_targets": one.scores.num_targets,
                "num_variables": one.scores.num_variables,
                "scores": {score.name: score.value for score in one.scores},
                "ratio_to_least_squares": {
                    named.metric: asdict(named.ratio) for named in one.ratios
                },
            }
            for one in judgments
        ],
        "published": [asdict(row) for row in published_rows(protocol)],
    }


def _published_line(row: PublishedRow, columns: Sequence[str], units: dict[str, float]) -> str:
    cells, statuses = [], []
    for column in columns:
        value = row.find(column)
        if value is None:
            cells.append(_NONE)
            continue
        unit = units.get(column, 1.0)
        spread = "" if value.spread is None else f" ± {_number(value.spread, unit)}"
        cells.append(f"{_number(value.value, unit)}{spread}")
        statuses.append(value.status)
    status = "/".join(dict.fromkeys(statuses))
    return f"| {row.model} | {' | '.join(cells)} | {row.sets} | {status} |"


def _own_line(
    judgment: Judgment, columns: Sequence[str], units: dict[str, float], sets: str
) -> str:
    cells = [
        _number(judgment.scores[column], units.get(column, 1.0))
        if column in judgment.scores
        else _NONE
        for column in columns
    ]
    return f"| **{judgment.name}** | {' | '.join(cells)} | {sets} | M |"


def _number(value: float, unit: float) -> str:
    """Write a value in its unit: three decimals where the unit is 1, two where it is not."""
    return f"{value / unit:.3f}" if unit == 1.0 else f"{value / unit:.2f}"


def _ratio_lines(judgments: Sequence[Judgment]) -> Iterator[str]:
    compared = [one for one in judgments if one.ratios]
    if not compared:
        return
    yield "Ratio to least squares on the same targets [95 % of resampled stays]; the last column"
    yield "leaves out the stay that weighs most in least squares:"
    yield ""
    yield "| method | metric | ratio | without the worst stay |"
    yield "|---|---|---|---|"
    for one in compared:
        for named in one.ratios:
            ratio = named.ratio
            yield f"| {one.name} | {named.metric} | {ratio.text} | {ratio.without_worst:.3f} |"
    yield ""


def _calibration_lines(judgments: Sequence[Judgment]) -> Iterator[str]:
    for one in judgments:
        found = [score for score in one.scores if score.name.startswith(("coverage", "width"))]
        if found:
            yield f"{one.name}: " + ", ".join(_calibration(score) for score in found)


def _calibration(score: Score) -> str:
    text = f"{score.value:.1%}" if score.name.startswith("coverage") else f"{score.value:.4g}"
    return f"{score.name.replace('_', ' ')} {text}"
