"""A mixture prior that starts from the clusters of codes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import jensen
from jensen.core.batch import Rows
from jensen.core.errors import CompositionError, UsageError
from jensen.families import Bernoulli, Gaussian, Mixture
from jensen.guides import Amortized
from jensen.models.conditionals import Given, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from jensen.recipes import find
from jensen.training import PriorClusters, check_clusters, kmeans
from tests.recipes.test_base import context

CENTRES = torch.tensor([[-4.0, 0.0], [3.0, 3.0], [3.0, -3.0]])
COUNTS = (20, 50, 30)


def clustered() -> tuple[torch.Tensor, torch.Tensor]:
    """Three far clusters of 20, 50 and 30 points of scale 0.5, in a random order, and which is which."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor(COUNTS))[torch.randperm(100, generator=generator)]
    return CENTRES[labels] + 0.5 * torch.randn(100, 2, generator=generator), labels


def pair(n: int = 3) -> tuple[LatentVariableModel, Amortized]:
    """A mixture prior, and a guide that says x itself with a standard deviation of a half."""
    net = nn.Linear(2, 4)
    with torch.no_grad():
        net.weight.copy_(torch.eye(4, 2))
        net.bias[2:] = Gaussian(2).raw(torch.full((2,), 0.5))
        net.bias[:2] = 0
    prior = Unconditional(Mixture(Gaussian(2), n), learn=True)
    return LatentVariableModel(prior, Given(MLP(2, 2, ()), Bernoulli(2))), Amortized(Given(net, Gaussian(2)))


@torch.no_grad()
def test_components_have_the_moments_of_their_clusters():
    """Weights, means and variances of what the guide says of each cluster's data, in any order."""
    x, labels = clustered()
    model, guide = pair()
    PriorClusters(guide)(model, Rows(x))
    prior = model.prior()
    order = [int((prior.component_distribution.mean - c).norm(dim=-1).argmin()) for c in CENTRES]
    assert sorted(order) == [0, 1, 2]
    for j, k in enumerate(order):
        own = x[labels == j]
        assert float(prior.mixture_distribution.probs[k]) == pytest.approx(COUNTS[j] / 100)
        torch.testing.assert_close(prior.component_distribution.mean[k], own.mean(0))
        variance = 0.25 + own.var(0, correction=0)
        torch.testing.assert_close(prior.component_distribution.variance[k], variance, rtol=1e-4, atol=1e-4)


def test_the_same_seed_finds_the_same_clusters():
    x, labels = clustered()
    (a, one), (b, two) = kmeans(x, 3, 4), kmeans(x, 3, 4)
    assert torch.equal(a, b)
    assert torch.equal(one, two)
    assert all(len(set(one[labels == j].tolist())) == 1 for j in range(3))


def test_more_clusters_than_rows_are_refused():
    with pytest.raises(UsageError, match="Give --components 3 or less"):
        kmeans(torch.zeros(3, 2), 4, 0)


@pytest.mark.parametrize("components", [49, 1000, 10**7])
def test_a_mixture_prior_of_more_components_than_rows_is_refused_before_training(components, tmp_path):
    """Not when its components start from clusters, some epochs later; and none of their memory is asked for."""
    x = np.random.default_rng(0).normal(size=(60, 3))
    with pytest.raises(UsageError, match="at most the number of training rows, 48, got"):
        jensen.train(x, recipe="mixture-prior", components=components, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_k_means_of_many_rows_has_no_more_clusters_than_it_reads():
    check_clusters(20_000, 10**6)
    with pytest.raises(UsageError, match="at most the rows that k-means is run on, 20000, got 20001"):
        check_clusters(20_001, 10**6)


def test_other_priors_are_refused():
    _, guide = pair()
    model = LatentVariableModel(Unconditional(Gaussian(2)), Given(MLP(2, 2, ()), Bernoulli(2)))
    with pytest.raises(CompositionError, match=r"Unconditional\(Mixture"):
        PriorClusters(guide).check(model)


@pytest.mark.parametrize(("epochs", "span"), [(100, (10, 11)), (20, (2, 3)), (2, (0, 1)), (1, (0, 1))])
def test_the_recipe_looks_for_clusters_once(epochs, span):
    _, start = find("mixture-prior")(context("binary", epochs=epochs), latent=2, components=2, hidden=(3,)).players
    assert start.span(epochs) == span


@pytest.mark.slow
def test_every_component_is_used_at_the_end(tmp_path):
    """Four kinds of bits, four components: each has the data of one kind, and its weight."""
    rng = np.random.default_rng(0)
    kind = rng.integers(4, size=400)
    x = (rng.random((400, 16)) < np.where(np.arange(16) // 4 == kind[:, None], 0.9, 0.1)).astype(np.uint8)
    how = {"latent": 2, "components": 4, "hidden": (16,), "lr": 5e-3, "checkpoints": 0, "batch": 32}
    run = jensen.train(x, recipe="mixture-prior", out=tmp_path / "run", epochs=60, **how)
    z = torch.as_tensor(run.encode(x))
    with torch.no_grad():
        prior = run.model.prior()
        assert float(prior.mixture_distribution.probs.min()) > 0.1
        each = prior.component_distribution.log_prob(z[:, None]) + prior.mixture_distribution.logits
    table = np.zeros((4, 4))
    np.add.at(table, (each.argmax(-1).numpy(), kind), 1)
    assert table.max(1).sum() / len(x) > 0.8
