"""Alternation, EM, closed forms and gradients: four ways to the same optimum."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from sklearn.decomposition import FactorAnalysis
from sklearn.mixture import GaussianMixture

from jensen.core.batch import Batch
from jensen.core.random import stream
from jensen.estimators.enumeration import Enumerate
from jensen.estimators.reparameterized import Pathwise
from jensen.guides import Exact
from jensen.models.draw import weigh
from jensen.objectives import Elbo, ImportanceWeighted
from jensen.training.closed import FactorAlternation, FactorEM, MixtureEM, PrincipalComponents
from tests.identities.models import climbed, close, evidence, linear_model, mixture_model, rows, scrambled, simulated


def linear_case(noise: str, n: int = 300) -> tuple:
    """Data of one linear model, and another one to be fitted, with the right mean."""
    batch = simulated(linear_model(2, 6, noise, "truth"), n)
    model = linear_model(2, 6, noise, "start")
    with torch.no_grad():
        model.likelihood.b.copy_(batch.x.mean(0))
    return model, batch


def mixture_case(n: int = 300) -> tuple:
    """Data of a mixture, and the same mixture some way off."""
    batch = simulated(mixture_model(3, 2, 3.0, "truth"), n)
    return scrambled(mixture_model(3, 2, 3.0, "truth"), "start", 0.7), batch


def level(model, batch) -> float:
    return float(evidence(model, batch).detach().mean())


STEPS = {
    "pPCA-EM": (lambda: linear_case("shared"), FactorEM()),
    "FA-EM": (lambda: linear_case("feature"), FactorEM()),
    "FA-alternation": (lambda: linear_case("feature"), FactorAlternation()),
    "GMM-EM": (mixture_case, MixtureEM()),
}


@pytest.mark.parametrize("name", STEPS)
def test_no_step_lowers_the_evidence(name):
    """12: alternation with the exact posterior never lowers log p(x)."""
    case, step = STEPS[name]
    model, batch = case()
    levels = [level(model, batch)]
    for _ in range(40):
        step(model, rows(batch))
        levels.append(level(model, batch))
    assert levels[1] > levels[0] + 1e-3
    assert all(b > a - 1e-12 for a, b in itertools.pairwise(levels))


@pytest.mark.parametrize("name", ["pPCA-EM", "FA-EM", "GMM-EM"])
def test_em_is_the_alternation(name):
    """12: one EM step climbs the ELBO under the old parameters' posterior, to its stationary point."""
    case, step = STEPS[name]
    model, batch = case()
    old = copy.deepcopy(model).posterior(batch)
    finite = name == "GMM-EM"
    if finite:
        z, measure = old.enumerate_support(), old.log_prob(old.enumerate_support()).detach()
    else:  # the two moments of the posterior, by opposite points along each column of its factor
        factor = old.scale_tril.expand(len(batch), -1, -1)
        away = 2**0.5 * torch.cat([factor, -factor], -1).permute(2, 0, 1)
        z, measure = old.mean + away, torch.full((4, len(batch)), -torch.log(torch.tensor(4.0)).item()).double()
    z = z.detach()

    def elbo() -> torch.Tensor:
        return Elbo()(weigh(model, old, z, batch, measure, enumerated=finite)).mean()

    before = elbo()
    close(before, evidence(model, batch).mean()) if finite else None
    step(model, rows(batch))
    after = elbo()
    assert after > before + 1e-3
    gradients = torch.autograd.grad(after, [p for p in model.parameters() if p.requires_grad])
    close(torch.cat([g.flatten() for g in gradients]), 0.0)


