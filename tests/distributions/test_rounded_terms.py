"""The fused masses of rounded logistic variables are the plain ones, with their first and second derivatives."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import logsigmoid

from jensen.core.random import stream
from jensen.distributions.rounded_terms import rounded_logistic_terms


def plain(x, loc, scale, half, is_lowest):
    at, width = (x - loc) / scale, half / scale
    below = logsigmoid(width + at)
    inner = below + logsigmoid(width - at) + torch.log(-torch.expm1(-2 * width))
    return inner if is_lowest is None else torch.where(is_lowest, below, inner)


@pytest.mark.parametrize("has_lowest", [False, True])
@pytest.mark.parametrize(
    "shapes", [((3, 4), (3, 4), (3, 4)), ((3, 4, 1), (5, 3, 4, 2), (4, 2))], ids=["same", "points"]
)
def test_values_and_derivatives_are_the_plain_ones(shapes, has_lowest):
    noise = stream(0, "terms")
    x, loc, raw = (torch.randn(s, dtype=torch.float64, generator=noise).requires_grad_() for s in shapes)
    half = torch.rand(x.shape[-2:], dtype=torch.float64, generator=noise) + 0.1
    is_lowest = (x < 0).detach() if has_lowest else None
    values = [f(x, loc, raw.exp(), half, is_lowest) for f in (rounded_logistic_terms, plain)]
    torch.testing.assert_close(*values, rtol=1e-12, atol=1e-12)
    weights = torch.rand(values[0].shape, dtype=torch.float64, generator=noise)
    first = [torch.autograd.grad((weights * v).sum(), (x, loc, raw), create_graph=True) for v in values]
    for mine, known in zip(*first, strict=True):
        torch.testing.assert_close(mine, known, rtol=1e-10, atol=1e-12)
    second = [torch.autograd.grad(sum(g.square().sum() for g in own), (x, loc, raw)) for own in first]
    for mine, known in zip(*second, strict=True):
        torch.testing.assert_close(mine, known, rtol=1e-8, atol=1e-11)
