"""The committed instance that evaluators are held to: probabilistic PCA, and a guide that is wrong on purpose."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from jensen.core.batch import Batch, Rows
from jensen.core.random import drawing_from, stream
from jensen.families import Gaussian
from jensen.guides import Amortized, Exact
from jensen.models.conditionals import Given, Linear, Unconditional
from jensen.models.model import LatentVariableModel

__all__ = ["Instance", "instance"]


@dataclass(frozen=True)
class Instance:
    """A model with exact evidence, a guide that misses its posterior, and data that the model made.

    Attributes:
        truth: [N] log p(x).
        lost: KL(q || p), the gap of the ELBO; `family` of it is beyond any diagonal Gaussian.
    """

    model: LatentVariableModel
    guide: Amortized
    rows: Rows
    truth: Tensor
    lost: float
    family: float

    @property
    def mean(self) -> float:
        return float(self.truth.mean())


def instance(
    n: int = 256,
    dim: int = 196,
    latent: int = 16,
    *,
    common: float = 0.75,
    off: float = 0.1,
    wide: float = 0.95,
    dtype: torch.dtype = torch.float64,
) -> Instance:
    """Probabilistic PCA and a guide whose ELBO loses about 3 nats.

    Args:
        common: how much all columns of W have in common: the posterior's features are correlated by it.
        off: how many standard deviations the guide's mean is too high, in each feature.
        wide: the guide's scales, in those of the best diagonal Gaussian.
    """
    noise = stream(0, "instance")
    with drawing_from(noise):
        model = LatentVariableModel(Unconditional(Gaussian(latent)), Linear(latent, dim)).double()
        columns = torch.randn(dim, latent).double() + common * torch.randn(dim, 1).double()
        model.likelihood.assign(0.15 * columns, torch.randn(dim).double(), torch.tensor([0.25]).double())
        x = model.sample(n)
    lik = model.likelihood
    weighted = (lik.W / lik.noise_variance).detach()
    precision = torch.eye(latent).double() + lik.W.detach().mT @ weighted
    best = precision.diagonal().rsqrt()  # of the diagonal Gaussian with the least KL
    scale, shift = wide * best, off * best
    net = nn.Linear(dim, 2 * latent).double()
    with torch.no_grad():
        A = torch.linalg.solve(precision, weighted.mT)
        family = Gaussian(latent)
        net.weight.copy_(torch.cat([A, torch.zeros_like(A)]))
        net.bias.copy_(torch.cat([shift - A @ lik.b, family.raw(scale)]))
        truth = Exact(model)(Batch(x)), model.log_joint(Batch(x), torch.zeros(1, n, latent).double())[0]
        exact = (truth[1] - truth[0].log_prob(torch.zeros(latent).double())).detach()
    logdet = float(torch.logdet(precision))
    family_gap = 0.5 * float(precision.diagonal().log().sum()) - 0.5 * logdet
    spread = float((precision.diagonal() * scale.square()).sum()) + float(shift @ precision @ shift)
    lost = 0.5 * (spread - latent - logdet) - float(scale.log().sum())
    guide = Amortized(Given(net, family)).to(dtype).requires_grad_(False)
    model = model.to(dtype).requires_grad_(False)
    assert math.isfinite(lost)
    return Instance(model, guide, Rows(x.to(dtype)), exact, lost, family_gap)
