r"""Wake and sleep: guides that are trained on samples of the model, or by importance weights, and not by a bound.

Maximising a bound minimises :math:`KL(q(z|x) \,\|\, p(z|x))` over the guide, which seeks one mode of the posterior.
Here the guide minimises the inclusive :math:`KL(p(z|x) \,\|\, q(z|x))`, which covers all of the posterior:

| phase      | trains | objective                | points                                   |
|------------|--------|--------------------------|------------------------------------------|
| wake       | model  | `Elbo`, or a tighter one | of the guide, `DetachedSamples`          |
| sleep      | guide  | `SleepPhase`             | of the model, `FromModel`                |
| wake again | guide  | `Inclusive`              | of the guide, weighted by the posterior  |

No gradient passes through a point, so that latents may be discrete.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ..core.annotations import Steps
from ..core.batch import Batch
from ..core.errors import CompositionError
from ..core.parts import part
from ..models.draw import Draw, place, weigh
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..models.walks import Walked
from ..objectives import Objective, TermKind
from ..objectives.wake_sleep import Inclusive, SleepPhase
from .base import GradientEstimator, PointsPerDatum

__all__ = ["DetachedSamples", "FromModel"]


def _require_trainable_density(guide: Guide) -> None:
    """Refuse a guide whose log q(z | x) is not known, or cannot be trained, at points of the model."""
    # a point mass has density zero at all points but its own
    is_fixed = guide.is_exact or guide.is_certain or guide.takes_steps
    if not (guide.has_density and guide.scores_any_point) or is_fixed:
        what = f"{guide.phrase} cannot be trained on points that it did not draw itself"
        raise CompositionError(what, "Use a guide whose density is known everywhere, such as Amortized(...).")


@part
@dataclass(frozen=True)
class DetachedSamples(PointsPerDatum):
    """K points of the guide, detached: no gradient passes through them.

    Gradients of any bound with respect to the model's parameters are right. With respect to the guide's, the score of a
    bound would be missing (see `Score`), so that a guide can only maximise `Inclusive`.

    Args:
        k: points per datum.
    """

    k: Steps = 1

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
    """The sleep phase: as many data as the batch holds, sampled from the model, each at the z that it came from.

    Of the batch only the size, the mask and the context are used, not the values. The model is not trained.

    Source: Hinton, Dayan, Frey & Neal, "The wake-sleep algorithm for unsupervised neural networks", 1995.

    Raises:
        CompositionError: when it draws, if the guide cannot score a point that it did not draw.
    """

    def draw(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, generator: torch.Generator | None = None
    ) -> Draw:
        _require_trainable_density(guide)
        z, simulated = model.simulate(len(batch), generator, batch.context)
        x = simulated.x.to(batch.x)
        x = x if batch.mask is None else torch.where(batch.mask, x, batch.x)  # missing entries keep their fill
        samples = replace(batch, x=x, index=None)  # not rows of the data set
        q = guide(samples)
        with torch.no_grad():  # a likelihood that adapts its scale to the data must not adapt it to samples
            draw = weigh(model, q, z[None], samples)
        walk = q.walk_at(draw.z) if draw.walk is not None and isinstance(q, Walked) else draw.walk
        return replace(draw, differentiable=torch.is_grad_enabled(), walk=walk)

    def suits(self, term: Objective) -> bool:
        return isinstance(term, SleepPhase)

    @property
    def remedy(self) -> str:
        return "On samples of the model only SleepPhase() can be maximised."
