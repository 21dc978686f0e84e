"""Correlated Gaussians against torch's own, and as guides of a model whose posterior they can be."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Independent, LowRankMultivariateNormal, MultivariateNormal, Normal, kl_divergence

from jensen.core.batch import Batch
from jensen.core.errors import CompositionError, UsageError
from jensen.core.random import drawing_from, stream
from jensen.estimators.quadrature import Quadrature
from jensen.estimators.reparameterized import Pathwise
from jensen.families import FullGaussian, Gaussian, LowRankGaussian
from jensen.guides import Amortized
from jensen.models.conditionals import Given, Unconditional
from jensen.nets import MLP
from jensen.objectives import Elbo, ImportanceWeighted, Rate
from tests.identities.models import close, linear_model

FAMILIES = [FullGaussian(1), FullGaussian(4), LowRankGaussian(4), LowRankGaussian(4, 3)]
EACH = pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.phrase)


def normal(*shape: int, name: str = "numbers") -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=stream(0, name))


def covariance_of(q) -> torch.Tensor:
    """The covariance by another road than torch's class takes: from what the class was given."""
    if isinstance(q, MultivariateNormal):
        return q.scale_tril @ q.scale_tril.mT
    return q.cov_factor @ q.cov_factor.mT + torch.diag_embed(q.cov_diag)


@EACH
def test_the_density_is_torchs(family):
    params, x = normal(6, family.size), normal(3, 6, family.dim, name="x")
    q = family(params)
    torch_own = MultivariateNormal(q.loc, covariance_of(q))
    torch.testing.assert_close(family.log_prob(params, x), torch_own.log_prob(x), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(q.log_prob(x), torch_own.log_prob(x), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(q.expand((3, 6)).log_prob(x), torch_own.log_prob(x), rtol=1e-9, atol=1e-9)


@EACH
def test_samples_have_the_covariance(family):
    """40,000 samples: the second moments within five of their standard errors."""
    q = family(normal(family.size))
    with drawing_from(stream(0, "samples")):
        z = q.sample((40_000,)) - q.mean
    products = z[:, :, None] * z[:, None]
    stderr = products.std(0) / 200.0
    assert ((products.mean(0) - covariance_of(q)).abs() < 5 * stderr).all()


@EACH
def test_any_covariance_can_be_said(family):
    if isinstance(family, FullGaussian):
        root = normal(family.dim, family.dim)
        covariance, loc = root @ root.T + 0.01 * torch.eye(family.dim).double(), normal(family.dim)
        q = family(family.raw(loc, covariance))
        torch.testing.assert_close(covariance_of(q), covariance, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(q.mean, loc)
    else:
        params = normal(family.size)
        ranks = torch.linalg.matrix_rank(covariance_of(family(params)) - torch.diag_embed(family(params).cov_diag))
        assert int(ranks) == family.rank


def nearly_collinear(gap: float) -> torch.Tensor:
    """The covariance of (a, b, a + b + gap c) of standard normal a, b, c."""
    root = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, gap]], dtype=torch.float64)
    return root @ root.T


@pytest.mark.parametrize("gap", [1e-2, 1e-3, 1e-5])
def test_a_learned_covariance_of_nearly_collinear_features_is_kept(gap):
    """Its entries below the diagonal are up to 1e5 times the diagonal; a guide's are within 100 times."""
    loc, covariance = normal(3), nearly_collinear(gap)
    learned, guide = FullGaussian(3, floor=1e-6), FullGaussian(3)
    q = learned(learned.raw(loc, covariance))
    torch.testing.assert_close(covariance_of(q), covariance, rtol=1e-9, atol=1e-9)
    assert float(q.scale_tril[2, 2]) == pytest.approx(gap, rel=1e-4)
    limited = guide(guide.raw(loc, covariance)).scale_tril
    assert float(limited[2, 2]) == pytest.approx(max(gap, 0.01), rel=1e-4)  # 1 / 100: raised, and the others are kept
    torch.testing.assert_close(limited[2, :2], torch.ones(2).double())


def test_scales_are_those_of_the_principal_axes_that_features_have_part_in():
    """Of (a, a + gap b, b) no feature is as narrow, given those before it, as the axis of the first two."""
    root = torch.tensor([[1, 0, 0], [1, 0.01, 0], [0, 1, 0.003]], dtype=torch.float64)
    family, covariance = FullGaussian(3, floor=1e-4), root @ root.T
    narrowest = torch.linalg.eigvalsh(covariance)[0].sqrt()
    scales = family.scales(family.raw(torch.zeros(3).double(), covariance))
    torch.testing.assert_close(scales[:2], narrowest.expand(2), rtol=1e-6, atol=0.0)
    assert float(narrowest) < 0.1 * 0.003
    assert float(scales[2]) > 0.5
    with pytest.raises(CompositionError, match="no learned scale"):
        FullGaussian(2).scales(torch.zeros(5))


@EACH
def test_the_closed_rate_is_torchs_between_full_covariances(family):
    q = family(normal(5, family.size))
    loc, scale = normal(family.dim, name="loc"), normal(family.dim, name="scale").exp()
    features = Independent(Normal(loc, scale), 1)
    known = kl_divergence(MultivariateNormal(q.loc, covariance_of(q)), MultivariateNormal(loc, scale.square().diag()))
    torch.testing.assert_close(kl_divergence(q, features), known, rtol=1e-9, atol=1e-9)


