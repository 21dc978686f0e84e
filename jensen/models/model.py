"""The model: a prior and a likelihood."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import one_hot

from ..core.batch import Batch
from ..core.errors import CompositionError
from ..core.parts import part
from ..core.random import drawing_from
from ..core.shapes import broadcast_shapes
from ..families import Gaussian, Grouped
from .conditionals import Conditional
from .posteriors import posterior

__all__ = ["LatentVariableModel"]


@part
class LatentVariableModel(nn.Module):
    r"""p(x, z) = p(z) p(x | z), with evidence :math:`p(x) = \int p(z)\,p(x|z)\,dz`.

    A conditional model is p(x, z | c) = p(z | c) p(x | z, c), whose evidence is p(x | c).

    Args:
        prior: p(z), over Z features.
        likelihood: p(x | z), over D features.
        context: p(c) of a conditional model, from which contexts are drawn where none are given; it is no part of the
            evidence.

    Example:
        >>> from jensen.models.conditionals import Linear, Unconditional
        >>> from jensen.families import Gaussian
        >>> model = LatentVariableModel(Unconditional(Gaussian(2)), Linear(2, 5))
        >>> model.sample(3).shape
        torch.Size([3, 5])
    """

    def __init__(self, prior: Conditional, likelihood: Conditional, context: Conditional | None = None) -> None:
        super().__init__()
        self.prior, self.likelihood, self.context = prior, likelihood, context

    @property
    def latent(self) -> int:
        """The number of latent features, Z."""
        return self.prior.family.dim

    @property
    def usual(self) -> Tensor | None:
        """The most frequent context [C], where one must represent all; None of an unconditional model.

        Of several labels these are the most frequent name of each, and the means of numbers.
        """
        if self.context is None:
            return None
        family, mean = self.context.family, self.context().mean
        parts = family.parts if isinstance(family, Grouped) else (family,)
        pieces = zip(parts, mean.split([part.dim for part in parts], -1), strict=True)
        return torch.cat([m if isinstance(f, Gaussian) else one_hot(m.argmax(-1), f.dim).to(m) for f, m in pieces], -1)

    def contexts(self, n: int, generator: torch.Generator | None = None) -> Tensor | None:
        """Draw contexts [n, C] with the frequencies of training; return None for an unconditional model."""
        if self.context is None:
            return None
        with torch.no_grad(), drawing_from(generator):
            return self.context().sample((n,))

    def posterior(self, batch: Batch) -> Distribution:
        """Return p(z | x), where a closed form is registered.

        Raises:
            NoExactPosterior: none is.
        """
        return posterior(self.prior, self.likelihood, batch)

    def likelihood_params(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the parameters [..., B, P] of p(x | z, context) at z [..., B, Z]; context [B, C] counts if it is used.

        Raises:
            CompositionError: the likelihood is conditioned on a context, and none was given.
        """
        if not self.likelihood.sees_context:
            return self.likelihood.params(z)
        if context is None:
            raise CompositionError("p(x | z, c) needs a context c, and none was given", "Pass Batch(x, context=...).")
        shape = broadcast_shapes(z.shape[:-1], context.shape[:-1])
        return self.likelihood.params(torch.cat([z.expand(*shape, -1), context.expand(*shape, -1)], -1))

    def log_joint(self, batch: Batch, z: Tensor) -> Tensor:
        """Return log p(x, z) [K, B] at z [K, B, Z], in nats."""
        log_lik = self.likelihood.scored_batch(self.likelihood_params(z, batch.context), batch)
        return log_lik + self.prior.log_prob(z, batch.context)

    @torch.no_grad()
    def simulate(
        self, n: int, generator: torch.Generator | None = None, context: Tensor | None = None
    ) -> tuple[Tensor, Batch]:
        """Draw z [n, Z] from the prior and x from the likelihood at z, as a batch.

        A conditional model draws contexts too, where none are given.
        """
        context = self.contexts(n, generator) if context is None else context
        with drawing_from(generator):
            prior = self.prior(context)
            z = prior.sample((n,) if prior.batch_shape == () else ())
            likelihood = self.likelihood.at(self.likelihood_params(z, context))
            x = likelihood.sample((n,)) if likelihood.batch_shape == () else likelihood.sample()
        return z, Batch(x, context=context)

    def sample(self, n: int, generator: torch.Generator | None = None, context: Tensor | None = None) -> Tensor:
        """Draw x [n, D] from the model."""
        return self.simulate(n, generator, context)[1].x
