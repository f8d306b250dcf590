"""`python -m tests.benchmarks.latent_ode_reference`: training beside the reference latent ODE.

One thread for both, the same records, variables and validation windows. CPU time counts what a
second thread of ours does too.
"""

import argparse
import os
import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Train both for a bounded time and print one table."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
    from tests.benchmarks.latent_ode_reference.comparison import compare

    print(compare(_parse(arguments)))


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.latent_ode_reference", description=__doc__
    )
    parser.add_argument("--data", type=Path, required=True, help="MEDS data set")
    parser.add_argument("--minutes", type=float, default=2.0, help="CPU minutes for each training")
    parser.add_argument("--task", choices=("forecast", "imputation"), default="forecast")
    parser.add_argument("--grid-hours", type=float, nargs="+", default=[1.0])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[50], help="the reference's")
    parser.add_argument(
        "--observation-deviation", type=float, default=0.1, help="the reference's, standardized"
    )
    parser.add_argument("--preset", default="default", help="ours")
    parser.add_argument("--set", dest="overrides", action="append", default=[], help="ours")
    parser.add_argument("--only", choices=("reference", "ours"), help="leave the other one out")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
