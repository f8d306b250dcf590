"""What issue 3 asks for, beside what was measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """One claim: a ratio or a size, the bound on it, and the figure found.

    Parameters
    ----------
    found
        None where it was not measured.
    is_lower_bound
        The figure is at least this: a peer was stopped before it was done.
    """

    claim: str
    bound: float
    found: float | None
    unit: str = "×"
    at_most: bool = False
    is_lower_bound: bool = False

    @property
    def verdict(self) -> str:
        """Met or missed."""
        if self.found is None:
            return "not measured"
        met = self.found <= self.bound if self.at_most else self.found >= self.bound
        if not met and self.is_lower_bound:
            return "not decided"
        return "met" if met else "**missed**"

    def cells(self) -> tuple[str, str, str, str]:
        """Return the row of a table."""
        relation = "≤" if self.at_most else "≥"
        if self.found is None:
            return self.claim, f"{relation} {_figure(self.bound)} {self.unit}", "–", self.verdict
        prefix = "≥ " if self.is_lower_bound else ""
        return (
            self.claim,
            f"{relation} {_figure(self.bound)} {self.unit}",
            f"{prefix}{_figure(self.found)} {self.unit}",
            self.verdict,
        )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
