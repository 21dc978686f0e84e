"""Guides that take gradient steps: the best member of a family for each datum separately.

A q(z | x) that is fitted to its datum is a guide like any other, at the cost of steps for every batch. A fit depends on
the model, the datum and a seed alone: not on other data of the batch, and not on earlier fits.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..core.annotations import Steps
from ..core.batch import Batch
from ..core.errors import CompositionError
from ..core.parts import part
from ..core.random import stream
from ..core.validation import require_above, require_integer
from ..families import Family, Gaussian
from ..models.draw import weigh
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from . import Amortized

__all__ = [
    "PerDatum",
    "Refined",
    "Schedule",
    "fitted_params",
    "is_free",
    "refinable",
    "refined_params",
    "with_more_steps",
]

MONITORING = 5  # while training is monitored, the steps of an evaluation are divided by this


@dataclass(frozen=True)
class Schedule:
    """The schedule of a fit: Adam steps, their first rate (with cosine decay to zero), points per datum and step.

    Raises:
        UsageError: a number is out of range.
    """

    steps: Steps = 300
    lr: float = 0.03
    points: Steps = 8

    def __post_init__(self) -> None:
        require_integer(steps=self.steps, points=self.points)
        require_above(0, lr=self.lr)


def refinable(guide: Guide) -> bool:
    """Return whether a member of the guide's family can be fitted to each datum by gradient steps."""
    return isinstance(guide, Amortized) and is_free(guide.conditional.family)


