"""The evidence of exact models: by independent formulas, by every log-weight, and as an expectation under any r."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from sklearn.mixture import GaussianMixture
from torch.distributions import kl_divergence

from jensen.core.batch import Batch
from jensen.core.random import stream
from jensen.estimators.enumeration import Enumerate
from jensen.estimators.quadrature import Quadrature
from jensen.estimators.reparameterized import Pathwise
from jensen.families import Categorical, Gaussian
from jensen.guides import Exact
from jensen.objectives import Elbo, ImportanceWeighted
from tests.identities.models import (
    amortized,
    close,
    curved_model,
    evidence,
    linear_model,
    mixture_model,
    normal_guide,
    simulated,
)


@pytest.mark.parametrize("noise", ["shared", "feature"])
@pytest.mark.parametrize("latent", [1, 2, 4])
def test_linear_evidence_is_a_gaussian(latent, noise):
    """4: log p(x) = log N(x; b, W W' + Psi), by any of the log-weights under the exact posterior."""
    model = linear_model(latent, 5, noise)
    batch, lik = simulated(model, 20), model.likelihood
    covariance = lik.W @ lik.W.mT + torch.diag(lik.noise_variance.expand(5))
    known = multivariate_normal(lik.b.detach().numpy(), covariance.detach().numpy()).logpdf(batch.x.numpy())
    draw = Pathwise(7).draw(model, Exact(model), batch, stream(0, "noise"))
    close(draw.log_weight, torch.as_tensor(known))
    close(Elbo()(draw), torch.as_tensor(known))
    close(ImportanceWeighted()(draw), torch.as_tensor(known))


def test_mixture_evidence_is_a_log_sum():
    """4: log p(x) = log sum_z p(z) p(x | z), as scipy computes it and as scikit-learn does."""
    model = mixture_model(3, 2)
    batch = simulated(model, 30)
    weights = model.prior.params().softmax(-1).detach().numpy()
    loc, scale = (t.detach().numpy() for t in model.likelihood.family.loc_scale(model.likelihood.table))
    x = batch.x.numpy()
    by_scipy = logsumexp(norm.logpdf(x[:, None], loc, scale).sum(-1) + np.log(weights), axis=1)
    oracle = GaussianMixture(3, covariance_type="diag")
    oracle.weights_, oracle.means_, oracle.covariances_ = weights, loc, scale**2
    oracle.precisions_cholesky_ = 1 / scale
    close(evidence(model, batch), torch.as_tensor(by_scipy))
    close(evidence(model, batch), torch.as_tensor(oracle.score_samples(x)))
    draw = Enumerate().draw(model, Exact(model), batch)
    close(draw.log_weight, torch.as_tensor(by_scipy))
    close(Elbo()(draw), torch.as_tensor(by_scipy))
    close(draw.log_guide[..., 0].exp().T, torch.as_tensor(oracle.predict_proba(x)))


def test_weights_and_divergence_make_the_evidence():
    """8: log w(z) + log q(z|x) - log p(z|x) = log p(x) at every z; ELBO + KL(q || posterior) = log p(x)."""
    model = linear_model(2)
    batch, guide = simulated(model, 20), amortized(5, Gaussian(2))
    draw = Pathwise(5).draw(model, guide, batch, stream(0, "noise"))
    posterior = model.posterior(batch)
    known = evidence(model, batch)
    close(draw.log_weight + draw.log_guide[..., 0] - posterior.log_prob(draw.z), known)
    q = guide(batch)
    full = torch.distributions.MultivariateNormal(q.mean, scale_tril=torch.diag_embed(q.stddev))
    gap = kl_divergence(full, posterior)
    assert gap.min() > 0.1  # the guide is arbitrary
    close(Elbo()(Quadrature(3).draw(model, guide, batch)) + gap, known)


def test_finite_weights_and_divergence_make_the_evidence():
    """8, with a finite latent and an arbitrary guide."""
    model = mixture_model(4, 3)
    batch, guide = simulated(model, 20), amortized(3, Categorical(4))
    draw = Enumerate().draw(model, guide, batch)
    posterior, known = model.posterior(batch), evidence(model, batch)
    close(draw.log_weight + draw.log_guide[..., 0] - posterior.log_prob(draw.z), known)
    gap = kl_divergence(guide(batch), posterior)
    assert gap.min() > 1e-3
    close(Elbo()(draw) + gap, known)
    close(ImportanceWeighted()(draw), known)


def test_curved_evidence_and_divergence():
    """8, with a network for a decoder: the same sum by quadrature (200 nodes; error below 1e-9 nats)."""
    model, guide = curved_model(), amortized(3, Gaussian(1))
    batch = simulated(model, 10)
    z = torch.linspace(-12, 12, 20001, dtype=torch.float64)[:, None, None].expand(-1, 10, 1)
    joint = model.log_joint(batch, z)
    known = torch.logsumexp(joint, 0) + np.log(24 / 20000)
    log_q = guide(batch).log_prob(z)
    gap = (log_q.exp() * (log_q - joint + known)).sum(0) * 24 / 20000
    close(Elbo()(Quadrature(200).draw(model, guide, batch)) + gap, known)


def relative_variance(model, guide, batch) -> torch.Tensor:
    """Var_r[w] / p(x)^2 [B], integrated over one latent feature."""
    z = torch.linspace(-12, 12, 20001, dtype=torch.float64)[:, None, None].expand(-1, len(batch), 1)
    log_w = model.log_joint(batch, z)
    second = torch.logsumexp(2 * log_w - guide(batch).log_prob(z), 0) + np.log(24 / 20000)
    return (second - 2 * evidence(model, batch)).exp() - 1


def test_every_proposal_gives_the_evidence():
    """6: E_r[p(x, z) / r(z)] = p(x) for r = prior, one shared q, q(z|x); their variances fall in this order.

    The mean of 20000 weights is within 4 exact standard errors.
    """
    model = linear_model(1, 4)
    centre = torch.tensor([1.5], dtype=torch.float64)
    with torch.no_grad():
        model.likelihood.assign(2 * model.likelihood.W, model.likelihood.b, torch.tensor([0.3]))
        z = centre + 0.4 * torch.randn(8, 1, dtype=torch.float64, generator=stream(0, "z"))
        batch = Batch(model.likelihood(z).mean)  # data from a corner of the prior
    exact = model.posterior(batch)
    proposals = {
        "prior": normal_guide(torch.zeros(1).double(), torch.ones(1).double()),
        "shared": normal_guide(centre, torch.tensor([0.6]).double()),
        "q(z|x)": normal_guide(exact.mean.detach() + 0.02, 1.1 * exact.stddev.detach()),
    }
    variances = {}
    for name, guide in proposals.items():
        variances[name] = relative_variance(model, guide, batch)
        draw = Pathwise(20000).draw(model, guide, batch, stream(0, name))
        ratio = (draw.log_weight - evidence(model, batch)).exp().mean(0)
        assert ((ratio - 1).abs() < 4 * (variances[name] / 20000).sqrt()).all(), name
    assert (variances["prior"] > variances["shared"]).all()
    assert variances["prior"].mean() > 5 * variances["shared"].mean()
    assert (variances["shared"] > 10 * variances["q(z|x)"]).all()
    close(relative_variance(model, normal_guide(exact.mean.detach(), exact.stddev.detach()), batch), 0.0, 1e-8)