def test_the_registered_rate_refuses_other_features():
    q = FullGaussian(2)(torch.zeros(10, 5))
    laplace = Independent(torch.distributions.Laplace(torch.zeros(2), torch.ones(2)), 1)
    with pytest.raises(NotImplementedError):
        kl_divergence(q, laplace)
    with pytest.raises(NotImplementedError):
        kl_divergence(LowRankMultivariateNormal(torch.zeros(2), torch.ones(2, 1), torch.ones(2)), laplace)


@pytest.mark.parametrize("family", [*FAMILIES, FullGaussian(4, floor=1e-4)], ids=lambda f: f.phrase)
@pytest.mark.parametrize("size", [1e3, 1e15, 1e38])
def test_no_finite_parameter_makes_a_nan(family, size):
    """In single precision, with every pattern of large and small that 200 draws find."""
    generator = stream(0, "sizes")
    choices = torch.tensor([0.0, 1.0, -1.0, size, -size, -50.0, 1e-30])
    params = choices[torch.randint(7, (200, family.size), generator=generator)].requires_grad_()
    for x in (torch.ones(family.dim), torch.full((family.dim,), 1e30)):
        value = family.log_prob(params, x)
        assert torch.isfinite(value).all()
        assert not torch.autograd.grad(value.sum(), params)[0].isnan().any()
    with drawing_from(stream(0, "samples")), torch.no_grad():
        assert torch.isfinite(family(params).sample((3,))).all()


@pytest.mark.parametrize("latent", [2, 4])
def test_the_exact_posterior_of_a_linear_model_is_within_reach(latent):
    """One affine layer, set to p(z | x): every log-weight is the evidence, and the closed rate completes the bound."""
    model, x = linear_model(latent, 5, "feature"), normal(6, 5, name="x")
    exact = model.posterior(Batch(x))
    at_zero, family = model.posterior(Batch(torch.zeros(1, 5).double())), FullGaussian(latent)
    guide = Amortized(Given(MLP(5, family.size, ()), family)).double()
    last = guide.conditional.net.layers[-1]
    with torch.no_grad():
        last.weight.zero_()
        units = model.posterior(Batch(torch.eye(5).double())).mean - at_zero.mean
        last.weight[:latent] = units.T
        last.bias.copy_(family.raw(at_zero.mean[0], exact.covariance_matrix[0]))
        draw = Pathwise(3).draw(model, guide, Batch(x), stream(0, "noise"))
        evidence = (draw.log_lik + draw.log_prior[..., 0] - exact.log_prob(draw.z))[0]
        close(draw.log_weight, evidence)
        close(ImportanceWeighted()(draw), evidence)
        covariance = torch.diag(model.likelihood.noise_variance) + model.likelihood.W @ model.likelihood.W.T
        close(evidence, MultivariateNormal(model.likelihood.b, covariance).log_prob(x))
        if latent == 2:
            close(Elbo()(Quadrature(8).draw(model, guide, Batch(x))), evidence)


def test_a_full_covariance_learns_the_posterior():
    """Gradient steps close the gap that features without correlation cannot (it is above 0.05 nats here)."""
    model, x = linear_model(), normal(16, 5, name="x")
    gaps = {}
    for family in (Gaussian(2), FullGaussian(2), LowRankGaussian(2)):
        with drawing_from(stream(0, "start")):
            guide = Amortized(Given(MLP(5, family.size, ()), family)).double()
        optimizer = torch.optim.Adam(guide.parameters(), 0.1)
        for step in range(240):
            optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 240)
            optimizer.zero_grad()
            draw = Pathwise(16).draw(model, guide, Batch(x), stream(step, "noise"))
            (-draw.log_weight.mean()).backward()
            optimizer.step()
        with torch.no_grad():
            gap = kl_divergence(_full(guide(Batch(x))), model.posterior(Batch(x))).mean()
        gaps[type(family).__name__] = float(gap)
    assert gaps["Gaussian"] > 0.05
    assert gaps["FullGaussian"] < 0.1 * gaps["Gaussian"]
    assert gaps["LowRankGaussian"] < 0.2 * gaps["Gaussian"]


def _full(q) -> MultivariateNormal:
    covariance = torch.diag_embed(q.variance) if isinstance(q, Independent) else covariance_of(q)
    return MultivariateNormal(q.mean, covariance)


def test_rates_use_the_closed_form():
    """One point or many, the rate is the same number."""
    model, x = linear_model(), normal(4, 5, name="x")
    for family in (FullGaussian(2), LowRankGaussian(2)):
        with drawing_from(stream(0, "rates")):
            guide = Amortized(Given(MLP(5, family.size, ()), family)).double()
        rates = [Rate()(Pathwise(k).draw(model, guide, Batch(x), stream(k, "noise"))) for k in (1, 9)]
        assert torch.equal(*rates)
    assert Unconditional(FullGaussian(2), learn=True).phrase == "learned Gaussian(2, full covariance)"


def test_what_cannot_work_is_refused():
    with pytest.raises(UsageError, match=r"^dim must be a whole number of at least 1, got 0"):
        FullGaussian(0)
    for wrong, why in (
        ((0, 1), "^dim must be .*, got 0"),
        ((3, 0), "^rank must be .*, got 0"),
        ((3, 4), "^rank must be at most dim=3, got 4. Give a rank from 1 to dim"),
    ):
        with pytest.raises(UsageError, match=why):
            LowRankGaussian(*wrong)
    for family in (FullGaussian(2), LowRankGaussian(2)):
        with pytest.raises(CompositionError, match="diagonal covariance"):
            family.log_prob(torch.zeros(family.size), torch.zeros(2), torch.ones(2) > 0)
