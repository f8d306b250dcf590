"""Dense output of the Adams method: each step with its own polynomial.

Between t_n and t_{n+1} the answer is y_n plus the integral of the polynomial through the last
`order` derivatives, the one at t_{n+1} included, plus the step's defect (the corrector used the
predicted derivative there) times 3 theta^2 - 2 theta^3. So value and slope are continuous from
step to step, and the error is of the method's own order (after Watts, A smoother interpolant for
DE/STEP, INTRP and DEABM, SAND84-0293, 1984, who adds another polynomial).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from model.ode.adams.coefficients import (
    basis_integrals,
    corrector_weights,
    distinct_places,
    history_depth,
)

# So many queries at a time stay in the cache.
_QUERIES_AT_ONCE = 4096


@dataclass(frozen=True)
class AdamsDenseOutput:
    """The solution at the knots and between them.

    Parameters
    ----------
    times, derivatives
        May begin with knots before the first one of `states`, which a multistep method needs.
    orders
        Of the step that begins at each knot; 0 at the last one, and for a jump or padding. There
        the solution is the tangent.
    defects
        By how much one more correction would miss the state at the end of each step.
    """

    times: Float[Tensor, "past_knot sample"]
    orders: Int64[Tensor, "knot sample"]
    states: Float[Tensor, "knot sample state"]
    derivatives: Float[Tensor, "past_knot sample state"]
    defects: Float[Tensor, "step sample state"]

    def evaluate_at(
        self,
        times: Float[Tensor, " query"],
        samples: Int64[Tensor, " query"],
        knots: Int64[Tensor, " query"],
    ) -> Float[Tensor, "query state"]:
        """Return the state of sample `samples[i]` at `times[i]`, which lies after `knots[i]`."""
        parts = (
            self._evaluate(*part)
            for part in zip(
                *(column.split(_QUERIES_AT_ONCE) for column in (times, samples, knots)), strict=True
            )
        )
        return torch.cat(list(parts))

    def _evaluate(self, times: Tensor, samples: Tensor, knots: Tensor) -> Tensor:
        num_samples = self.states.shape[1]
        order = self.orders[knots, samples]
        still = order == 0
        here = knots * num_samples + samples
        past = len(self.times) - len(self.states)
        now = here + past * num_samples
        # Rows that count for nothing must be the sample's own: a weight of zero times NaN is NaN.
        after = torch.where(now + num_samples < self.times.numel(), now + num_samples, now)
        depth = history_depth(order)
        back = torch.arange(depth, device=knots.device).unsqueeze(1)
        window = torch.maximum(now - num_samples * back, samples)
        clock = self.times.flatten()
        start = clock[now]
        size = torch.where(still, 1, clock[after] - start)
        theta = (times - start) / size
        theta = torch.where(still, theta, theta.clamp(max=1))
        places = distinct_places((clock[window] - start) / size, order)
        integrals = basis_integrals(places, theta)
        known = corrector_weights(integrals, places, order)
        tangent = torch.where(still, theta, 0).unsqueeze(0)
        known = torch.cat([known[:1] + tangent, known[1:]])
        new = integrals.gather(0, (order - 1).clamp(min=0).unsqueeze(0))
        weights = torch.cat([torch.where(still, 0, new), known]) * size
        slopes = self.derivatives.flatten(0, 1)
        blend = (theta * theta * (3 - 2 * theta)).to(slopes.dtype).unsqueeze(-1)
        answer = self.states.flatten(0, 1).index_select(0, here)
        if len(self.defects):
            last = (len(self.defects) - 1) * num_samples + samples
            defects = self.defects.flatten(0, 1).index_select(0, torch.minimum(here, last))
            answer = answer + torch.where(still.unsqueeze(-1), 0, blend) * defects
        rows = torch.cat([after.unsqueeze(0), window])
        for weight, row in zip(weights.to(slopes.dtype).unsqueeze(-1), rows, strict=True):
            answer = torch.addcmul(answer, weight, slopes.index_select(0, row))
        return answer
