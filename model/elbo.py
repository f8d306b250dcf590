"""The training objective: an importance-weighted, variable-balanced evidence lower bound.

For a series, over posterior samples s,

    bound = log mean_s exp( sum over targets of w(variable) log p(value | z_s) )
            - kl_weight * KL(q(z0) || p(z0))

(Burda, Grosse & Salakhutdinov 2016, ICLR, eq. 8, with the divergence in closed form; one sample is
the evidence lower bound of Kingma & Welling 2014). Bounds are summed over series and divided by the
summed target weights, so that batches of any size weigh alike. Free bits (Kingma et al. 2016, IAF,
appendix C) keep each latent dimension from collapsing early: only the divergence above them is
charged. A squared error of the mean is added where a task is scored by it (the augmented bound of
Shukla & Marlin 2022, ICLR, eq. 13): a likelihood alone leaves the mean of a heavy-tailed
distribution to chance.

Everything is a sum over series until the last step, so that processes that share a batch can add
their parts.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.distributions import kl_divergence

from model.decoder import DecodedQueries
from model.latent_ode import LatentODEOutput

# Stands for an infinite end of an interval, standardized units: the gradient of infinity is NaN.
_FAR = 1e4


@dataclass(frozen=True)
class Targets:
    """What the queries should have said: standardized units.

    A value that was recorded with a step is known to lie in [low, high] only and is scored by the
    probability of the interval; where low equals high the density is scored. A weight of 0 masks a
    query. `mean_weights` are for the squared error of the mean; `series` owns each query.
    `censoring` is -1 or 1 for a limit, whose interval has one end, and 0 for a measured value.
    """

    values: Float[Tensor, " query"]
    low: Float[Tensor, " query"]
    high: Float[Tensor, " query"]
    weights: Float[Tensor, " query"]
    mean_weights: Float[Tensor, " query"]
    series: Int64[Tensor, " query"]
    censoring: Float[Tensor, " query"]


@dataclass(frozen=True)
class BoundParts:
    """Sums over the series of a batch, in nats; the squared error is in standardized units."""

    log_likelihood: Float[Tensor, ""]
    squared_error: Float[Tensor, ""]
    divergence: Float[Tensor, " latent"]
    weight: Float[Tensor, ""]
    num_series: Float[Tensor, ""]

    def totals(self) -> Float[Tensor, " total"]:
        """Return all sums in one detached vector, the divergence of each latent dimension last."""
        sums = [self.log_likelihood, self.squared_error, self.weight, self.num_series]
        return torch.cat([torch.stack(sums), self.divergence]).detach()

    def objective(
        self, totals: Float[Tensor, " total"], *, kl_weight: float, free_bits: float
    ) -> Float[Tensor, ""]:
        """Return the part of these series in the objective of the batch with the given totals.

        Parameters
        ----------
        kl_weight
            0 at the start of the warm-up, 1 for the proper bound.
        free_bits
            Nats for each latent dimension, averaged over the batch, that are not charged.
        """
        is_charged = totals[4:] > free_bits * totals[3]
        charged = (self.divergence - free_bits * self.num_series)[is_charged].sum()
        bound = self.log_likelihood - kl_weight * charged - self.squared_error
        return bound / totals[2].clamp(min=1e-6)


def bound_parts(output: LatentODEOutput, targets: Targets) -> BoundParts:
    """Compute the terms of the bound of every series and add them up."""
    decoded = output.decoded
    weighted = log_likelihood(decoded, targets) * targets.weights
    num_series = len(output.posterior.loc)
    each = weighted.new_zeros(len(weighted), num_series).index_add(1, targets.series, weighted)
    likelihood = torch.logsumexp(each, 0) - math.log(len(each))
    error = decoded.mean - targets.values
    # A mean on the allowed side of a limit is no error.
    squared = torch.where(targets.censoring * error > 0, 0.0, error) ** 2
    return BoundParts(
        log_likelihood=likelihood.sum(),
        squared_error=(squared.mean(0) * targets.mean_weights).sum(),
        divergence=kl_divergence(output.posterior, output.prior).sum(0),
        weight=targets.weights.sum(),
        num_series=weighted.new_tensor(float(num_series)),
    )


def log_likelihood(decoded: DecodedQueries, targets: Targets) -> Float[Tensor, "sample query"]:
    """Return the log density of each target, or the log probability of its interval."""
    is_interval = (targets.low < targets.high).unsqueeze(-1)
    at = (targets.values.unsqueeze(-1) - decoded.loc) / decoded.scale
    each = -at.abs() - torch.log(2 * decoded.scale)
    if bool(is_interval.any()):
        each = torch.where(is_interval, _log_mass(decoded, targets, is_interval), each)
    return torch.logsumexp(decoded.logits.log_softmax(-1) + each, dim=-1)


def _log_mass(
    decoded: DecodedQueries, targets: Targets, is_interval: Bool[Tensor, "query _"]
) -> Float[Tensor, "sample query component"]:
    """Return log(F(high) - F(low)) of each Laplace component, exact in the tails.

    Where the interval lies on one side of the location the nearer end is taken out of the
    logarithm; unused branches are fed with harmless numbers, so that no gradient is NaN.
    """
    ends = [end.clamp(-_FAR, _FAR).unsqueeze(-1) for end in (targets.low, targets.high)]
    low, high = ((end - decoded.loc) / decoded.scale for end in ends)
    nearest = torch.where(low > 0, low, torch.where(high < 0, -high, 0.0))
    is_aside = (nearest > 0) & is_interval
    # From the ends themselves: the difference of two large quotients has lost its digits.
    width = torch.where(is_aside, (ends[1] - ends[0]) / decoded.scale, 1.0)
    aside = torch.log(-0.5 * torch.expm1(-width)) - torch.where(is_aside, nearest, 0.0)
    is_astride = ~is_aside & is_interval
    below = torch.where(is_astride, low, -1.0)
    above = torch.where(is_astride, high, 1.0)
    astride = torch.log(-0.5 * (torch.expm1(below) + torch.expm1(-above)))
    return torch.where(is_aside, aside, astride)
