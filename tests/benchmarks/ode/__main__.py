"""`python -m tests.benchmarks.ode`: the solver beside its peers, and each bar met or missed."""

import argparse
import os
import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Measure, print, and with --out write the result file."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.ode", description=__doc__)
    parser.add_argument("--runs", type=int, default=9, help="runs of each contender")
    parser.add_argument("--quick", action="store_true", help="no released torchdiffeq training")
    parser.add_argument(
        "--limit", type=float, default=600, help="CPU seconds for its one step with 512 patients"
    )
    parser.add_argument("--out", type=Path, help="write the Markdown here too")
    parser.add_argument("--picture", type=Path, help="only draw adaptive depth (SVG), here")
    given = parser.parse_args(arguments)
    _use_one_core()
    if given.picture is not None:
        from tests.benchmarks.ode.depth import Depth
        from tests.benchmarks.ode.depth_picture import draw

        given.picture.write_text(draw(Depth.run()), encoding="utf-8")
        return
    from tests.benchmarks.ode.comparison import compare

    text = compare(given.runs, None if given.quick else given.limit, arguments)
    if given.out is not None:
        given.out.write_text(text, encoding="utf-8")


def _use_one_core() -> None:
    """Before anything that starts threads is imported: one core for this process and its children."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)


if __name__ == "__main__":
    main(sys.argv[1:])
