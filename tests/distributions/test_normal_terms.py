"""The fused terms of normal features are torch's own, with their first and second derivatives."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from jensen.core.random import stream
from jensen.distributions.normal_terms import normal_log_prob, normal_log_terms, normal_rate
from tests.identities.models import close


def tensors(*shapes):
    noise = stream(0, "terms")
    return [torch.randn(s, dtype=torch.float64, generator=noise).requires_grad_() for s in shapes]


def plain_log_prob(x, loc, raw):
    return Normal(loc, raw.exp(), validate_args=False).log_prob(x).sum(-1)


def plain_rate(loc, raw, loc0, raw0):
    first, second = (Independent(Normal(m, s.exp(), validate_args=False), 1) for m, s in ((loc, raw), (loc0, raw0)))
    return kl_divergence(first, second)


def plain_terms(x, loc, raw):
    return Normal(loc, raw.exp(), validate_args=False).log_prob(x)


CASES = {
    "terms": (plain_terms, lambda x, m, s: normal_log_terms(x, m, s.exp()), [(3, 4, 1), (5, 3, 4, 2), (4, 2)]),
    "log_prob": (plain_log_prob, lambda x, m, s: normal_log_prob(x, m, s.exp()), [(2, 3, 4)] * 3),
    "log_prob, points": (plain_log_prob, lambda x, m, s: normal_log_prob(x, m, s.exp()), [(5, 3, 4), (3, 4), (4,)]),
    "log_prob, data": (plain_log_prob, lambda x, m, s: normal_log_prob(x, m, s.exp()), [(3, 4), (5, 3, 4), (5, 3, 4)]),
    "rate": (plain_rate, lambda m, s, a, b: normal_rate(m, s.exp(), a, b.exp()), [(3, 4)] * 4),
    "rate, shared prior": (
        plain_rate,
        lambda m, s, a, b: normal_rate(m, s.exp(), a, b.exp()),
        [(3, 4)] * 2 + [(4,)] * 2,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives_are_those_of_torch(name):
    plain, fused, shapes = CASES[name]
    given = tensors(*shapes)
    close(fused(*given), plain(*given), 1e-12)
    weights = torch.rand(plain(*given).shape, dtype=torch.float64, generator=stream(0, "weights"))
    gradients = [torch.autograd.grad((weights * f(*given)).sum(), given, create_graph=True) for f in (fused, plain)]
    for mine, torchs in zip(*gradients, strict=True):
        close(mine, torchs, 1e-11)
    seconds = [torch.autograd.grad(sum(g.square().sum() for g in own), given) for own in gradients]
    for mine, torchs in zip(*seconds, strict=True):
        close(mine, torchs, 1e-9)


@pytest.mark.parametrize("name", ["log_prob, points", "rate, shared prior"])
@pytest.mark.parametrize("place", range(3))
def test_only_gradients_that_are_asked_for_are_computed(name, place):
    plain, fused, shapes = CASES[name]
    given = [t.detach().requires_grad_(i == place) for i, t in enumerate(tensors(*shapes))]
    mine, torchs = (torch.autograd.grad(f(*given).sum(), given[place])[0] for f in (fused, plain))
    close(mine, torchs, 1e-11)


def test_a_scale_far_from_the_other_keeps_its_precision():
    one = torch.ones(1, dtype=torch.float64)
    for ratio in (1e-6, 1 - 1e-9, 1e6):
        expected = 0.5 * (ratio**2 - 1) - torch.log(torch.tensor(ratio, dtype=torch.float64))
        close(normal_rate(0 * one, ratio * one, 0 * one, one), expected, 1e-12)
