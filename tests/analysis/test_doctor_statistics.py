"""The statistics that the doctor trusts, under their null and under alternatives.

The level of a test is checked under its null: of 200 p-values no more are below 0.05 than a binomial law allows at
0.001, and they are uniform by a Kolmogorov-Smirnov test at 0.001. Seeds are fixed.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import binom, chi2, kstest, mannwhitneyu
from torch import nn

from jensen.analysis.collapse import holes, mutual_information
from jensen.analysis.examination import Examination
from jensen.analysis.memorisation import memorised, nearest_rows
from jensen.analysis.two_sample import nearer, two_sample
from jensen.core.batch import Rows
from jensen.core.random import drawing_from, stream
from jensen.families import Categorical, Gaussian
from jensen.guides import Amortized, Exact
from jensen.models.conditionals import Given, Linear, Table, Unconditional
from jensen.models.model import LatentVariableModel
from tests.analysis.patients import rows
from tests.identities.models import close, linear_model

LEVEL = 0.05


def keeps_its_level(p):
    below = sum(found < LEVEL for found in p)
    return binom.sf(below - 1, len(p), LEVEL) > 1e-3 and kstest(p, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("latent", [pytest.param(2, marks=pytest.mark.slow), 6])
def test_two_sample_keeps_its_level(latent):
    """Codes by the exact posterior of data that the model made are draws of the prior: the null is true."""
    model = linear_model(latent, 8)
    noise, p = stream(0, "null"), []
    with torch.no_grad():
        for _ in range(200):
            z, batch = model.simulate(120, noise)
            with drawing_from(noise):
                codes = Exact(model)(batch).sample()
            p.append(two_sample(codes, torch.randn(z.shape, dtype=z.dtype, generator=noise), noise).p)
    assert keeps_its_level(p)


def test_a_classifier_scored_on_its_own_points_would_not_keep_it():
    """What the level test must find: a score that has seen its points."""
    noise = stream(0, "seen")
    a = torch.randn(200, 40, 30, dtype=torch.float64, generator=noise)
    p = []
    for first, second in zip(a[::2], a[1::2], strict=True):
        towards = first.mean(0) - second.mean(0)
        p.append(nearer(second @ towards, first @ towards)[1])
    assert not keeps_its_level(p)


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_divergence_from_below(shift):
    """KL(N(m, 1) || N(0, 1)) = m^2 / 2."""
    a, b = torch.randn(2, 4000, 1, dtype=torch.float64, generator=stream(0, "shift"))
    found = two_sample(a + shift, b, stream(1, "shift"))
    assert 0.75 * shift**2 / 2 < found.kl < shift**2 / 2 + 0.1
    assert found.auc == pytest.approx(0.5 * math.erfc(-shift / 2), abs=0.03)


def test_divergence_is_capped_at_what_points_can_certify():
    a, b = torch.randn(2, 400, 3, dtype=torch.float64, generator=stream(0, "far"))
    assert two_sample(a + 50, b, stream(1, "far")).kl == pytest.approx(math.log(200))


def test_two_clusters_with_the_moments_of_the_prior_are_told_apart():
    noise = stream(0, "clusters")
    sign = torch.randint(0, 2, (1000, 2), generator=noise) * 2.0 - 1
    a = 0.98 * sign + 0.2 * torch.randn(1000, 2, generator=noise)
    found = two_sample(a, torch.randn(1000, 2, generator=noise), noise)
    assert found.p < 1e-20
    assert found.kl > 0.5


def test_mutual_information_of_a_linear_model():
    """I(x; z) = log(1 + (w/s)^2) / 2 for one feature of both."""
    model = LatentVariableModel(Unconditional(Gaussian(1)), Linear(1, 1)).double()
    model.likelihood.assign(torch.tensor([[2.0]]), torch.zeros(1), torch.tensor([0.25]))
    patient = Examination(model, Exact(model), rows(model, 2000), None)
    assert mutual_information(patient.trained) == pytest.approx(0.5 * math.log(17), abs=0.08)


def test_mutual_information_does_not_exceed_the_rows():
    codes = torch.randn(64, 3, dtype=torch.float64, generator=stream(0, "codes"))
    model = linear_model(3, 3)
    guide = Amortized(Given(nn.Linear(3, 6), Gaussian(3))).double()
    with torch.no_grad():
        guide.conditional.net.weight.copy_(100 * torch.eye(6, 3))
        guide.conditional.net.weight[3:] = 0
        guide.conditional.net.bias[3:] = -50
    assert mutual_information(Examination(model, guide, Rows(codes), None).trained) == pytest.approx(math.log(64))


def test_nearest_is_the_nearest():
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 4.5]], dtype=torch.float64)
    distance, which = nearest_rows(x, Rows(x), torch.arange(3))
    close(distance, torch.zeros(3))
    assert which.tolist() == [0, 1, 2]
    distance, which = nearest_rows(x, Rows(x), torch.arange(3), torch.arange(3))
    close(distance, torch.tensor([5.0, 0.5, 0.5]))
    assert which.tolist() == [1, 2, 1]


def test_memory_keeps_its_level():
    """Samples of the model that made the rows are as near to the training rows as unseen rows are."""
    model, p = linear_model(2, 4), []
    for seed in range(200):
        train, test = rows(model, 60, f"train{seed}"), rows(model, 60, f"test{seed}")
        p.append(memorised(Examination(model, Exact(model), train, test, seed=seed)).measures["sample_nearer_p"])
    assert keeps_its_level(p)


@pytest.mark.parametrize("sizes", [(9, 500), (20, 30), (200, 150), (1000, 1000)])
@pytest.mark.parametrize(("shift", "places"), [(0.0, 6), (0.3, 6), (-0.5, 1), (3.0, 0), (0.0, -1)])
def test_ranks_are_compared_as_by_scipy(sizes, shift, places):
    """Without ties, with some, with many, and with nothing else."""
    noise = np.random.default_rng(list(sizes))
    a, b = (noise.normal(size=n) for n in sizes)
    a, b = ((a - shift).round(places), b.round(places)) if places >= 0 else (0 * a, 0 * b)
    expected = mannwhitneyu(a, b, alternative="less", method="asymptotic")
    share, p = nearer(torch.from_numpy(a), torch.from_numpy(b))
    assert share == pytest.approx(1 - expected.statistic / a.size / b.size, abs=1e-12)
    assert p == pytest.approx(expected.pvalue, rel=1e-10, abs=1e-300)


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.3, 0.7), (0.2, 0.3, 0.5), (0.52, 0.48)])
def test_frequencies_of_classes_are_compared_by_chi_squared(weights):
    """Of codes far apart, so that each row's class is known: the ratio of likelihoods of their counts."""
    n, k = 400, len(weights)
    table = Table(Gaussian(1), k).double()
    with torch.no_grad():
        table.table[:, 0], table.table[:, 1] = 50.0 * torch.arange(k), 0.0
    model = LatentVariableModel(Unconditional(Categorical(k)).double(), table)
    counts = np.round(n * np.array(weights)).astype(int)
    x = torch.from_numpy(np.repeat(50.0 * np.arange(k), counts))[:, None]
    measures = holes(Examination(model, Exact(model), Rows(x), None)).measures
    statistic = 2 * (counts * np.log(counts * k / n)).sum()
    assert measures["prior_mismatch_p"] == pytest.approx(chi2.sf(statistic, k - 1), rel=1e-6)
