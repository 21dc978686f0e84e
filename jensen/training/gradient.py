"""The gradient of one player's objective on a batch, and the measures of that batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..core.batch import Batch
from ..models.draw import Draw
from .players import Player
from .running_measures import Sums, sums_of
from .setup import TrainingSetup
from .shared_steps import mean_loss

__all__ = ["Gradient", "gradient"]


class Gradient(NamedTuple):
    """The result of one evaluation of a player's objective.

    Attributes:
        sums: of the measures over the batch.
        loss: [] minus the mean objective, in nats per datum.
        parts: the gradient of the loss by each trained parameter; None where it does not depend on one.
    """

    sums: Sums
    loss: Tensor
    parts: Sequence[Tensor | None]


def gradient(
    setup: TrainingSetup,
    player: Player,
    batch: Batch,
    noise: torch.Generator,
    trained: Sequence[Tensor],
    observe: Callable[[Draw, Tensor], object] = lambda draw, value: None,
) -> Gradient:
    """Return the gradient of a player's objective on a batch.

    Args:
        setup: of the training.
        player: whose objective it is.
        batch: of data.
        noise: of the draw.
        trained: the player's trained parameters.
        observe: called with the draw and the objective [B], before gradients are computed.
    """
    draw = player.estimator.draw(setup.model, setup.guide, batch, noise)
    value = player.estimator.surrogate(player.objective, draw)
    observe(draw, value)
    loss = mean_loss(value)
    parts = torch.autograd.grad(loss, list(trained), allow_unused=True)
    with torch.no_grad():
        parts = _own(parts, trained)
        bound = setup.plan.bound_of(setup.guide, player.objective, draw)
        sums = sums_of(value, bound, draw, setup.guide.is_exact)
    return Gradient(sums, loss.detach(), parts)


def _own(parts: Sequence[Tensor | None], trained: Sequence[Tensor]) -> list[Tensor | None]:
    """Return gradients in the layout of their parameters and in memory of their own, as optimisers need."""
    own: list[Tensor | None] = []
    places: set[int] = set()
    for part, parameter in zip(parts, trained, strict=True):
        if part is not None and (part.stride() != parameter.stride() or part.data_ptr() in places):
            part = torch.empty_like(parameter).copy_(part)
        if part is not None:
            places.add(part.data_ptr())
        own.append(part)
    return own
