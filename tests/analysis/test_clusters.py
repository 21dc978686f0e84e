"""Clusters of data: the posterior of a mixture by enumeration, and the components of a prior by Bayes' rule."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import multivariate_normal, norm

from jensen.analysis.clusters import (
    DRAWS,
    assigned,
    cluster_probabilities,
    how_clustered,
    number_of_clusters,
    require_clusters,
)
from jensen.core.batch import Rows
from jensen.core.errors import CompositionError
from jensen.core.random import stream
from jensen.families import Gaussian, Mixture
from jensen.guides import Amortized, Exact, FromPrior
from jensen.models.conditionals import Linear, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.models.priors import VampPrior
from tests.identities.models import Fixed, amortized, linear_model, mixture_model, rows, simulated

WEIGHTS, MEANS, SCALES = np.array([0.3, 0.7]), np.array([[-1.0, 0.5], [1.0, 0.0]]), np.array([[0.5, 1.0], [1.5, 0.4]])


def of_two_components() -> LatentVariableModel:
    """A prior of the two components above."""
    family = Mixture(Gaussian(2), 2)
    parts = np.concatenate([MEANS, Gaussian(2).raw(torch.tensor(SCALES)).numpy()], 1)
    values = torch.tensor(np.concatenate([np.log(WEIGHTS), parts.reshape(-1)]))
    return LatentVariableModel(Fixed(family, values), Linear(2, 3)).double()


def bayes(z: np.ndarray) -> np.ndarray:
    """p(component | z) [N, 2] of these two."""
    return softmax(np.log(WEIGHTS) + norm(MEANS, SCALES).logpdf(z[:, None]).sum(-1), 1)


def test_clusters_of_a_mixture_are_its_posterior():
    model = mixture_model()
    batch = simulated(model, 700)
    loc, scale = (t.detach().numpy() for t in model.likelihood.family.loc_scale(model.likelihood.table))
    logits = model.prior.params().detach().numpy()
    each = [multivariate_normal(m, np.diag(s**2)).logpdf(batch.x) for m, s in zip(loc, scale, strict=True)]
    expected = softmax(logits + np.stack(each, -1), 1)
    p = cluster_probabilities(model, Exact(model), rows(batch))
    np.testing.assert_allclose(p, expected, atol=1e-12)
    assert how_clustered(model, Exact(model), rows(batch)) == "p(component | x)"
    cluster, best = assigned(model, Exact(model), rows(batch))
    assert cluster.tolist() == expected.argmax(1).tolist()
    np.testing.assert_allclose(best, expected.max(1), atol=1e-12)
    assert number_of_clusters(model) == 3


def test_clusters_of_a_point_are_the_components_of_the_prior_by_bayes_rule():
    """Of a guide whose scale is 1e-6, so that all draws are its mean."""
    x = torch.linspace(-3, 3, 20, dtype=torch.float64).reshape(10, 2)
    family = Gaussian(2, floor=1e-9)
    narrow = torch.cat([x, family.raw(torch.full((10, 2), 1e-6, dtype=torch.float64))], -1)
    guide = Amortized(Fixed(family, narrow))
    p = cluster_probabilities(of_two_components(), guide, Rows(torch.zeros(10, 3, dtype=torch.float64)))
    np.testing.assert_allclose(p, bayes(x.numpy()), atol=1e-5)


def test_draws_are_averaged_and_the_same_for_every_datum():
    """Against 32 draws of SciPy's rule; and a datum has the same probabilities alone."""
    model, guide = of_two_components(), amortized(3, Gaussian(2))
    data = Rows(torch.linspace(-2, 2, 3 * 600, dtype=torch.float64).reshape(600, 3))
    p = cluster_probabilities(model, guide, data, seed=4)
    q = guide(data.take(torch.arange(600)))
    noise = torch.randn((DRAWS, 1, 2), generator=stream(4, "clusters")).double()
    z = (q.base_dist.loc + q.base_dist.scale * noise).detach().numpy()
    np.testing.assert_allclose(p, np.mean([bayes(each) for each in z], 0), atol=1e-10)
    alone = cluster_probabilities(model, guide, data.subset(torch.tensor([577])), seed=4)
    np.testing.assert_allclose(alone[0], p[577], atol=1e-12)
    assert how_clustered(model, guide, data) == "p(component | z) averaged over 32 draws of q(z | x)"


def test_pseudo_inputs_are_clusters():
    guide = amortized(3, Gaussian(2))
    prior = VampPrior(guide, 3, 4).double()
    model = LatentVariableModel(prior, Linear(2, 3)).double()
    p = cluster_probabilities(model, guide, Rows(prior.inputs.detach()))
    assert p.shape == (4, number_of_clusters(model))
    np.testing.assert_allclose(p.sum(1), 1)
    assert torch.equal(assigned(model, guide, Rows(prior.inputs.detach()))[0], p.argmax(1))


@pytest.mark.parametrize("model", [linear_model(2, 3), LatentVariableModel(Unconditional(Gaussian(2)), Linear(2, 3))])
def test_a_model_without_components_is_refused_with_recipes_that_have_some(model):
    with pytest.raises(CompositionError, match="prior no mixture") as refused:
        cluster_probabilities(model, Exact(model), Rows(torch.zeros(2, 3)))
    assert "gmm, table-gmm, mixture-prior or vampprior" in str(refused.value)
    with pytest.raises(CompositionError, match="no clusters"):
        number_of_clusters(model)
    with pytest.raises(CompositionError, match="no encoder"):
        require_clusters(mixture_model(), FromPrior(mixture_model().prior))
