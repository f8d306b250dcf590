"""One question over real HTTP, shown to a person: the request, the answer, and how to repeat it.

The answer counts as right if every series and every query of the request has finite numbers with
ordered quantiles, or abstains without a number; not all may abstain.
"""

import json
import math
import shlex
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from service.server import BackgroundServer

_READY_WITHIN_SECONDS = 120.0
_POLL_SECONDS = 0.05
_TIMEOUT_SECONDS = 60.0
_MAX_ROWS = 24
_DEFAULT_PATH = "/v1/forecast"


class DemoError(Exception):
    """Raised when the demonstration cannot be shown, or the answer is not right."""


@dataclass(frozen=True)
class DemoRequest:
    """A body, the path to post it to, and the file with nothing but the body, if there is one."""

    path: str
    body: dict[str, Any]
    file: Path | None


def read_demo_request(file: Path) -> DemoRequest:
    """Read a body, or an object with `path` and `body`.

    Raises
    ------
    DemoError
        If the file is neither.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise DemoError(f"{file} is not JSON") from None
    if isinstance(content, dict) and {"path", "body"} == content.keys():
        return DemoRequest(content["path"], content["body"], None)
    if not isinstance(content, dict) or "series" not in content:
        raise DemoError(f"{file} must hold the body of a request, or an object with path and body")
    return DemoRequest(_DEFAULT_PATH, content, file)


def run_demo(
    server: BackgroundServer, request: DemoRequest, console: Console, *, keeps_serving: bool
) -> None:
    """Wait until the server is ready, ask, show, check; then serve on if wanted.

    Raises
    ------
    DemoError
        If the server does not get ready, or its answer is not right.
    """
    _wait_until_ready(server)
    console.print(_request_table(request))
    started = time.perf_counter()
    answer = _post(server.url + request.path, request.body)
    elapsed_ms = 1e3 * (time.perf_counter() - started)
    for table in _answer_tables(answer):
        console.print(table)
    _print_remarks(answer, console)
    model = answer["model"]
    console.print(
        f"Answered by {model['name']} {model['version']} ({model['sha256'][:12]}) in "
        f"{elapsed_ms:.1f} ms, {answer['timings_ms']['predict']:.1f} of them in the model."
    )
    console.print("\nThe same with curl:")
    console.print(
        f"  {_curl(server.url, request)}\n", soft_wrap=True, markup=False, highlight=False
    )
    faults = list(find_faults(request.body, answer))
    if faults:
        raise DemoError(f"the answer is not right: {'; '.join(faults[:5])}")
    if keeps_serving:
        console.print(f"Serving at {server.url} (documentation: {server.url}/docs). Ctrl-C stops.")
        try:
            server.wait()
        except KeyboardInterrupt:
            console.print("stopped")


def find_faults(body: dict[str, Any], answer: dict[str, Any]) -> Iterator[str]:
    """Yield what keeps an answer from being right; never a value of it."""
    if len(answer["series"]) != len(body["series"]):
        yield "the number of series differs from the request's"
        return
    for index, (asked, answered) in enumerate(zip(body["series"], answer["series"], strict=True)):
        if "error" in answered:
            yield f"series[{index}]: {answered['error']['code']}"
        elif asked.get("query"):
            yield from _query_faults(f"series[{index}]", asked["query"], answered)


def _query_faults(at: str, query: dict[str, Any], answered: dict[str, Any]) -> Iterator[str]:
    if answered["query_times"] != query["times"]:
        yield f"{at}: the query times differ from the request's"
    statuses = [one for variable in answered["variables"].values() for one in variable["status"]]
    if all(status == "abstained" for status in statuses):
        yield f"{at}: no variable is answered"
    for name, variable in answered["variables"].items():
        ordered = sorted(variable["quantiles"].items(), key=lambda item: float(item[0]))
        columns = [variable["mean"], variable["standard_deviation"], *(row for _, row in ordered)]
        rows = list(zip(*columns, strict=True))
        if len(rows) != len(query["times"]):
            yield f"{at}.{name}: not every query time is answered"
        for status, (mean, deviation, *quantiles) in zip(variable["status"], rows, strict=False):
            if status == "abstained":
                if any(one is not None for one in (mean, deviation, *quantiles)):
                    yield f"{at}.{name}: an abstained answer has a number"
            elif any(
                one is None or not math.isfinite(one) for one in (mean, deviation, *quantiles)
            ):
                yield f"{at}.{name}: an answer is not a finite number"
            elif quantiles != sorted(quantiles):
                yield f"{at}.{name}: quantiles are not ordered"


def _wait_until_ready(server: BackgroundServer) -> None:
    deadline = time.monotonic() + _READY_WITHIN_SECONDS
    while time.monotonic() < deadline:
        if not server.is_running:
            raise DemoError("the server stopped before it was ready")
        try:
            with urllib.request.urlopen(f"{server.url}/health/ready", timeout=_TIMEOUT_SECONDS):
                return
        except urllib.error.HTTPError as error:
            if json.load(error)["code"] != "not_ready":
                raise DemoError("the model could not be loaded") from None
        except OSError:
            pass  # not listening yet
        time.sleep(_POLL_SECONDS)
    raise DemoError(f"the server was not ready within {_READY_WITHIN_SECONDS:.0f} seconds")


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        problem = json.load(error)
        place = f" at {problem['path']}" if "path" in problem else ""
        raise DemoError(
            f"refused with {problem['status']} {problem['code']}{place}: {problem['detail']}"
        ) from None


def _request_table(request: DemoRequest) -> Table:
    table = Table(title=f"POST {request.path}", title_justify="left")
    for heading in ("subject", "observations", "from", "to", "asked at", "asked for"):
        table.add_column(heading)
    for index, series in enumerate(request.body["series"]):
        names, times = _columns(series["observations"])
        counts = ", ".join(f"{name} {count}" for name, count in Counter(names).most_common(6))
        query = series.get("query") or {"times": []}
        table.add_row(
            str(series.get("subject_id", index)),
            f"{len(names)} ({counts}{', ...' if len(set(names)) > 6 else ''})",
            _time(min(times, default="")),
            _time(max(times, default="")),
            f"{len(query['times'])} times",
            ", ".join(query.get("variables") or ["what was observed"]),
        )
    return table


def _columns(observations: Any) -> tuple[list[str], list[Any]]:
    if isinstance(observations, dict):
        return observations["variable"], observations["time"]
    return [row["variable"] for row in observations], [row["time"] for row in observations]


def _answer_tables(answer: dict[str, Any]) -> Iterator[Table]:
    """Give one table a series: every variable at up to `_MAX_ROWS` times, median and band."""
    for series in answer["series"]:
        if "error" in series:
            continue
        table = Table(title=f"answer for {series['subject_id']}", title_justify="left")
        table.add_column("time", justify="right")
        for name, variable in series["variables"].items():
            table.add_column(f"{name} [{variable['unit']}]".replace("[", r"\["), justify="right")
        for row, moment in list(enumerate(series["query_times"]))[:_MAX_ROWS]:
            cells = (_cell(variable, row) for variable in series["variables"].values())
            table.add_row(_time(moment), *cells)
        yield table


def _cell(variable: dict[str, Any], row: int) -> str:
    """Write the median, or what is closest to it, between the outermost quantiles."""
    levels = sorted(variable["quantiles"], key=float)
    low, high = (variable["quantiles"][level][row] for level in (levels[0], levels[-1]))
    middle = variable["quantiles"][min(levels, key=lambda level: abs(float(level) - 0.5))][row]
    if middle is None:
        return "abstained"
    status = variable["status"][row]
    return f"{middle:.4g} ({low:.4g} to {high:.4g}){'' if status == 'ok' else f' {status}'}"


def _print_remarks(answer: dict[str, Any], console: Console) -> None:
    for series in answer["series"]:
        for remark in series.get("warnings", []):
            line = f"warning {remark['code']} at {remark['path']}: {remark['message']}"
            console.print(line, markup=False, highlight=False)


def _time(moment: float | str) -> str:
    return moment if isinstance(moment, str) else f"{moment:.2f} h"


def _curl(url: str, request: DemoRequest) -> str:
    data = f"@{request.file}" if request.file else json.dumps(request.body)
    return (
        f"curl --silent {url}{request.path} --header 'Content-Type: application/json' "
        f"--data-binary {shlex.quote(data)}"
    )
