"""Where the time of a request goes outside the network: Python's profiler, added up by stage."""

import cProfile
from collections.abc import Iterable, Mapping
from types import CodeType

from model.runtime.predictor import Predictor, Request

# Stage: file and functions whose time, with all that they call, it is.
_STAGES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "network": (("runtime/onnx_network.py", "run"), ("runtime/torch_network.py", "run")),
    "build_batch": (("data/batch.py", "build_batch"),),
    "moments": (("runtime/mixture.py", "moments"),),
    "quantiles": (("runtime/mixture.py", "quantiles"),),
    "calibration": (
        ("calibration/cells.py", "of"),
        ("calibration/tables.py", "variance_factor"),
        ("calibration/tables.py", "levels"),
        ("calibration/tables.py", "population_core"),
        ("calibration/tables.py", "held_out_subjects"),
        ("calibration/tables.py", "is_uninformative"),
        ("calibration/tables.py", "unusualness"),
        ("runtime/mixture.py", "cdf"),
    ),
}
_DECODE = (("runtime/decoding.py", "decode"),)
_WHOLE = (("runtime/mixture_predictor.py", "predict"),)
REST_OF_DECODE = "decode, the rest"
REST = "the rest"
NAMES = (*_STAGES, REST_OF_DECODE, REST)


def stage_shares(
    predictor: Predictor, request: Request, *, num_requests: int
) -> Mapping[str, float]:
    """Return the share of each stage in the whole time."""
    profiler = cProfile.Profile()
    for _ in range(num_requests):
        profiler.runcall(predictor.predict, request)
    entries = [
        (entry.code.co_filename, entry.code.co_name, entry.totaltime)
        for entry in profiler.getstats()
        if isinstance(entry.code, CodeType)
    ]

    def total(functions: Iterable[tuple[str, str]]) -> float:
        return sum(
            seconds
            for file, name, seconds in entries
            if any(name == function and file.endswith(end) for end, function in functions)
        )

    seconds = {name: total(functions) for name, functions in _STAGES.items()}
    decode, whole = total(_DECODE), total(_WHOLE)
    seconds[REST_OF_DECODE] = decode - seconds["network"] - seconds["build_batch"]
    seconds[REST] = whole - sum(seconds.values())
    return {name: one / whole for name, one in seconds.items()}
