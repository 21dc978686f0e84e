"""Mixtures of a feature's own: against those of one component, by link, floor and feature."""

from __future__ import annotations

import math

import pytest
import torch

from jensen.core.errors import UsageError
from jensen.core.random import drawing_from, stream
from jensen.distributions import FeatureMixture, LinkedNormal
from jensen.families import BOUND, Gaussian, GaussianMixtures, LogitNormal, LogNormal

OF = ("positive", "real", "unit", "real")
FLOORS = (1e-4, 1e-3, 1e-2, 1e-6)
ONE = {"positive": LogNormal, "real": Gaussian, "unit": LogitNormal}


def mixed(n: int):
    """Return a family of four features, parameters, and data in the support of each."""
    family = GaussianMixtures(4, n, FLOORS, OF)
    params = torch.randn(30, family.size, dtype=torch.float64, generator=stream(0, "params"))
    with drawing_from(stream(0, "x")):
        return family, params, family(params).sample()


def test_each_feature_is_a_mixture_of_its_own_kind():
    """log sum_j pi_j p_j(x) by the family of one component, feature by feature."""
    family, params, x = mixed(3)
    logits, loc, raw = params.unflatten(-1, (3, 4, 3)).unbind(-3)
    for d, (of, floor) in enumerate(zip(OF, FLOORS, strict=True)):
        one = ONE[of](1, floor=floor)
        each = [one.log_prob(torch.stack([loc[:, d, j], raw[:, d, j]], -1), x[:, d : d + 1]) for j in range(3)]
        known = torch.logsumexp(logits[:, d].log_softmax(-1) + torch.stack(each, -1), -1)
        torch.testing.assert_close(family.terms(params, x)[:, d], known, rtol=1e-11, atol=1e-11)
        alone = GaussianMixtures(1, 3, floor, of)
        own = torch.stack([logits[:, d], loc[:, d], raw[:, d]], -2).flatten(-2)
        torch.testing.assert_close(alone.log_prob(own, x[:, d : d + 1]), known, rtol=1e-11, atol=1e-11)
        mean = (logits[:, d].softmax(-1) * _means(one, loc[:, d], raw[:, d])).sum(-1)
        torch.testing.assert_close(family(params).mean[:, d], mean, rtol=1e-9, atol=1e-9)


def _means(one, loc, raw):
    return torch.stack([one(torch.stack([m, r], -1)).mean[..., 0] for m, r in zip(loc.mT, raw.mT, strict=True)], -1)


def test_samples_are_in_the_support_with_the_mean():
    """20,000 samples: means within 5 standard errors; components of scale 1/4, so that those errors are known."""
    family = GaussianMixtures(4, 2, FLOORS, OF)
    params = torch.tensor([0.3, -0.2, 0.5, 0.1, 1.0, 0.0, -1.0, 0.2], dtype=torch.float64)
    params = torch.cat([params, params.flip(0), torch.full((8,), -1.8, dtype=torch.float64)])
    with drawing_from(stream(1, "x")):
        x = family(params).sample((20_000,))
    assert family.support.contains(x).all()
    assert family(params).base_dist.support.check(x).all()
    assert ((x.mean(0) - family(params).mean).abs() < 5 * x.std(0) / 20_000**0.5).all()


def test_each_feature_has_a_floor_of_its_own():
    family = GaussianMixtures(2, 2, (1e-3, 1e-5))
    assert (family.scale_floor, family.scale_floors) == (1e-5, (1e-3, 1e-5))
    at_floors = torch.full((12,), -1e9, dtype=torch.float64)
    torch.testing.assert_close(family.scales(at_floors), torch.tensor([1e-3, 1e-5], dtype=torch.float64))
    one = torch.zeros(12, dtype=torch.float64)
    assert family.scales(one).tolist() == [1, 1]


def test_scales_have_an_upper_limit():
    """Raw parameters of any size: no component is wider, so that the mean of a log-normal one stays near the data."""
    family = GaussianMixtures(3, 1, 1e-3, "positive", (0.5, 3.0, BOUND))
    params = torch.zeros(9, dtype=torch.float64)
    params[6] = 1e9
    torch.testing.assert_close(family.scales(params)[0], torch.tensor(0.5, dtype=torch.float64))
    assert float(family(params).mean[0]) == pytest.approx(math.exp(0.125))
    assert family.scales(params)[2] == 1
    raw = torch.linspace(-40, 40, 500, dtype=torch.float64)
    scales = family.scales(torch.cat([torch.zeros(500, 6, dtype=torch.float64), raw[:, None].expand(-1, 3)], -1))
    assert (scales.diff(dim=0) >= 0).all()
    assert (scales >= 1e-3).all()
    assert (scales[:, 1] < 3).all()


def test_a_component_above_the_limit_comes_back():
    """Started far too wide, gradient steps find the scale of the data below the limit."""
    family = GaussianMixtures(1, 1, widest=0.84)
    x = 0.3 * torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None]
    params = torch.tensor([0.0, 0.0, 3.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([params], 0.1)
    for _ in range(300):
        optimizer.zero_grad()
        (-family.log_prob(params, x).mean()).backward()
        optimizer.step()
    assert float(family.scales(params.detach())) == pytest.approx(float(x.square().mean().sqrt()), rel=0.02)


def test_a_decoder_starts_about_the_means_with_components_apart():
    mean = torch.tensor([3.0, -2.0, 0.3, 5.0], dtype=torch.float64)
    family = GaussianMixtures(4, 3, FLOORS, OF)
    start = family.start(mean)
    loc = start[12:].unflatten(0, (4, 3))
    torch.testing.assert_close(loc[1].mean(), mean[1])
    assert (loc.diff(dim=-1) > 0).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: GaussianMixtures(2, 2, (1e-3,)),
        lambda: GaussianMixtures(2, 2, (1e-3, 1.5)),
        lambda: GaussianMixtures(2, 2, 1e-3, ("real",)),
        lambda: GaussianMixtures(2, 0),
        lambda: GaussianMixtures(2, 2, widest=(1.0,)),
        lambda: GaussianMixtures(2, 2, 1e-2, widest=1e-3),
    ],
)
def test_what_does_not_fit_is_refused(make):
    with pytest.raises(UsageError) as refusal:
        make()
    assert refusal.value.remedy


def test_distributions_expand():
    family, params, x = mixed(2)
    d = family.features(params[0])
    assert isinstance(d, FeatureMixture)
    assert isinstance(d.base, LinkedNormal)
    assert d.expand(torch.Size([5, 4])).sample((2,)).shape == (2, 5, 4)
    torch.testing.assert_close(d.expand(torch.Size([5, 4])).log_prob(x[0]), d.log_prob(x[0]).expand(5, 4))
