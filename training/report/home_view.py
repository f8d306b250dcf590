"""How much worse than at home: sentence, chart and table of a `HomeComparison`."""

import math
from html import escape

import plotly.graph_objects as go

from training.home import HomeComparison, HomeScore
from training.report.chart import INK, MODEL_COLOR, MUTED, Chart, style
from training.report.labels import enumeration, number, percent
from training.report.tables import table

_ROW_PIXELS = 22
_FRAME_PIXELS = 110
# With fewer targets than this in either place a ratio may be chance.
_FEW_TARGETS = 100


def home_sentence(home: HomeComparison) -> str:
    """Say how much worse the answers are here, and what cannot be compared."""
    if not home.comparable:
        return "No variable has targets both here and at home, so nothing can be compared."
    worst = next((one for one in home.comparable if not _is_few(one)), home.comparable[0])
    parts = [
        f"Over the {len(home.comparable)} variables with targets in both places the mean absolute "
        f"error is {number(home.mean('error', is_home=False))} here and "
        f"{number(home.mean('error', is_home=True))} on the held-out records of the training data: "
        f"{_change(home.error_ratio)}, and {_change(home.median_error_ratio)} for the median variable; "
        f"the CRPS is {_change(home.crps_ratio)}.",
        "The error of per-variable least squares, fitted at home too, is "
        f"{_change(home.least_squares_error_ratio)}.",
        f"Farthest off is {worst.variable.name}: {number(worst.error_ratio, 2)} times its error at "
        f"home, on {worst.here.num_targets:,} targets here.",
    ]
    if home.absent_here:
        parts.append(f"Without data here: {enumeration(home.absent_here)}.")
    if home.absent_home:
        parts.append(f"Without data at home: {enumeration(home.absent_home)}.")
    return " ".join(parts)


def home_chart(home: HomeComparison) -> Chart:
    """Draw the ratio of the errors by variable."""
    scores = home.comparable
    names = [score.variable.name for score in scores]
    figure = go.Figure()
    for label, symbol, color, ratios in (
        ("mean absolute error", "circle", MODEL_COLOR, [score.error_ratio for score in scores]),
        ("CRPS", "diamond", MUTED, [score.crps_ratio for score in scores]),
    ):
        few = [_is_few(one) for one in scores]
        figure.add_trace(
            go.Scatter(
                x=[None if math.isnan(ratio) else ratio for ratio in ratios],
                y=names,
                mode="markers",
                name=label,
                marker={
                    "symbol": [f"{symbol}-open" if is_few else symbol for is_few in few],
                    "size": 9,
                    "color": color,
                    "line": {"width": 1.6},
                },
                customdata=[score.here.num_targets for score in scores],
                hovertemplate=(
                    f"%{{y}}, {label}: %{{x:.2f}} times, %{{customdata}} targets<extra></extra>"
                ),
            )
        )
    figure.add_vline(x=1, line={"color": INK, "width": 1, "dash": "dot"})
    style(figure, height=_FRAME_PIXELS + _ROW_PIXELS * len(scores))
    figure.update_yaxes(range=[len(names) - 0.4, -0.6])
    figure.update_xaxes(title_text="here / at home", rangemode="tozero")
    caption = (
        "Errors here divided by errors on the held-out records of the training data, in the same "
        "standardized units; right of 1 the model is worse here. Hollow: fewer than "
        f"{_FEW_TARGETS} targets in one of the places."
    )
    return Chart("home", figure, "Errors here relative to home by variable", caption)


def home_table(home: HomeComparison) -> str:
    """Return one row for each comparable variable."""
    rows = [
        [
            escape(one.variable.name),
            f"{one.here.num_targets:,}",
            f"{one.home.num_targets:,}",
            number(one.here.error),
            number(one.home.error),
            number(one.error_ratio, 2),
            number(one.crps_ratio, 2),
            percent(one.here.coverage_90, 1),
            percent(one.home.coverage_90, 1),
        ]
        for one in home.comparable
    ]
    head = ["Variable", "Targets here", "at home", "Error here", "at home", "Ratio", "CRPS ratio"]
    return table(
        [*head, "In 90&nbsp;% here", "at home"],
        rows,
        caption="The model here and on the held-out records of its training data, standardized.",
        classes="wide sortable",
    )


def _change(ratio: float) -> str:
    if math.isnan(ratio):
        return "not comparable"
    return f"{percent(abs(ratio - 1))} {'larger' if ratio >= 1 else 'smaller'}"


def _is_few(score: HomeScore) -> bool:
    return min(score.here.num_targets, score.home.num_targets) < _FEW_TARGETS
