"""What a guide is, and the plain ones: a network, the exact posterior, one law for all, a point."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..batch import Batch
from ..conditionals import Conditional, Unconditional
from ..distributions import Point
from ..errors import CompositionError
from ..model import LatentVariableModel
from ..nets import Net
from ..parts import part
from ..posteriors import has_posterior, posterior
from ..precision import applied

__all__ = ["Amortized", "Deterministic", "Exact", "Guide", "Shared"]


class Guide(nn.Module, ABC):
    """The approximate posterior."""

    @abstractmethod
    def forward(self, batch: Batch) -> Distribution:
        """q(z | x), batch shape [B], event shape [Z]."""

    @property
    @abstractmethod
    def phrase(self) -> str:
        """A few words for the sentence that describes a model."""

    @property
    def has_density(self) -> bool:
        """Whether q(z | x) has a density (or a mass over a finite space), so that bounds can be formed from it."""
        return True

    @property
    def infers(self) -> bool:
        """Whether it says anything of z given x: not where points are only drawn from the prior, as by a GAN."""
        return True

    def bounds(self, model: LatentVariableModel) -> bool:
        """Whether a bound on log p(x) can be formed: both q(z | x) and p(x | z) have densities."""
        return self.has_density and model.likelihood.has_density

    @property
    def is_exact(self) -> bool:
        """Whether q(z | x) is p(z | x), so that every log-weight is the evidence itself."""
        return False

    @property
    def is_certain(self) -> bool:
        """Whether q(z | x) is one state of a discrete z, of mass 1: then log p(x, z) is a bound, without any noise."""
        return False

    @property
    def scores_any_point(self) -> bool:
        """Whether log q(z | x) can be asked of points that the guide did not draw itself."""
        return True

    @property
    def takes_steps(self) -> bool:
        """Whether q(z | x) of rows that it was not trained on is found by gradient steps, which no gradient passes."""
        return False

    @property
    def followed(self) -> Guide:
        """The guide whose bound on validation rows follows training: this one, or a cheaper one with a bound too."""
        return self


@part
class Amortized(Guide):
    """q(z | x) = conditional(x): one network for all data (Kingma & Welling, 2014).

    Args:
        conditional: from x [B, D] to a distribution over z.
        context: whether it is given [x, context] [B, D + C] and not x alone.

    Raises:
        CompositionError: when it is asked, if a batch has no context that it has to see.
    """

    def __init__(self, conditional: Conditional, context: bool = False) -> None:
        super().__init__()
        self.conditional, self.context = conditional, context

    def seen(self, batch: Batch) -> Tensor:
        """What the conditional is given: x [B, D], or [x, context] [B, D + C]."""
        if not self.context:
            return batch.x
        if batch.context is None:
            raise CompositionError("q(z | x, c) was given no context c", "Pass Batch(x, context=...).")
        return torch.cat([batch.x, batch.context.to(batch.x)], -1)

    def forward(self, batch: Batch) -> Distribution:
        return self.conditional(self.seen(batch))

    @property
    def phrase(self) -> str:
        return f"{self.conditional.phrase}{' that sees the context' if self.context else ''}"


@part
class Exact(Guide):
    """q(z | x) = p(z | x) in closed form: every objective becomes the exact evidence.

    Args:
        model: one whose prior and likelihood have a registered posterior.

    Raises:
        NoExactPosterior: at once, if they have none.
    """

    def __init__(self, model: LatentVariableModel) -> None:
        super().__init__()
        if not has_posterior(model.prior, model.likelihood):
            posterior(model.prior, model.likelihood, Batch(torch.zeros(0, 0)))  # raises with the remedy
        self.model = model

    def forward(self, batch: Batch) -> Distribution:
        return self.model.posterior(batch)

    @property
    def phrase(self) -> str:
        return "the exact posterior"

    @property
    def is_exact(self) -> bool:
        return True


@part
class Shared(Guide):
    """q(z), one for all data: it shows why q needs x.

    Args:
        conditional: its parameters do not depend on x.
    """

    def __init__(self, conditional: Unconditional) -> None:
        super().__init__()
        self.conditional = conditional

    def forward(self, batch: Batch) -> Distribution:
        params = self.conditional.params()
        return self.conditional.family(params.expand(len(batch), *params.shape))

    @property
    def phrase(self) -> str:
        return f"one {self.conditional.family.phrase} for all data"


@part
class Deterministic(Guide):
    """z = net(x): the encoder of a plain autoencoder. It has no density, so it forms no bound.

    Args:
        net: [B, D] -> [B, Z].
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, batch: Batch) -> Distribution:
        return Point(applied(self.net, batch.x))

    @property
    def phrase(self) -> str:
        return f"a point from {self.net.phrase if isinstance(self.net, Net) else type(self.net).__name__}"

    @property
    def has_density(self) -> bool:
        return False