def is_free(family: Family) -> TypeGuard[Gaussian]:
    """Return whether a family is a Gaussian with a scale for each datum, which `fitted_params` takes."""
    return isinstance(family, Gaussian) and not family.shared


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Set evaluation mode within the scope: a fit neither drops units nor moves running averages."""
    before = [m for m in model.modules() if m.training]
    for m in before:
        m.training = False
    try:
        yield
    finally:
        for m in before:
            m.training = True


def fitted_params(
    model: LatentVariableModel,
    family: Family,
    start: Tensor,
    batch: Batch,
    generator: torch.Generator,
    schedule: Schedule = Schedule(),
) -> Tensor:
    """Return parameters [B, P] of a Gaussian family that maximise the ELBO of each datum, from `start` [B, P].

    The steps of the last quarter are averaged, which removes the noise of the gradient (Polyak & Juditsky, 1992).
    All of the batch is fitted at once: memory is for `points` times B points with their gradients. The model does not
    change, and no gradient passes through the fit.

    Source: Cremer, Li & Duvenaud, "Inference suboptimality in variational autoencoders", 2018.

    Raises:
        CompositionError: the family is no Gaussian with a scale for each datum.
    """
    if not is_free(family):
        raise CompositionError(
            f"a guide must have a Gaussian family with a scale for each datum to be refined, got {family.phrase}",
            'Use a Gaussian guide with scale="each".',
        )
    free = nn.Parameter(start.detach().clone())
    optimizer = torch.optim.Adam([free], lr=schedule.lr)
    total, counted = torch.zeros_like(free), 0
    with _evaluation_mode(model), torch.enable_grad():
        for step in range(schedule.steps):
            optimizer.param_groups[0]["lr"] = schedule.lr * 0.5 * (1 + math.cos(math.pi * step / schedule.steps))
            # one noise for all data, so that a fit does not depend on the other data of the batch
            shape = (schedule.points, 1, family.dim)
            noise = torch.randn(shape, dtype=free.dtype, device=free.device, generator=generator)
            loc, scale = family.loc_scale(free)
            z = loc + scale * noise
            # the density at frozen parameters: the same gradient in expectation, without the score's noise
            # (Roeder, Wu & Duvenaud, 2017), so that it vanishes where q is the posterior
            draw = weigh(model, family(free.detach()), z, batch, noise=noise.expand_as(z))
            (free.grad,) = torch.autograd.grad(-draw.log_weight.mean(0).sum(), [free])
            optimizer.step()
            if step >= schedule.steps * 3 // 4:
                total += free.detach()
                counted += 1
    return total / counted


def refined_params(
    model: LatentVariableModel,
    guide: Amortized,
    batch: Batch,
    generator: torch.Generator,
    schedule: Schedule = Schedule(),
) -> Tensor:
    """Return parameters [B, P] of the guide's family, fitted to each datum from the network's proposal."""
    with torch.no_grad():
        start = guide.conditional.params(guide.net_input(batch))
    return fitted_params(model, guide.conditional.family, start, batch, generator, schedule)


@part
class Refined(Guide):
    """q(z | x) with parameters refined for each datum, from an amortised guide's proposal: semi-amortised.

    In training mode it is the amortised guide itself, whose network learns; in evaluation mode it takes its steps (no
    gradient passes through them). Training is monitored on validation rows by the amortised guide, which has a bound
    too, and takes no steps.

    Sources: Kim et al., "Semi-amortized variational autoencoders", 2018 (steps at test time only here); Cremer, Li &
    Duvenaud, "Inference suboptimality in variational autoencoders", 2018.

    Args:
        model: of the ELBO that the steps maximise.
        guide: of the first parameters and of the family.
        steps, lr, points: see `Schedule`.
        seed: of the gradient's noise.

    Raises:
        CompositionError: the guide is not amortised; when called, it has no Gaussian with a scale for each datum.
    """

    def __init__(
        self,
        model: LatentVariableModel,
        guide: Amortized,
        steps: Steps = 300,
        lr: float = 0.03,
        points: Steps = 8,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not isinstance(guide, Amortized):
            raise CompositionError(
                f"the guide to refine must be Amortized, got {type(guide).__name__}", "Use it as it is."
            )
        self.model, self.guide, self.seed = model, guide, seed
        self.schedule = Schedule(steps, lr, points)

    def forward(self, batch: Batch) -> Distribution:
        if self.training:
            return self.guide(batch)
        noise = stream(self.seed, "refine", batch.x.device)
        params = refined_params(self.model, self.guide, batch, noise, self.schedule)
        return self.guide.conditional.family(params)

    @property
    def phrase(self) -> str:
        return f"{self.guide.phrase}, refined by {self.schedule.steps} steps per datum"

    @property
    def followed(self) -> Guide:
        return self.guide

    @property
    def takes_steps(self) -> bool:
        return True


@part
class PerDatum(Guide):
    r"""One member of a Gaussian family for each datum, :math:`q(z|x_n) = q(z; \lambda_n)`: no network reads x.

    In training mode row n of a table is the q of training row n, by the batch's `index`. For any other rows - in
    evaluation mode, training rows included, or without an index - q is fitted by gradient steps on the ELBO at the
    model as it is, from the table's mean: deterministic, and the same treatment for training and test rows. While
    training is monitored on validation rows, a fifth of the steps is taken.

    The file of weights holds the N rows of the table. Rows that are not in a step's batch have no gradient: train the
    table with an optimiser that does not move them then (Adagrad, RMSprop, SGD, all without momentum). Adam would move
    them by old gradients.

    Source: Hoffman, Blei, Wang & Paisley, "Stochastic variational inference", 2013.

    Args:
        model: of the ELBO that the steps maximise for rows that are not in the table.
        family: Gaussian, over the model's Z features, with a scale each.
        rows: N training rows.
        steps, lr, points: see `Schedule`.
        seed: of the noise of a fit.

    Raises:
        CompositionError: another family or size; when called in training mode, rows of another data set.

    Example:
        >>> from jensen.models.conditionals import Linear, Unconditional
        >>> model = LatentVariableModel(Unconditional(Gaussian(2)), Linear(2, 5))
        >>> guide = PerDatum(model, Gaussian(2), rows=100)
        >>> guide(Batch(torch.zeros(3, 5), index=torch.tensor([4, 0, 99]), n_data=100)).batch_shape
        torch.Size([3])
        >>> guide.eval()(Batch(torch.zeros(7, 5))).batch_shape
        torch.Size([7])
    """

    def __init__(
        self,
        model: LatentVariableModel,
        family: Family,
        rows: int,
        steps: Steps = 100,
        lr: float = 0.3,
        points: Steps = 4,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not is_free(family) or family.dim != model.latent:
            raise CompositionError(
                f"{family.phrase} cannot be fitted datum by datum to {model.latent} latent features",
                f'Use Gaussian({model.latent}), with scale="each" (a table has a row of its own for each datum).',
            )
        require_integer(rows=rows)
        self.model, self.family, self.seed = model, family, seed
        self.schedule = Schedule(steps, lr, points)
        self.table = nn.Parameter(torch.zeros(rows, family.size))

    def forward(self, batch: Batch) -> Distribution:
        if self.training and batch.index is not None:
            if batch.n_data != len(self.table):
                raise CompositionError(
                    f"the table has {len(self.table)} rows, and the data set {batch.n_data}",
                    "Train on the rows that it was made for, or call eval() first, so that q is fitted.",
                )
            return self.family(self.table[batch.index])
        start = self.table.detach().mean(0).expand(len(batch), -1)
        noise = stream(self.seed, "per datum", batch.x.device)
        return self.family(fitted_params(self.model, self.family, start, batch, noise, self.schedule))

    @property
    def phrase(self) -> str:
        return f"{self.family.phrase} for each datum, by {self.schedule.steps} gradient steps where it is a new one"

    @property
    def followed(self) -> Guide:
        return self._with_steps(max(self.schedule.steps // MONITORING, 1))

    @property
    def takes_steps(self) -> bool:
        return True

    def _with_steps(self, steps: int) -> PerDatum:
        """Return a copy with another number of steps, which shares the table."""
        other = copy.copy(self)
        other.schedule = replace(self.schedule, steps=steps)
        return other


def with_more_steps(model: LatentVariableModel, guide: Guide, steps: int, seed: int = 0) -> Guide | None:
    """Return a guide, for evaluation, that fits the family to each datum by this many steps; None if it cannot.

    A guide that takes steps itself takes at least as many as its own, from the same start.
    """
    if isinstance(guide, PerDatum):
        more: Guide = guide._with_steps(max(steps, guide.schedule.steps))
        more.training = False  # not that of the model, which it shares
        return more
    if isinstance(guide, Refined):
        steps, guide = max(steps, guide.schedule.steps), guide.guide
    if not isinstance(guide, Amortized) or not refinable(guide):
        return None
    refined = Refined(model, guide, steps=steps, seed=seed)
    refined.training = False
    return refined
