"""The training objective: a masked, variable-balanced evidence lower bound.

ELBO = E_q[ sum over targets of w(variable) log p(value | z) ] - kl_weight * KL(q(z0) || p(z0)),
averaged over k posterior samples (Kingma & Welling 2014, eq. 3), divided by the summed target
weights so that batches of any size weigh alike. Free bits (Kingma et al. 2016, IAF, appendix C)
keep each latent dimension from collapsing early: a dimension pays only for the divergence above
`free_bits`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Laplace, kl_divergence

from model.latent_ode import LatentODEOutput


@dataclass(frozen=True)
class EvidenceLowerBound:
    """The bound per unit of target weight, and its two terms in nats."""

    elbo: Float[Tensor, ""]
    reconstruction_log_likelihood: Float[Tensor, ""]
    kl_divergence: Float[Tensor, ""]


def evidence_lower_bound(
    output: LatentODEOutput,
    *,
    targets: Float[Tensor, " query"],
    target_weights: Float[Tensor, " query"],
    kl_weight: float,
    free_bits: float,
) -> EvidenceLowerBound:
    """Compute the bound.

    Parameters
    ----------
    targets
        Standardized values of the queries.
    target_weights
        Weight of each query's log-likelihood, from its variable's balance; 0 masks a query.
    kl_weight
        0 at the start of the warm-up, 1 for the proper bound.
    free_bits
        Nats for each latent dimension, averaged over the batch, that are not charged.
    """
    observation = Laplace(output.decoded.loc, output.decoded.scale, validate_args=False)
    log_likelihood = (observation.log_prob(targets) * target_weights).sum(-1).mean(0)
    divergence = kl_divergence(output.posterior, output.prior)
    charged = torch.clamp(divergence.mean(0) - free_bits, min=0.0).sum() * len(divergence)
    total_weight = target_weights.sum().clamp(min=1e-6)
    return EvidenceLowerBound(
        elbo=(log_likelihood - kl_weight * charged) / total_weight,
        reconstruction_log_likelihood=log_likelihood / total_weight,
        kl_divergence=divergence.sum(-1).mean(),
    )
