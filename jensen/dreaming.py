r"""Wake and sleep: guides that learn from the model's own data, or from importance weights, and not from a bound.

A bound has the guide climb down :math:`KL(q(z|x) \,\|\, p(z|x))`, which avoids what the posterior rules out (it seeks
one mode). Here the guide goes down the inclusive :math:`KL(p(z|x) \,\|\, q(z|x))`, which covers all of the posterior:

| phase      | who climbs | objective                | points                                  |
|------------|------------|--------------------------|-----------------------------------------|
| wake       | model      | `Elbo`, or a tighter one | of the guide, `Still`                   |
| sleep      | guide      | `Dream`                  | of the model, `Dreaming`                |
| wake again | guide      | `Inclusive`              | of the guide, weighed by the posterior  |

No gradient passes through a point, so that latents may be discrete.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from .batch import Batch
from .checks import whole
from .draw import Draw, place, weigh
from .errors import CompositionError
from .estimators import GradientEstimator
from .guides import Guide
from .ladder import LadderDistribution
from .model import LatentVariableModel
from .objectives import Objective, TermKind
from .parts import part

__all__ = ["Dream", "Dreaming", "Inclusive", "Still"]


# ---------------------------------------------------------------- what the guide climbs


@part
@dataclass(frozen=True)
class Dream(Objective):
    r"""E[log q(z | x)] at the draw's points, which `Dreaming` takes from the model: minus
    :math:`E_{p(x)} KL(p(z|x) \,\|\, q(z|x))`, but for a constant (Hinton et al., 1995)."""

    needs_likelihood: ClassVar[bool] = False

    def __call__(self, draw: Draw) -> Tensor:
        return draw.mean(draw.log_guide.sum(-1))

    def __str__(self) -> str:
        return "Dream"


@part
@dataclass(frozen=True)
class Inclusive(Objective):
    r"""sum_k w~_k log q(z_k | x), with weights that are constants: minus :math:`KL(p(z|x) \,\|\, q(z|x))`, but for a
    constant; exact where z is enumerated, else with a bias that falls as 1/K (Bornschein & Bengio, 2015)."""

    kind: ClassVar[TermKind] = TermKind.IMPORTANCE_WEIGHTED

    def __call__(self, draw: Draw) -> Tensor:
        log_w = (draw.log_lik + draw.log_prior.sum(-1) + draw.log_offset).detach()
        share, log_q = torch.softmax(log_w, 0), draw.log_guide.sum(-1)
        return torch.where(share > 0, share * log_q, 0.0).sum(0)

    def __str__(self) -> str:
        return "Inclusive"


# ---------------------------------------------------------------- whose points


def _scoring(guide: Guide) -> None:
    fixed = guide.is_exact or guide.is_certain or guide.takes_steps  # a certain one rules out all dreams but its own
    if not (guide.has_density and guide.scores_any_point) or fixed:
        what = f"{guide.phrase} cannot learn from points that it did not make itself"
        raise CompositionError(what, "Use a guide whose density is known everywhere, such as Amortized(...).")


@part
@dataclass(frozen=True)
class Still(GradientEstimator):
    """K points of the guide that stay where they are: no gradient passes through them.

    Right for the model's parameters under any bound. For the guide's, the score of a bound would be missing (see
    `Score`), so that these may climb `Inclusive` alone.

    Args:
        k: points per datum.
    """

    k: int = 1

    def __post_init__(self) -> None:
        whole(k=self.k)

    def draw(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, generator: torch.Generator | None = None
    ) -> Draw:
        q = guide(batch)
        with torch.no_grad():
            z, _ = place(q, self.k, generator)
        return weigh(model, q, z, batch, mass=not guide.has_density)

    def suits(self, term: Objective) -> bool:
        return term.kind is not TermKind.COUPLED and not isinstance(term, Dream)

    def trains_guide(self, term: Objective) -> bool:
        return isinstance(term, Inclusive)

    @property
    def remedy(self) -> str:
        return "Use Dreaming() for Dream, and Pathwise(k) for a term that couples the batch or trains the guide."


@part
@dataclass(frozen=True)
class Dreaming(GradientEstimator):
    """The sleep phase: as many data as the batch holds are dreamt by the model, each at the z that it came from.

    The batch lends its size, what is observed, and its context; its values are not looked at. The model is not moved.

    Source: Hinton, Dayan, Frey & Neal, "The wake-sleep algorithm for unsupervised neural networks", 1995.

    Raises:
        CompositionError: when it draws, if the guide cannot score a point that it did not make.
    """

    def draw(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, generator: torch.Generator | None = None
    ) -> Draw:
        _scoring(guide)
        z, dream = model.simulate(len(batch), generator, batch.context)
        x = dream.x.to(batch.x)
        x = x if batch.mask is None else torch.where(batch.mask, x, batch.x)  # what is hidden stays filled as it was
        seen = replace(batch, x=x, index=None)  # rows of no data set
        q = guide(seen)
        with torch.no_grad():  # a likelihood that follows the data's scale must not follow the dreams'
            draw = weigh(model, q, z[None], seen)
        walk = q.walk_at(draw.z) if draw.walk is not None and isinstance(q, LadderDistribution) else draw.walk
        return replace(draw, differentiable=torch.is_grad_enabled(), walk=walk)

    def suits(self, term: Objective) -> bool:
        return isinstance(term, Dream)

    @property
    def remedy(self) -> str:
        return "On dreams only Dream() is climbed."