def test_one_mixture_step_is_scikit_learns():
    """12: the same step, from the same start, as an independent implementation takes it."""
    model, batch = mixture_case()
    loc, scale = (t.detach().numpy() for t in model.likelihood.family.loc_scale(model.likelihood.table))
    weights = model.prior.params().softmax(-1).detach().numpy()
    oracle = GaussianMixture(3, covariance_type="diag", reg_covar=0.0)
    oracle.weights_, oracle.means_, oracle.covariances_, oracle.precisions_cholesky_ = weights, loc, scale**2, 1 / scale
    _, log_resp = oracle._e_step(batch.x.numpy())
    oracle._m_step(batch.x.numpy(), log_resp)
    MixtureEM()(model, rows(batch))
    loc, scale = model.likelihood.family.loc_scale(model.likelihood.table)
    close(model.prior.params().softmax(-1), torch.as_tensor(oracle.weights_))
    close(loc, torch.as_tensor(oracle.means_))
    close(scale.square(), torch.as_tensor(oracle.covariances_))


def test_principal_components_by_three_ways():
    """Closed form, EM, and gradients of the ELBO under the exact posterior agree (1e-9; gradients 1e-3 nats)."""
    model, batch = linear_case("shared")
    best = copy.deepcopy(model)
    PrincipalComponents()(best, rows(batch))
    top = level(best, batch)
    evidence(best, batch).mean().backward()
    close(torch.cat([p.grad.flatten() for p in best.likelihood.parameters()]), 0.0)
    by_em = copy.deepcopy(model)
    for _ in range(300):
        FactorEM()(by_em, rows(batch))
    close(level(by_em, batch), top)
    climbed(model, Exact(model), batch, Pathwise(1), Elbo())
    assert level(model, batch) > top - 1e-3
    assert level(model, batch) < top + 1e-9


def test_factor_analysis_by_four_ways():
    """Alternation, EM, gradients of the evidence and scikit-learn reach one optimum (gradients within 1e-3 nats)."""
    model, batch = linear_case("feature")
    by_em, by_turns = copy.deepcopy(model), copy.deepcopy(model)
    for _ in range(1500):
        FactorEM()(by_em, rows(batch))
    for _ in range(300):
        FactorAlternation()(by_turns, rows(batch))
    oracle = FactorAnalysis(2, tol=1e-12, max_iter=20000, svd_method="lapack").fit(batch.x.numpy())
    top = float(oracle.score(batch.x.numpy()))
    close(level(by_turns, batch), top, 1e-7)
    close(level(by_em, batch), top, 1e-6)
    climbed(model, Exact(model), batch, Pathwise(1))
    close(level(model, batch), top, 1e-3)


def test_mixture_by_em_and_gradient():
    """From one start, EM and gradients of the enumerated evidence reach one optimum within 1e-3 nats."""
    model, batch = mixture_case()
    by_em = copy.deepcopy(model)
    for _ in range(300):
        MixtureEM()(by_em, rows(batch))
    start = level(model, batch)
    climbed(model, Exact(model), batch, Enumerate(), ImportanceWeighted())
    assert level(by_em, batch) > start + 0.1
    close(level(model, batch), level(by_em, batch), 1e-3)


def test_gradient_under_the_posterior_is_the_gradient_of_the_evidence():
    """With q = p(z|x), the pathwise gradient of the ELBO of any one point is that of log p(x), without noise."""
    model, batch = linear_case("feature", 50)
    parameters = list(model.likelihood.parameters())
    sampled = Elbo()(Pathwise(1).draw(model, Exact(model), batch, stream(0, "noise"))).mean()
    lik = model.likelihood
    covariance = lik.W @ lik.W.mT + torch.diag(lik.noise_variance)
    known = torch.distributions.MultivariateNormal(lik.b, covariance).log_prob(batch.x).mean()
    for a, b in zip(torch.autograd.grad(sampled, parameters), torch.autograd.grad(known, parameters), strict=True):
        close(a, b)


def test_a_floor_holds_a_collapsing_component():
    """A component on repeated data keeps a positive scale, and the likelihood stays finite."""
    model, _ = mixture_case()
    batch = Batch(torch.cat([torch.zeros(20, 2), torch.ones(20, 2), torch.full((20, 2), 5.0)]).double())
    for _ in range(30):
        MixtureEM()(model, rows(batch))
    assert torch.isfinite(evidence(model, batch)).all()
    assert (model.likelihood.family.loc_scale(model.likelihood.table)[1] > 1e-4).all()
