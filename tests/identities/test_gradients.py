"""Gradients: unbiased against exact ones, quieter than the score function's, and equal to the analytic formulas."""

from __future__ import annotations

import torch

from jensen.core.batch import Batch
from jensen.core.random import stream
from jensen.estimators.quadrature import Quadrature
from jensen.estimators.reparameterized import Pathwise
from jensen.families import Gaussian
from jensen.guides import Shared
from jensen.models.conditionals import Given, Unconditional
from jensen.models.draw import weigh
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from jensen.objectives import Elbo, ImportanceWeighted, Rate
from tests.identities.models import amortized, close, curved_model, normal_guide, simulated

REPEATS = 20000


def per_repetition(value: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
    """[R, P]: a row of gradients for each repetition of one datum."""
    return torch.autograd.grad(value.sum(), of)[0]


def unbiased(gradients: torch.Tensor, exact: torch.Tensor) -> bool:
    """The mean over repetitions is within 4 standard errors of the exact gradient."""
    error = gradients.std(0) / len(gradients) ** 0.5
    return bool(((gradients.mean(0) - exact).abs() < 4 * error).all())


def repeated(model, n: int) -> tuple[Batch, torch.Tensor, torch.Tensor]:
    one = simulated(model, 1)
    return Batch(one.x.expand(n, -1)), torch.full((n, 1), 0.4).double(), torch.full((n, 1), 0.6).double()


def test_pathwise_is_unbiased_and_quieter_than_the_score():
    """13: both estimate grad_phi ELBO without bias (4 standard errors); the path has 5 times less variance."""
    model = curved_model()
    batch, loc, scale = repeated(model, REPEATS)
    guide = normal_guide(loc, scale)
    phi = guide.conditional.values
    exact = per_repetition(Elbo()(Quadrature(64).draw(model, guide, batch)), phi)[0]
    pathwise = per_repetition(Elbo()(Pathwise(1).draw(model, guide, batch, stream(0, "noise"))), phi)
    with torch.no_grad():
        points = Pathwise(1).draw(model, guide, batch, stream(1, "noise"))
    score = per_repetition(points.log_weight[0] * guide(batch).log_prob(points.z)[0], phi)
    assert unbiased(pathwise, exact)
    assert unbiased(score, exact)
    assert (score.var(0) > 5 * pathwise.var(0)).all()


def test_frozen_points_are_biased():
    """13: without the path through z, grad_phi of E_q[log p(x|z)] is 0: the test above can fail."""
    model = curved_model()
    batch, loc, scale = repeated(model, REPEATS)
    guide = normal_guide(loc, scale)
    z = Pathwise(1).draw(model, guide, batch, stream(0, "noise")).z.detach()
    frozen = per_repetition(Elbo()(weigh(model, guide(batch), z, batch)), guide.conditional.values)
    exact = per_repetition(Elbo()(Quadrature(64).draw(model, guide, batch)), guide.conditional.values)[0]
    assert not unbiased(frozen, exact)


def test_importance_weighted_gradient_is_that_of_its_expectation():
    """13, for K = 2: unbiased against the gradient of E[log (w_1 + w_2)/2], a sum over pairs of nodes."""
    model = curved_model()
    batch, loc, scale = repeated(model, REPEATS)
    guide = normal_guide(loc, scale)
    phi = guide.conditional.values
    sampled = per_repetition(ImportanceWeighted()(Pathwise(2).draw(model, guide, batch, stream(0, "noise"))), phi)
    draw = Quadrature(48).draw(model, normal_guide(loc[:1], scale[:1]), Batch(batch.x[:1]))
    log_w, measure = draw.log_weight[:, 0], draw.log_measure[:, 0].exp()
    pairs = torch.logaddexp(log_w[:, None], log_w) - torch.tensor(2.0).double().log()
    value = (measure[:, None] * measure * pairs).sum()
    leaf = next(p for p in _leaves(value) if p.shape == (1, 2))
    assert unbiased(sampled, torch.autograd.grad(value, leaf)[0][0])


def _leaves(value: torch.Tensor) -> list[torch.Tensor]:
    """The parameters that a value depends on."""
    leaves, todo, seen = [], [value.grad_fn], set()
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaves += [node.variable] if hasattr(node, "variable") else []
        todo += [n for n, _ in node.next_functions]
    return leaves


def test_gradient_of_the_model_is_unbiased():
    """13: Monte Carlo gradients with respect to theta are direct (4 standard errors over 300 batches)."""
    model, guide = curved_model(), amortized(3, Gaussian(1))
    batch = simulated(model, 50)
    theta = list(model.likelihood.parameters())

    def gradient(draw) -> torch.Tensor:
        return torch.cat([g.flatten() for g in torch.autograd.grad(Elbo()(draw).mean(), theta)])

    exact = gradient(Quadrature(64).draw(model, guide, batch))
    sampled = torch.stack([gradient(Pathwise(1).draw(model, guide, batch, stream(i, "noise"))) for i in range(300)])
    assert unbiased(sampled, exact)


def test_rate_and_its_gradients_in_closed_form():
    """14: KL(N(mu, s^2) || N(0, 1)) = (mu^2 + s^2 - 1 - log s^2)/2; d/dmu = mu, d/ds = s - 1/s."""
    model = curved_model()
    generator = stream(0, "q")
    mu = torch.randn(10, 1, dtype=torch.float64, generator=generator).requires_grad_()
    s = torch.rand(10, 1, dtype=torch.float64, generator=generator).add(0.1).requires_grad_()
    rate = Rate()(Pathwise(1).draw(model, normal_guide_of(mu, s), simulated(model, 10), generator))
    close(rate, 0.5 * (mu.square() + s.square() - 1 - s.square().log()).sum(-1))
    d_mu, d_s = torch.autograd.grad(rate.sum(), (mu, s))
    close(d_mu, mu)
    close(d_s, s - 1 / s)


def normal_guide_of(loc: torch.Tensor, scale: torch.Tensor):
    """A guide through which gradients reach a location and a scale themselves."""
    guide = normal_guide(loc.detach(), scale.detach())
    guide.forward = lambda batch: torch.distributions.Independent(torch.distributions.Normal(loc, scale), 1)
    return guide


def test_rate_in_closed_form_is_the_sampled_one():
    """14: the closed form has no noise, and is what the points say on average (20000 points, 4 standard errors)."""
    model, guide = curved_model(), amortized(3, Gaussian(1))
    batch = simulated(model, 10)
    with torch.no_grad():
        draw = Pathwise(20000).draw(model, guide, batch, stream(0, "noise"))
        points = (draw.log_guide - draw.log_prior).sum(-1)
        error = points.std(0) / 20000**0.5
        assert ((points.mean(0) - Rate()(draw)).abs() < 4 * error).all()
        again = Rate()(Pathwise(1).draw(model, guide, batch, stream(1, "noise")))
        close(again, Rate()(draw))


def test_gradient_of_the_log_likelihood_is_the_residual():
    """14: for p(x|z) = N(x; mu_theta(z), 1), d log p / d mu_theta = x - mu_theta."""
    family = Gaussian(4, 1.0)
    mu, x = torch.randn(2, 5, 4, dtype=torch.float64, generator=stream(0, "residual"))
    mu.requires_grad_()
    gradient = torch.autograd.grad(family.log_prob(mu, x).sum(), mu)[0]
    close(gradient, x - mu)


def test_a_shared_guide_has_one_gradient_for_all():
    """11: one q for all data receives the sum of the data's gradients."""
    model = LatentVariableModel(Unconditional(Gaussian(1)), Given(MLP(1, 2, (3,)), Gaussian(2, 1.0))).double()
    guide = Shared(Unconditional(Gaussian(1), learn=True)).double()
    batch = Batch(torch.randn(6, 2, dtype=torch.float64, generator=stream(0, "x")))

    def gradient(part: Batch) -> torch.Tensor:
        value = Elbo()(Quadrature(16).draw(model, guide, part)).sum()
        return torch.autograd.grad(value, guide.conditional.value)[0]

    close(gradient(batch), sum(gradient(Batch(row[None])) for row in batch.x))
