"""Several independent classes as one-hot groups, with relaxed samples at a temperature."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.kl import register_kl

__all__ = ["OneHots"]


class _Simplices(constraints.Constraint):
    """Groups of n numbers from 0 to 1 that add up to 1: one-hot ones, and the relaxed ones between them."""

    is_discrete = True
    event_dim = 1

    def __init__(self, groups: int) -> None:
        self.groups = groups

    def check(self, value: Tensor) -> Tensor:
        z = value.unflatten(-1, (self.groups, -1))
        return ((z >= 0).all(-1) & ((z.sum(-1) - 1).abs() < 1e-5)).all(-1)


class OneHots(Distribution):
    r"""G independent classes of n, each one-hot, one after another: :math:`\log q(z) = \sum_{gj} z_{gj} \log q_{gj}`.

    With a temperature t, z has a pathwise gradient by the logits l, that of the Gumbel softmax

    .. math:: y_g = \mathrm{softmax}\big((l_g + \text{Gumbel noise}) / t\big)

    which is biased. Samples are relaxed where gradients are recorded, and exact one-hot ones elsewhere. With `hard`, a
    sample is the one-hot of the largest y, and only its gradient is that of y (straight-through): values computed from
    it are then exact.

    Args:
        logits: [..., G * n], whatever their sum.
        groups: G.
        temperature: t; None for no pathwise gradient.
        hard: one-hot samples, with the gradient of relaxed ones.

    Source: Jang, Gu & Poole, "Categorical reparameterization with Gumbel-softmax", 2017; Maddison, Mnih & Teh, "The
    concrete distribution", 2017.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, logits: Tensor, groups: int, temperature: float | None = None, hard: bool = True) -> None:
        self.groups, self.temperature, self.hard = groups, temperature, hard
        self.classes = logits.shape[-1] // groups
        self.logs = logits.unflatten(-1, (groups, self.classes)).log_softmax(-1)  # [..., G, n]
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=False)

    @property
    def support(self) -> constraints.Constraint:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _Simplices(self.groups)

    @property
    def has_rsample(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.temperature is not None

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> OneHots:
        logs = self.logs.expand(*batch_shape, *self.logs.shape[-2:])
        return OneHots(logs.flatten(-2), self.groups, self.temperature, self.hard)

    @property
    def probs(self) -> Tensor:
        """The probabilities [..., G * n]."""
        return self.mean

    @property
    def mean(self) -> Tensor:
        return self.logs.exp().flatten(-2)

    @property
    def variance(self) -> Tensor:
        return self.mean * (1 - self.mean)

    def _perturbed(self, shape: Sequence[int]) -> Tensor:
        """Return logits [*shape, ..., G, n] plus Gumbel noise; the largest of a group is a sample of its class."""
        uniform = torch.rand((*shape, *self.logs.shape), dtype=self.logs.dtype, device=self.logs.device)
        tiny = torch.finfo(uniform.dtype).tiny
        return self.logs - (-uniform.clamp_min(tiny).log()).clamp_min(tiny).log()

    def _one_hot(self, scores: Tensor) -> Tensor:
        return torch.zeros_like(scores).scatter_(-1, scores.argmax(-1, keepdim=True), 1.0)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        with torch.no_grad():
            return self._one_hot(self._perturbed(sample_shape)).flatten(-2)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        if self.temperature is None:
            raise NotImplementedError("one-hot samples have no pathwise gradient without a temperature")
        if not torch.is_grad_enabled():
            return self.sample(sample_shape)
        scores = self._perturbed(sample_shape)
        soft = (scores / self.temperature).softmax(-1)
        if not self.hard:
            return soft.flatten(-2)
        # the difference is exactly zero, so that the sample is exactly one-hot
        return (self._one_hot(scores.detach()) + (soft - soft.detach())).flatten(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        z = value.unflatten(-1, (self.groups, self.classes))
        if z.requires_grad:  # zero times a finite number keeps the gradient by z
            return (z * self.logs.clamp_min(torch.finfo(z.dtype).min)).sum((-2, -1))
        # by selection, so that a class of probability zero does not make 0 * inf
        return torch.where(z > 0.5, self.logs, torch.zeros_like(self.logs)).sum((-2, -1))


@register_kl(OneHots, OneHots)
def _kl(q: OneHots, p: OneHots) -> Tensor:
    share = q.logs.exp()
    return torch.where(share > 0, share * (q.logs - p.logs), torch.zeros_like(share)).sum((-2, -1))
