"""Exact posteriors: against the conditional of the joint Gaussian, under masks, and where there is none."""

from __future__ import annotations

import pytest
import torch

from jensen.core.batch import Batch
from jensen.core.errors import NoExactPosterior
from jensen.core.random import drawing_from, stream
from jensen.families import Bernoulli, Categorical, Gaussian
from jensen.guides import Exact
from jensen.models import posteriors
from jensen.models.conditionals import Given, Linear, Table, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from tests.identities.models import close, linear_model, mixture_model, scrambled, simulated


@pytest.mark.parametrize("prior", [Gaussian(3), Gaussian(3, "shared"), Gaussian(3, 0.5)], ids=str)
@pytest.mark.parametrize("noise", ["shared", "feature"])
def test_linear_posterior_is_the_conditional_of_the_joint(prior, noise):
    """z | x of the joint Gaussian of (z, x), for any Gaussian prior."""
    model = scrambled(LatentVariableModel(Unconditional(prior, learn=True), Linear(3, 5, noise)), "posterior")
    batch, lik = simulated(model, 7), model.likelihood
    mu, V = model.prior().mean, torch.diag(model.prior().variance)
    marginal = lik.W @ V @ lik.W.mT + torch.diag(lik.noise_variance.expand(5))
    gain = V @ lik.W.mT @ torch.linalg.inv(marginal)
    p = model.posterior(batch)
    close(p.mean, mu + (batch.x - lik.b - lik.W @ mu) @ gain.mT)
    close(p.covariance_matrix, (V - gain @ lik.W @ V).expand(7, 3, 3))


def test_an_ill_conditioned_linear_posterior():
    """Very little noise: the covariance keeps its relative precision in float64."""
    model = linear_model(2, 5)
    model.likelihood.assign(model.likelihood.W.detach(), model.likelihood.b.detach(), torch.tensor([1e-6]))
    p = model.posterior(simulated(model, 3))
    W = model.likelihood.W / model.likelihood.noise_variance.sqrt()
    close(p.covariance_matrix @ (torch.eye(2) + W.mT @ W), torch.eye(2).expand(3, 2, 2), 1e-6)


def test_a_mixtures_posterior_under_a_mask():
    """Responsibilities from the observed features alone; holes do not matter."""
    model = mixture_model(3, 2)
    batch = simulated(model, 6)
    mask = torch.tensor([[True, False]] * 5 + [[False, False]])
    masked = model.posterior(Batch(torch.where(mask, batch.x, torch.nan), mask))
    loc, scale = model.likelihood.family.loc_scale(model.likelihood.table)
    logits = torch.distributions.Normal(loc[:, 0], scale[:, 0]).log_prob(batch.x[:5, :1]) + model.prior.params()
    close(masked.probs[:5], logits.softmax(-1))
    close(masked.probs[5], model.prior.params().softmax(-1))


@pytest.mark.parametrize("noise", ["shared", "feature"])
def test_a_linear_posterior_under_a_mask_is_that_of_fewer_features(noise):
    model = linear_model(noise=noise)
    batch = simulated(model, 4)
    mask = torch.tensor([[1, 0, 1, 1, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]]).bool()
    posterior = model.posterior(Batch(torch.where(mask, batch.x, torch.nan), mask))
    lik = model.likelihood
    for i, seen in enumerate(mask):
        W, psi = lik.W[seen], lik.noise_variance.expand(5)[seen]
        covariance = torch.linalg.inv(torch.eye(2).double() + W.mT @ (W / psi[:, None]))
        close(posterior.covariance_matrix[i], covariance)
        close(posterior.mean[i], covariance @ W.mT @ ((batch.x[i] - lik.b)[seen] / psi))


@pytest.mark.parametrize(
    "model",
    [
        LatentVariableModel(Unconditional(Gaussian(2)), Given(MLP(2, 3, (4,)), Bernoulli(3))),
        LatentVariableModel(Given(MLP(1, 4, (4,)), Gaussian(2)), Linear(2, 3)),
    ],
    ids=["network likelihood", "network prior"],
)
def test_where_there_is_none_the_remedy_is_named(model):
    assert not posteriors.has_posterior(model.prior, model.likelihood)
    with pytest.raises(NoExactPosterior, match=r"Use Amortized\("):
        model.posterior(Batch(torch.zeros(1, 3)))
    with pytest.raises(NoExactPosterior, match=r"Use Amortized\("):
        Exact(model)


def test_a_closed_form_can_be_registered(monkeypatch):
    monkeypatch.setattr(posteriors, "_FORMS", dict(posteriors._FORMS))
    model = LatentVariableModel(Unconditional(Gaussian(2)), Given(MLP(2, 3, (4,)), Bernoulli(3)))

    @posteriors.register_posterior(Gaussian, Given)
    def form(prior, likelihood, batch):
        return prior.family(prior.params().expand(len(batch), -1))

    assert model.posterior(Batch(torch.zeros(4, 3))).batch_shape == (4,)
    assert Exact(model).is_exact


@pytest.mark.parametrize("family", [Gaussian(2), Gaussian(2, "shared")], ids=str)
def test_a_mixtures_posterior_in_pieces_of_its_table(monkeypatch, family):
    """Whatever the number of components at once; and a one-hot of each would give the same."""
    with drawing_from(stream(0, "pieces")):
        model = LatentVariableModel(Unconditional(Categorical(7), learn=True), Table(family, 7))
    batch = simulated(scrambled(model, "pieces"), 4)
    whole = model.posterior(batch).logits
    states = torch.eye(7, dtype=torch.float64)[:, None].expand(-1, 4, -1)
    close(whole.detach(), model.log_joint(batch, states).detach().log_softmax(0).mT)
    monkeypatch.setattr(posteriors, "NUMBERS", 40)
    assert torch.equal(model.posterior(batch).logits, whole)
