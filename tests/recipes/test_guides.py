"""Guides beyond the diagonal Gaussian begin as one, so that what they add can only be learned."""

from __future__ import annotations

import pytest
import torch

from jensen.core.batch import Batch
from jensen.core.random import drawing_from, stream
from jensen.recipes import RECIPES
from tests.recipes.test_base import D, context

NETS = [{"hidden": (50,)}, {"hidden": (50,), "blocks": 1}, {"hidden": ()}]
EACH = pytest.mark.parametrize("nets", NETS, ids=str)


def made(name: str, **options):
    with drawing_from(stream(0, "made")):
        return RECIPES[name](context("real", epochs=20), latent=3, **options)


def batch() -> Batch:
    return Batch(torch.randn(20, D, generator=stream(0, "x")))


@EACH
def test_a_full_covariance_begins_diagonal(nets):
    with torch.no_grad():
        q = made("full-covariance", **nets).guide(batch())
    assert torch.equal(q.scale_tril, torch.diag_embed(q.scale_tril.diagonal(dim1=-2, dim2=-1)))
    assert q.mean.std(0).min() > 0.01  # the rest is drawn as ever


@EACH
def test_a_low_rank_begins_nearly_diagonal_and_learns(nets):
    low_rank = made("low-rank", **nets)
    q = low_rank.guide(batch())
    size = (q.cov_factor.square().mean() / q.cov_diag.mean()).sqrt()
    assert 1e-4 < float(size.detach()) < 0.2
    away = (q.covariance_matrix * torch.ones(3, 3).tril(-1)).sum()
    last = low_rank.guide.conditional.net.nets[-1]
    last = last.layers[-1] if hasattr(last, "layers") else last.head
    (slope,) = torch.autograd.grad(away, [last.weight])
    assert (slope[6:].abs().sum(1) > 0).all()  # no row of the factor is at a saddle


@EACH
def test_components_begin_alike_but_not_the_same(nets):
    with torch.no_grad():
        q = made("mixture-posterior", components=4, **nets).guide(batch())
        means = q.component_distribution.mean
    assert torch.allclose(q.mixture_distribution.probs, torch.tensor(0.25))
    apart = means.std(1).mean() / means.mean(1).std(0).mean()
    assert 0.001 < float(apart) < 0.5


def test_all_of_them_warm_up():
    for name in ("vae", "full-covariance", "low-rank", "mixture-posterior"):
        (ramp,) = made(name).players[0].objective.ramps
        assert (ramp.target, ramp.steps) == (-1.0, 20)
        assert not made(name, warmup=0).players[0].objective.ramps
