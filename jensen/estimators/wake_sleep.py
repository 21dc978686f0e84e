r"""Wake and sleep: guides that learn from the model's own data, or from importance weights, and not from a bound.

A bound has the guide climb down :math:`KL(q(z|x) \,\|\, p(z|x))`, which avoids what the posterior rules out (it seeks
one mode). Here the guide goes down the inclusive :math:`KL(p(z|x) \,\|\, q(z|x))`, which covers all of the posterior:

| phase      | who climbs | objective                | points                                  |
|------------|------------|--------------------------|-----------------------------------------|
| wake       | model      | `Elbo`, or a tighter one | of the guide, `Still`                   |
| sleep      | guide      | `SleepPhase`                  | of the model, `FromModel`                |
| wake again | guide      | `Inclusive`              | of the guide, weighed by the posterior  |

No gradient passes through a point, so that latents may be discrete.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ..core.batch import Batch
from ..core.errors import CompositionError
from ..core.parts import part
from ..core.validation import require_integer
from ..models.draw import Draw, place, weigh
from ..models.guide import Guide
from ..models.ladder import LadderDistribution
from ..models.model import LatentVariableModel
from ..objectives import Objective, TermKind
from ..objectives.wake_sleep import Inclusive, SleepPhase
from .base import GradientEstimator

__all__ = ["DetachedSamples", "FromModel"]


# ---------------------------------------------------------------- what the guide climbs


# ---------------------------------------------------------------- whose points


def _scoring(guide: Guide) -> None:
    fixed = guide.is_exact or guide.is_certain or guide.takes_steps  # a certain one rules out all dreams but its own
    if not (guide.has_density and guide.scores_any_point) or fixed:
        what = f"{guide.phrase} cannot learn from points that it did not make itself"
        raise CompositionError(what, "Use a guide whose density is known everywhere, such as Amortized(...).")


@part
@dataclass(frozen=True)
class DetachedSamples(GradientEstimator):
    """K points of the guide that stay where they are: no gradient passes through them.

    Right for the model's parameters under any bound. For the guide's, the score of a bound would be missing (see
    `Score`), so that these may climb `Inclusive` alone.

    Args:
        k: points per datum.
    """

    k: int = 1

    def __post_init__(self) -> None:
        require_integer(k=self.k)

    def draw(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, generator: torch.Generator | None = None
    ) -> Draw:
        q = guide(batch)
        with torch.no_grad():
            z, _ = place(q, self.k, generator)
        return weigh(model, q, z, batch, mass=not guide.has_density)

    def suits(self, term: Objective) -> bool:
        return term.kind is not TermKind.COUPLED and not isinstance(term, SleepPhase)

    def trains_guide(self, term: Objective) -> bool:
        return isinstance(term, Inclusive)

    @property
    def remedy(self) -> str:
        return "Use FromModel() for SleepPhase, and Pathwise(k) for a term that couples the batch or trains the guide."


@part
@dataclass(frozen=True)
class FromModel(GradientEstimator):
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
        return isinstance(term, SleepPhase)

    @property
    def remedy(self) -> str:
        return "On dreams only SleepPhase() is climbed."
