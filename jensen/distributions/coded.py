"""Distributions over code vectors: a single state, and any distribution of their indices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

__all__ = ["Coded", "OneState"]

Vectors = Callable[[Tensor], Tensor]  # indices [..., G] -> code vectors [..., G * E]
Indices = Callable[[Tensor], Tensor]  # vectors [..., G * E] -> indices [..., G] of the codes that they are


class _OfCodes(constraints.Constraint):
    """Vectors that are code vectors."""

    is_discrete = True
    event_dim = 1

    def __init__(self, vectors: Vectors, indices: Indices) -> None:
        self.vectors, self.indices = vectors, indices

    def check(self, value: Tensor) -> Tensor:
        return torch.isclose(self.vectors(self.indices(value)).to(value), value, atol=1e-5).all(-1)


class _StraightThrough(torch.autograd.Function):
    """The value, with the gradient of h."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return grad, None


class OneState(Distribution):
    r"""All mass on one setting of G codes: :math:`\log q(z) = 0` there, as a mass, and minus infinity elsewhere.

    A sample is the codes' vectors, with the gradient of the vectors before rounding (straight-through: biased).

    Args:
        h: [..., G * E] before it was rounded.
        codes: [..., G] indices of the codes.
        vectors, indices: from indices to vectors, and back.

    Source: Bengio, Leonard & Courville, 2013; van den Oord, Vinyals & Kavukcuoglu, 2017.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    has_rsample = True

    def __init__(self, h: Tensor, codes: Tensor, vectors: Vectors, indices: Indices) -> None:
        self.h, self.codes, self._vectors, self._indices = h, codes, vectors, indices
        self.value = vectors(codes).detach().to(h.dtype)
        super().__init__(h.shape[:-1], h.shape[-1:], validate_args=False)

    @property
    def support(self) -> constraints.Constraint:  # pyright: ignore[reportIncompatibleVariableOverride]
        return _OfCodes(self._vectors, self._indices)

    @property
    def mean(self) -> Tensor:
        return self.value

    @property
    def variance(self) -> Tensor:
        return torch.zeros_like(self.value)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.value.expand(self._extended_shape(torch.Size(sample_shape)))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        path = _StraightThrough.apply(self.h, self.value)
        return torch.as_tensor(path).expand(self._extended_shape(torch.Size(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        same = (self._vectors(self._indices(value.detach())).to(self.value) == self.value).all(-1)
        return torch.where(same, 0.0, -torch.inf).to(self.value.dtype)


class Coded(Distribution):
    """Code vectors whose indices, one-hot, have another distribution: the mass of a vector is that of its index.

    Args:
        base: over G one-hot groups of n, [..., G * n].
        vectors, indices: from indices to vectors, and back.
        codes: n.
        width: G * E.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, base: Distribution, vectors: Vectors, indices: Indices, codes: int, width: int) -> None:
        self.base, self._vectors, self._indices, self.codes = base, vectors, indices, codes
        super().__init__(base.batch_shape, torch.Size((width,)), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:  # pyright: ignore[reportIncompatibleVariableOverride]
        return _OfCodes(self._vectors, self._indices)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> Coded:
        base = self.base.expand(torch.Size(batch_shape))
        return Coded(base, self._vectors, self._indices, self.codes, self.event_shape[0])

    def _decoded(self, y: Tensor) -> Tensor:
        return self._vectors(y.unflatten(-1, (-1, self.codes)).argmax(-1)).to(y.dtype)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        with torch.no_grad():
            return self._decoded(self.base.sample(torch.Size(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        index = self._indices(value.detach())
        y = torch.nn.functional.one_hot(index, self.codes).flatten(-2)
        return self.base.log_prob(y.to(value.dtype))

    def _means(self, power: int) -> Tensor:
        """Return the mean of a power of each entry of the vectors, by the mean of the one-hot groups."""
        shares = self.base.mean.unflatten(-1, (-1, self.codes))  # [..., G, n]
        groups = shares.shape[-2]
        every = self._vectors(torch.arange(self.codes, device=shares.device)[:, None].expand(-1, groups))
        each = every.unflatten(-1, (groups, -1)).to(shares.dtype).pow(power)  # [n, G, E]
        return torch.einsum("...gn,nge->...ge", shares, each).flatten(-2)

    @property
    def mean(self) -> Tensor:
        return self._means(1)

    @property
    def variance(self) -> Tensor:
        return (self._means(2) - self.mean.square()).clamp_min(0.0)
