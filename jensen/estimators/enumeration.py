"""Enumeration of a finite latent: every state, weighted by the guide."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, OneHotCategorical

from ..core.batch import Batch
from ..core.errors import NotEnumerable
from ..core.parts import part
from ..distributions import OneHots
from ..models.draw import Draw, weigh
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .base import WeightedSamples

__all__ = ["Enumerate", "bit_states", "class_states", "finite_states"]


MOST_STATES = 1 << 12


@part
@dataclass(frozen=True)
class Enumerate(WeightedSamples):
    """Every state of a finite latent, weighted by the guide: the gradient has no noise.

    A latent is finite as one of n classes (a Categorical guide), as G classes of n (a OneHots guide) or as Z bits (a
    Bernoulli guide), up to 4,096 states: gradients need all of them at once. `Enumerated` evaluates many more.
    """

    def draw(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, generator: torch.Generator | None = None
    ) -> Draw:
        q = guide(batch)
        z = finite_states(q, batch.x)[:, None].expand(-1, len(batch), -1)
        return weigh(model, q, z, batch, enumerated=True)


def bit_states(dim: int, start: int, stop: int, like: Tensor) -> Tensor:
    """Return the states [n, dim] from `start` to `stop` of that many bits: state j is j in binary, its lowest bit
    first.

    Example:
        >>> bit_states(2, 0, 4, torch.zeros(0))
        tensor([[0., 0.],
                [1., 0.],
                [0., 1.],
                [1., 1.]])
    """
    index = torch.arange(start, stop, device=like.device)[:, None]
    return ((index >> torch.arange(dim, device=like.device)) & 1).to(like.dtype)


def class_states(groups: int, classes: int, start: int, stop: int, like: Tensor) -> Tensor:
    """Return the states [S, G * n] from `start` to `stop` of G classes of n, one-hot: state j is j to the base n, its
    lowest digit first.

    Example:
        >>> class_states(2, 2, 1, 3, torch.zeros(0))
        tensor([[0., 1., 1., 0.],
                [1., 0., 0., 1.]])
    """
    index = torch.arange(start, stop, device=like.device)
    digits = [(index // classes**g) % classes for g in range(groups)]
    return torch.nn.functional.one_hot(torch.stack(digits, -1), classes).flatten(-2).to(like.dtype)


def finite_states(q: Distribution, like: Tensor) -> Tensor:
    """Return every state [n, Z] of a finite guide.

    Raises:
        NotEnumerable: there are infinitely many, or too many.
    """
    if isinstance(q, OneHots):
        n = q.classes**q.groups
        if n > MOST_STATES:
            raise NotEnumerable(
                f"{q.classes}^{q.groups} states are too many to differentiate all of them at once",
                f"Use at most {MOST_STATES:,} in all, Score(k), or a family with a temperature (Gumbel softmax).",
            )
        return class_states(q.groups, q.classes, 0, n, like)
    dim = q.event_shape[-1]
    bits = isinstance(q, Independent) and isinstance(q.base_dist, Bernoulli)
    if not bits and not isinstance(q, OneHotCategorical):
        raise NotEnumerable(f"{type(q).__name__} has infinitely many states", "Use Pathwise(k).")
    if dim > (MOST_STATES.bit_length() - 1 if bits else MOST_STATES):
        raise NotEnumerable(
            f"{f'2^{dim}' if bits else f'{dim:,}'} states are too many to differentiate all of them at once",
            f"Use at most {MOST_STATES:,} components, or {MOST_STATES.bit_length() - 1} bits.",
        )
    return bit_states(dim, 0, 1 << dim, like) if bits else torch.eye(dim, dtype=like.dtype, device=like.device)
