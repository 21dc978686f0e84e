"""Refinement: the best member of the guide's family for each datum by itself, by gradient steps at test time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from .batch import Batch
from .draw import weigh
from .errors import CompositionError
from .families import Gaussian
from .guides import Amortized, Guide
from .model import LatentVariableModel
from .parts import part
from .randomness import stream

__all__ = ["Refined", "refinable", "refined_params"]


@dataclass(frozen=True)
class Schedule:
    """How far to climb: Adam steps, their first rate (it decays to zero along a cosine), points per datum and step."""

    steps: int = 300
    lr: float = 0.03
    points: int = 8


def refinable(guide: Guide) -> bool:
    """Whether each datum can have a member of the guide's family of its own, found by gradient steps."""
    if not isinstance(guide, Amortized):
        return False
    family = guide.conditional.family
    return isinstance(family, Gaussian) and not family.shared


def refined_params(
    model: LatentVariableModel,
    guide: Amortized,
    batch: Batch,
    generator: torch.Generator,
    schedule: Schedule = Schedule(),
) -> Tensor:
    """Parameters [B, P] of the guide's family that climb the ELBO datum by datum, from the network's own proposal.

    The steps of the last quarter are averaged, which takes the noise of the gradient out (Polyak & Juditsky, 1992).
    All of the batch is refined at once: memory is for `points` times B points with their gradients.

    Source: Cremer, Li & Duvenaud, "Inference suboptimality in variational autoencoders", 2018.
    """
    family = guide.conditional.family
    if not isinstance(family, Gaussian) or family.shared:
        raise CompositionError(
            f"a guide of the family {family.phrase} is not refined yet", 'Use a Gaussian guide with scale="each".'
        )
    with torch.no_grad():
        free = nn.Parameter(guide.conditional.params(batch.x).detach().clone())
    optimizer = torch.optim.Adam([free], lr=schedule.lr)
    total, counted = torch.zeros_like(free), 0
    for step in range(schedule.steps):
        optimizer.param_groups[0]["lr"] = schedule.lr * 0.5 * (1 + math.cos(math.pi * step / schedule.steps))
        with torch.enable_grad():
            # one noise for all data, so that what is found for a datum does not depend on its neighbours
            shape = (schedule.points, 1, family.dim)
            noise = torch.randn(shape, dtype=free.dtype, device=free.device, generator=generator)
            loc, scale = family.loc_scale(free)
            z = loc + scale * noise
            # the density at frozen parameters: the same gradient in expectation, without the score's noise
            # (Roeder, Wu & Duvenaud, 2017), so that it dies out where q meets the posterior
            draw = weigh(model, family(free.detach()), z, batch, noise=noise.expand_as(z))
            (free.grad,) = torch.autograd.grad(-draw.log_weight.mean(0).sum(), [free])
        optimizer.step()
        if step >= schedule.steps * 3 // 4:
            total += free.detach()
            counted += 1
    return total / counted


@part
class Refined(Guide):
    """q(z | x) with parameters refined for each datum, from an amortised guide's proposal.

    Args:
        model: whose ELBO is climbed.
        guide: proposes where to begin, and says which family.
        steps, lr, points: see `Schedule`.
        seed: of the gradient's noise.
    """

    def __init__(
        self,
        model: LatentVariableModel,
        guide: Amortized,
        steps: int = 300,
        lr: float = 0.03,
        points: int = 8,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not isinstance(guide, Amortized):
            raise CompositionError(
                f"{type(guide).__name__} is not amortised, so there is nothing to refine", "Use it as it is."
            )
        self.model, self.guide, self.seed = model, guide, seed
        self.schedule = Schedule(steps, lr, points)

    def forward(self, batch: Batch) -> Distribution:
        noise = stream(self.seed, "refine", batch.x.device)
        params = refined_params(self.model, self.guide, batch, noise, self.schedule)
        return self.guide.conditional.family(params)

    @property
    def phrase(self) -> str:
        return f"{self.guide.phrase}, refined by {self.schedule.steps} steps per datum"
