"""The model: a prior and a likelihood."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from .batch import Batch
from .conditionals import Conditional
from .parts import part
from .posteriors import posterior
from .randomness import drawing_from

__all__ = ["LatentVariableModel"]


@part
class LatentVariableModel(nn.Module):
    r"""p(x, z) = p(z) p(x | z), with evidence :math:`p(x) = \int p(z)\,p(x|z)\,dz`.

    Args:
        prior: p(z), over Z features.
        likelihood: p(x | z), over D features.

    Example:
        >>> from jensen.conditionals import Linear, Unconditional
        >>> from jensen.families import Gaussian
        >>> model = LatentVariableModel(Unconditional(Gaussian(2)), Linear(2, 5))
        >>> model.sample(3).shape
        torch.Size([3, 5])
    """

    def __init__(self, prior: Conditional, likelihood: Conditional) -> None:
        super().__init__()
        self.prior, self.likelihood = prior, likelihood

    @property
    def latent(self) -> int:
        """Z."""
        return self.prior.family.dim

    def posterior(self, batch: Batch) -> Distribution:
        """p(z | x), where a closed form is registered.

        Raises:
            NoExactPosterior: none is.
        """
        return posterior(self.prior, self.likelihood, batch)

    def log_joint(self, batch: Batch, z: Tensor) -> Tensor:
        """log p(x, z) [K, B] at z [K, B, Z], in nats."""
        log_lik = self.likelihood.log_prob(batch.x, z, batch.mask)
        return log_lik + self.prior.log_prob(z, batch.context)

    @torch.no_grad()
    def simulate(
        self, n: int, generator: torch.Generator | None = None, context: Tensor | None = None
    ) -> tuple[Tensor, Batch]:
        """Draw z [n, Z] from the prior and x from the likelihood at z, as a batch."""
        with drawing_from(generator):
            prior = self.prior(context)
            z = prior.sample((n,) if prior.batch_shape == () else ())
            likelihood = self.likelihood(z)
            x = likelihood.sample((n,)) if likelihood.batch_shape == () else likelihood.sample()
        return z, Batch(x, context=context)

    def sample(self, n: int, generator: torch.Generator | None = None, context: Tensor | None = None) -> Tensor:
        """x [n, D] from the model."""
        return self.simulate(n, generator, context)[1].x
