"""Means in few operations are those of the distributions."""

from __future__ import annotations

import pytest
import torch

from jensen.core.errors import CompositionError
from jensen.distributions import DiscretizedLogistic, LogitNormal
from jensen.export.means import level_means, logit_normal_means, mean_of
from jensen.families import (
    Beta,
    Choices,
    Columns,
    Gaussian,
    GaussianMixtures,
    HeapedIntegers,
    IntegerMixtures,
    LogNormal,
    Ordinal,
    Poisson,
    StudentT,
    VonMises,
)
from jensen.models import Given

NOISE = torch.Generator().manual_seed(0)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_level_means(levels):
    loc, scale = torch.randn(3, 4, generator=NOISE), torch.rand(3, 4, generator=NOISE) + 0.01
    torch.testing.assert_close(level_means(loc, scale, levels), DiscretizedLogistic(loc, scale, levels).mean)


def test_too_many_levels_are_refused():
    with pytest.raises(CompositionError, match="at most 1,024"):
        level_means(torch.zeros(1), torch.ones(1), 5000)


def test_logit_normal_means():
    loc, scale = 3 * torch.randn(9, generator=NOISE), torch.linspace(0.01, 9.0, 9)
    torch.testing.assert_close(logit_normal_means(loc, scale).float(), LogitNormal(loc, scale).mean)


@pytest.mark.parametrize("family", [Gaussian(2), StudentT(2), LogNormal(2), Beta(2), Poisson(2)])
def test_mean_is_that_of_the_distribution(family):
    params = torch.randn(3, family.size, generator=NOISE)
    mean = mean_of(Given(torch.nn.Identity(), family), params)
    torch.testing.assert_close(mean, family(params).mean)


def test_mean_of_columns_is_the_point_that_the_run_decodes():
    parts = (
        Choices((2, 3)),
        GaussianMixtures(3, 2, of=("real", "positive", "unit")),
        VonMises(1),
        Ordinal((4,)),
        IntegerMixtures(1, 2, (3.0,), (2.0,), (0.0,)),
        HeapedIntegers(1, 2, (3.0,), (2.0,), ((3.0,),)),
    )
    family = Columns(parts, ((8, 0), (1, 2, 3), (4,), (5,), (6,), (7,)))
    params = torch.randn(20, family.size, generator=NOISE)
    mean = mean_of(Given(torch.nn.Identity(), family), params)
    torch.testing.assert_close(mean, family.point(family.summary(params), "mode"))
