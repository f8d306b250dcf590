"""Decoding a batch of patients: ours and the peers side by side, forward and training step."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.benchmarks.ode import own, peers
from tests.benchmarks.ode.bar import Bar
from tests.benchmarks.ode.bounded_run import BoundedRun
from tests.benchmarks.ode.contender import Contender
from tests.benchmarks.ode.own import Goal
from tests.benchmarks.ode.timing import Timing, take_turns
from tests.benchmarks.ode.workload import ATOL, RTOL, Workload
from tests.benchmarks.table import Table

_MANY = 100
"""With more patients than this, a released training step is run once, apart and bounded."""

_NOTES = (
    f"CPU milliseconds: median (smallest–largest). Peers at rtol {RTOL:g}, atol {ATOL:g}, as latent "
    "ODE decodes; ours at the coarsest setting at which neither error is larger than any peer's "
    "(found with the exact answer at hand), and finer. State error: largest absolute one. Gradient "
    "error: relative, of y0 and all parameters. Exact: torchdiffeq's dopri5 in float64 at 1e-9."
)


@dataclass(frozen=True)
class Decoding:
    """The contenders of one batch size, and what each took."""

    workload: Workload
    contenders: dict[str, Contender]
    forward: dict[str, Timing]
    training: dict[str, Timing]
    released: BoundedRun | None

    @classmethod
    def run(cls, num_patients: int, num_runs: int, released_limit: float | None) -> "Decoding":
        """Time all. `released_limit`: CPU seconds for one released training step; None: leave out."""
        workload = Workload.draw(num_patients)
        contenders = _contenders(workload)
        everything = {key: one.forward for key, one in contenders.items()}
        forward = take_turns(everything, num_runs)
        steps = {key: one.training_step for key, one in contenders.items()}
        bounded = None
        if released_limit is None or num_patients > _MANY:
            del steps["released"]
        if released_limit is not None and num_patients > _MANY:
            bounded = BoundedRun.of_released_step(num_patients, released_limit)
        return cls(workload, contenders, forward, take_turns(steps, num_runs), bounded)

    def table(self) -> Table:
        """Return a row for each contender."""
        size = len(self.workload.y0)
        header = ("", "forward", "training step", "state error", "gradient error")
        return Table(
            f"{size} patients, {self.workload.times.shape[1]} own query times each",
            f"{_NOTES} {self._like_for_like()}",
            header,
            [self._row(key) for key in self.contenders],
        )

    def _like_for_like(self) -> str:
        """Say what is left of the ratios where both sides choose their steps."""
        ratios = (
            f"{timings[peer].median / timings['adaptive'].median:.2g} × {peer}'s speed {what}"
            for what, timings in (("forward", self.forward), ("in training", self.training))
            for peer in ("torchode", "diffrax")
        )
        return f"Adaptive against adaptive, at no larger error, ours has {', '.join(ratios)}."

    def _row(self, key: str) -> Sequence[str]:
        contender, exact = self.contenders[key], self.workload.exact
        # The patch changes no figure, and the released gradient would take as long again.
        twin = self.contenders["patched"] if key == "released" else contender
        return (
            contender.name,
            str(self.forward[key]),
            self._training(key),
            f"{contender.state_error(exact):.1e}",
            f"{twin.gradient_error(exact):.1e}",
        )

    def _training(self, key: str) -> str:
        if key in self.training:
            return str(self.training[key])
        if key == "released" and self.released is not None:
            return str(self.released)
        return "–"

    def bars(self) -> list[Bar]:
        """Return the issue's ratios at this batch size."""
        large = len(self.workload.y0) > _MANY
        forward = {"released": 6 if large else 18, "torchode": 1.4 if large else 2.5}
        training = {
            "patched": 12 if large else 30,
            "torchode": 1.8,
            "diffrax": 3 if large else 1.1,
        }
        return [
            self._released_bar(),
            *(self._bar("training step", self.training, peer, x) for peer, x in training.items()),
            *(self._bar("forward", self.forward, peer, x) for peer, x in forward.items()),
            self._bar("forward", self.forward, "diffrax", 2, ours="fused"),
            self._bar("training step", self.training, "diffrax", 5, ours="fused"),
        ]

    def _bar(
        self, what: str, timings: dict[str, Timing], peer: str, bound: float, ours: str = "matched"
    ) -> Bar:
        found = None
        if ours in timings:
            found = timings[peer].median / timings[ours].median
        return Bar(self._claim(what, peer, ours), bound, found)

    def _claim(self, what: str, peer: str, ours: str = "matched") -> str:
        kind = "fused kernel" if ours == "fused" else "plain torch"
        return f"{what}, {kind}, against {self.contenders[peer].name}, {len(self.workload.y0)}"

    def _released_bar(self) -> Bar:
        claim, ours = self._claim("training step", "released"), self.training["matched"].median
        if self.released is not None:
            found = self.released.cpu_seconds / ours
            return Bar(claim, 250, found, is_lower_bound=not self.released.finished)
        if "released" in self.training:
            return Bar(claim, 250, self.training["released"].median / ours)
        return Bar(claim, 250, None)


def _contenders(workload: Workload) -> dict[str, Contender]:
    found = {
        "released": peers.torchdiffeq_as_released(workload),
        "patched": peers.torchdiffeq_patched(workload),
        "torchode": peers.torchode_dopri5(workload),
        "diffrax": peers.diffrax_dopri5(workload),
    }
    rivals = [one for key, one in found.items() if key != "released"]
    goal = Goal.of(workload, rivals)
    steps = goal.fewest_steps(workload)
    found |= {
        "matched": own.fixed_grid(workload, steps, "direct"),
        "checkpoint": own.fixed_grid(workload, steps, "checkpoint"),
        "finer": own.fixed_grid(workload, 2 * steps, "checkpoint"),
        "adaptive": own.adaptive(workload, goal.loosest_tolerance(workload)),
        "same tolerance": own.adaptive(workload, RTOL),
        "tight": own.adaptive(workload, 1e-6),
    }
    for key, keep_stages in (("fused", True), ("fused checkpoint", False)):
        fused = own.fused(workload, steps, keep_stages=keep_stages)
        if fused is None:
            print("No fused kernel: `python -m model.ode.kernel` builds it.")
            break
        found[key] = fused
    return found
