r"""Densities and divergences of independent normal features, whose gradients take a third of the usual operations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .numbers import LOG_2PI

__all__ = ["like", "normal_log_prob", "normal_log_terms", "normal_rate"]


def like(gradient: Tensor, x: Tensor) -> Tensor:
    """Return a gradient summed over the axes along which x was broadcast."""
    return gradient if gradient.shape == x.shape else gradient.sum_to_size(x.shape)


class _LogProb(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
        residual = (x - loc) / scale
        ctx.save_for_backward(x, loc, scale, residual)
        return -0.5 * (residual.square().sum(-1) + residual.shape[-1] * LOG_2PI) - scale.log().sum(-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, loc, scale, residual = ctx.saved_tensors
        of_x, of_loc, of_scale = ctx.needs_input_grad
        if torch.is_grad_enabled():  # this gradient will be differentiated: the residual depends on the parameters
            residual = (x - loc) / scale
        share = grad.unsqueeze(-1) / scale
        slope = share * residual
        return (
            like(-slope, x) if of_x else None,
            like(slope, loc) if of_loc else None,
            like(torch.addcmul(-share, slope, residual), scale) if of_scale else None,
        )


class _Terms(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
        residual = (x - loc) / scale
        ctx.save_for_backward(x, loc, scale, residual)
        return torch.addcmul(scale.log().neg_().sub_(0.5 * LOG_2PI), residual, residual, value=-0.5)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, loc, scale, residual = ctx.saved_tensors
        of_x, of_loc, of_scale = ctx.needs_input_grad
        if torch.is_grad_enabled():
            residual = (x - loc) / scale
        share = grad / scale
        slope = share * residual
        return (
            like(-slope, x) if of_x else None,
            like(slope, loc) if of_loc else None,
            like(torch.addcmul(-share, slope, residual), scale) if of_scale else None,
        )


class _Rate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loc: Tensor, scale: Tensor, loc0: Tensor, scale0: Tensor) -> Tensor:
        ratio, shift = scale / scale0, (loc - loc0) / scale0
        ctx.save_for_backward(loc, scale, loc0, scale0, ratio, shift)
        square = ratio.square()
        return 0.5 * torch.addcmul(square, shift, shift).sub_(1).sub_(square.log()).sum(-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        loc, scale, loc0, scale0, ratio, shift = ctx.saved_tensors
        if torch.is_grad_enabled():
            ratio, shift = scale / scale0, (loc - loc0) / scale0
        share = grad.unsqueeze(-1) / scale0
        of_loc, of_scale, of_loc0, of_scale0 = ctx.needs_input_grad
        slope = share * shift if of_loc or of_loc0 else share
        return (
            like(slope, loc) if of_loc else None,
            like(share * (ratio - ratio.reciprocal()), scale) if of_scale else None,
            like(-slope, loc0) if of_loc0 else None,
            like(share * (1 - ratio.square() - shift.square()), scale0) if of_scale0 else None,
        )


def normal_log_prob(x: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    r"""Return the log-density [...] of independent normal features [..., D], which broadcast against each other.

    .. math:: \log p(x) = -\tfrac12 \sum_d \left[ ((x_d - \mu_d)/\sigma_d)^2 + 2\log\sigma_d + \log 2\pi \right]

    Args:
        x: [..., D].
        loc, scale: [..., D], each with all features.

    Example:
        >>> round(normal_log_prob(torch.zeros(2), torch.zeros(2), torch.ones(2)).item(), 4)
        -1.8379
    """
    return _LogProb.apply(x, loc, scale)  # pyright: ignore[reportReturnType]


def normal_log_terms(x: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """Return the log-density [...] of normal variables, which broadcast against each other, one by one.

    Example:
        >>> normal_log_terms(torch.zeros(1), torch.zeros(2), torch.ones(2))
        tensor([-0.9189, -0.9189])
    """
    return _Terms.apply(x, loc, scale)  # pyright: ignore[reportReturnType]


def normal_rate(loc: Tensor, scale: Tensor, loc0: Tensor, scale0: Tensor) -> Tensor:
    r"""Return the divergence [...] of independent normal features from others, in nats.

    .. math:: KL = \tfrac12 \sum_d \left[ r_d^2 + t_d^2 - 1 - \log r_d^2 \right], \quad
        r = \sigma / \sigma_0, \quad t = (\mu - \mu_0) / \sigma_0

    Args:
        loc, scale: [..., D] of the first.
        loc0, scale0: [..., D] of the second.

    Example:
        >>> normal_rate(torch.ones(2), torch.ones(2), torch.zeros(2), torch.ones(2)).item()
        1.0
    """
    return _Rate.apply(loc, scale, loc0, scale0)  # pyright: ignore[reportReturnType]
