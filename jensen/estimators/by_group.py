"""Points group by group: some groups of latents enumerated, others sampled given them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.distributions import Distribution

from ..core.batch import Batch
from ..core.errors import CompositionError, NotReparameterizable
from ..core.parts import part
from ..distributions import Chained
from ..models.draw import Draw, place, weigh
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..objectives import Objective, TermKind
from .base import GradientEstimator
from .enumeration import Enumerate, finite_states
from .reparameterized import Pathwise
from .score import Score

__all__ = ["ByGroup"]


@part
@dataclass(frozen=True)
class ByGroup(GradientEstimator):
    r"""An estimator for each group of a guide :math:`q(z_1|x)\, q(z_2|x, z_1) \cdots`, given the groups before it.

    | group        | points                      | measure                                                       |
    |--------------|-----------------------------|---------------------------------------------------------------|
    | Enumerate    | all states                  | q itself, whose gradient passes through the measure           |
    | Pathwise(k)  | k, with a path              | 1/k                                                           |
    | Score(k)     | k, without                  | 1/k, whose gradient is the score's, less that of the other k-1 |

    The draw has all combinations, and its measure is the product. An expectation therefore has the gradient of each
    group's estimator, whatever the objective reads: that of `Score` is written into the measure as

    .. math:: l_k = -\log K + \frac{K}{K-1}\Big(s_k - \frac1K \sum_j s_j\Big), \qquad
              s_k = \log q(z_k) - \overline{\log q(z_k)}

    with the bar a constant: its value is -log K, and its gradient that of the score function with the other points of
    the group as a baseline. The importance-weighted bound is a bound with enumerated and sampled groups.

    Args:
        estimators: one per group, in order: `Enumerate`, `Pathwise` or `Score`. The last places all further
            groups.

    Source: for a class and real features, Kingma, Rezende, Mohamed & Welling, "Semi-supervised learning with deep
    generative models", 2014.

    Raises:
        CompositionError: fewer than two estimators, or one of another kind.

    Example:
        >>> from jensen.families import Categorical, Gaussian, Grouped
        >>> from jensen.models.conditionals import Given, Unconditional
        >>> from jensen.guides import Amortized
        >>> from torch import nn
        >>> latent = Grouped((Categorical(3), Gaussian(2)))
        >>> model = LatentVariableModel(Unconditional(latent), Given(nn.Linear(5, 4), Gaussian(2)))
        >>> guide = Amortized(Given(nn.Linear(2, 7), latent))
        >>> ByGroup((Enumerate(), Pathwise(2))).draw(model, guide, Batch(torch.zeros(8, 2))).z.shape
        torch.Size([6, 8, 5])
    """

    estimators: tuple[GradientEstimator, ...]

    def __post_init__(self) -> None:
        if len(self.estimators) < 2:
            raise CompositionError(
                f"ByGroup needs at least two estimators, got {len(self.estimators)}", "Use the estimator by itself."
            )
        for estimator in self.estimators:
            if not isinstance(estimator, Enumerate | Pathwise | Score):
                raise CompositionError(
                    f"{estimator} does not place one group among others", "Use Enumerate(), Pathwise(k) or Score(k)."
                )

    def draw(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, generator: torch.Generator | None = None
    ) -> Draw:
        q = remaining = guide(batch)
        groups: list[_Group] = []
        for number, estimator in enumerate(self.estimators):
            last = number == len(self.estimators) - 1
            if not last and not isinstance(remaining, Chained):
                raise CompositionError(
                    f"{guide.phrase} has {number + 1} latent groups, and there are {len(self.estimators)} estimators",
                    "Use a guide of as many groups (Structured, or a Grouped family), or fewer estimators.",
                )
            group = remaining if last or not isinstance(remaining, Chained) else remaining.first
            groups.append(_placed(estimator, group, groups[-1].z.shape[:-1] if groups else q.batch_shape, generator))
            if not last and isinstance(remaining, Chained):
                remaining = remaining.then(groups[-1].z)
        shape = groups[-1].z.shape[:-1]  # [K_n, ..., K_1, B]
        z = torch.cat([g.z.expand(*shape, -1) for g in groups], -1).reshape(-1, shape[-1], q.event_shape[0])
        measure, offset, log_q = (
            sum((t.expand(shape) for t in terms), z.new_zeros(shape)).reshape(z.shape[:2])
            for terms in zip(*((g.measure, g.offset, g.log_q) for g in groups), strict=True)
        )
        if isinstance(q, Chained):
            q.remember(z, log_q)
        return replace(weigh(model, q, z, batch, measure), offset=offset)

    def suits(self, term: Objective) -> bool:
        has_score = any(isinstance(e, Score) for e in self.estimators)
        return term.kind is TermKind.PER_DATUM or (term.kind is TermKind.IMPORTANCE_WEIGHTED and not has_score)

    @property
    def remedy(self) -> str:
        return "Use -Distortion() - Rate(), or Enumerate and Pathwise groups for ImportanceWeighted."


@dataclass(frozen=True)
class _Group:
    """The points [K, *S, B, Z] of one group, given those [*S, B] of the groups before it.

    Attributes:
        measure: l [K, *S, B], whose exponentials over K add up to 1.
        offset: l - log q, also where q is zero.
        log_q: with the score left out where the measure has it.
    """

    z: Tensor
    measure: Tensor
    offset: Tensor
    log_q: Tensor


def _placed(
    estimator: GradientEstimator, q: Distribution, shape: torch.Size, generator: torch.Generator | None
) -> _Group:
    """Return the points of a group, whose distribution has batch shape [B] or [*S, B], given points [*S, B]."""
    if isinstance(estimator, Enumerate):
        states = finite_states(q, q.mean)
        z = states.view(len(states), *[1] * len(shape), -1).expand(len(states), *shape, -1)
        log_q = q.log_prob(z)
        return _Group(z, log_q, torch.zeros_like(log_q), log_q)
    k = estimator.k if isinstance(estimator, Pathwise | Score) else 1
    if isinstance(estimator, Score):
        with torch.no_grad():
            z = _sampled(q, k, shape, generator)
        log_q = q.log_prob(z)
        score = log_q - log_q.detach()
        measure = (score - score.mean(0)) * (k / (k - 1)) - math.log(k)
        log_q = log_q.detach()
    else:
        if torch.is_grad_enabled() and not q.has_rsample:
            raise NotReparameterizable(
                f"{type(q).__name__} has no pathwise gradient", "Use Enumerate() or Score(k) for that group."
            )
        z = _sampled(q, k, shape, generator)
        log_q = q.log_prob(z)
        measure = torch.full_like(log_q, -math.log(k))
    return _Group(z, measure, measure - log_q, log_q)


def _sampled(q: Distribution, k: int, shape: torch.Size, generator: torch.Generator | None) -> Tensor:
    """Draw k points [k, *shape, Z] of q, whose batch shape is the end of that shape."""
    leading = shape[: len(shape) - len(q.batch_shape)]
    z, _ = place(q, k * leading.numel(), generator)
    return z.unflatten(0, (k, *leading))
