r"""Masses of rounded logistic variables, whose gradients take half of the usual operations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from .normal_terms import like

__all__ = ["rounded_logistic_terms"]


class _Terms(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, loc: Tensor, scale: Tensor, half: Tensor, is_lowest: Tensor | None) -> Tensor:
        at, width = (x - loc) / scale, half / scale
        above = width + at
        ctx.save_for_backward(x, loc, scale, half, is_lowest, at, width)
        below = logsigmoid(above)
        inner = below + logsigmoid(width - at) + torch.expm1(-2 * width).neg_().log_()
        return inner if is_lowest is None else torch.where(is_lowest, below, inner)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, loc, scale, half, is_lowest, at, width = ctx.saved_tensors
        of_x, of_loc, of_scale, *_ = ctx.needs_input_grad
        if torch.is_grad_enabled():  # this gradient will be differentiated: these depend on the parameters
            at, width = (x - loc) / scale, half / scale
        above, below = torch.sigmoid(-width - at), torch.sigmoid(at - width)  # 1 - sigma of both arguments
        rise, widen = above - below, above + below + 2 / torch.expm1(2 * width)
        if is_lowest is not None:
            rise, widen = torch.where(is_lowest, above, rise), torch.where(is_lowest, above, widen)
        share = grad / scale
        slope = share * rise
        return (
            like(slope, x) if of_x else None,
            like(-slope, loc) if of_loc else None,
            like(-(slope * at + share * (widen * width)), scale) if of_scale else None,
            None,
            None,
        )


def rounded_logistic_terms(
    x: Tensor, loc: Tensor, scale: Tensor, half: Tensor, is_lowest: Tensor | None = None
) -> Tensor:
    r"""Return :math:`\log[\sigma((x + h - \mu)/s) - \sigma((x - h - \mu)/s)]`, exact in both tails.

    Args:
        x: [...], which all broadcast.
        loc, scale: mu and s.
        half: h, of which no gradient is taken.
        is_lowest: where all of the mass below counts too: the second sigmoid is left out.

    Example:
        >>> one = torch.ones(1)
        >>> rounded_logistic_terms(0 * one, 0 * one, one, 0.5 * one).exp()
        tensor([0.2449])
    """
    return _Terms.apply(x, loc, scale, half, is_lowest)  # pyright: ignore[reportReturnType]
