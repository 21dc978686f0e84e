"""Terms beside the bounds, against closed forms: Renyi, free bits, capacity, MMD, total correlation, DIP, cycles."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch

from jensen.core.batch import Batch
from jensen.core.errors import CompositionError, UsageError
from jensen.core.random import stream
from jensen.estimators.enumeration import Enumerate
from jensen.estimators.quadrature import Quadrature
from jensen.estimators.reparameterized import Pathwise
from jensen.families import Categorical, Gaussian, Mixture
from jensen.guides import Deterministic, Shared
from jensen.models.conditionals import Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from jensen.objectives import (
    DIP,
    MMD,
    Capacity,
    CustomObjective,
    Distortion,
    Elbo,
    FreeBits,
    ImportanceWeighted,
    Ramp,
    Rate,
    Renyi,
    TotalCorrelation,
    likelihood_weight,
    rate_weight,
)
from jensen.objectives.aggregate import log_shares
from tests.identities.models import amortized, close, evidence, linear_model, mixture_model, normal_guide, simulated


def placed(loc, scale, estimator=None, n_data=None):
    """A draw of probabilistic PCA under q = N(loc, scale^2), one row of each for each datum."""
    loc, scale = torch.as_tensor(loc, dtype=torch.float64), torch.as_tensor(scale, dtype=torch.float64)
    model = linear_model(loc.shape[-1])
    batch = replace(simulated(model, len(loc)), n_data=n_data)
    with torch.no_grad():
        return (estimator or Pathwise(2)).draw(model, normal_guide(loc, scale), batch, stream(0, "noise"))


def some(b: int, z: int, name: str = "some"):
    generator = stream(0, name)
    return (
        torch.randn(b, z, dtype=torch.float64, generator=generator),
        0.3 + torch.rand(b, z, dtype=torch.float64, generator=generator),
    )


# ---------------------------------------------------------------- Renyi


def divergence(alpha: float, m, s, mu, sigma):
    """D_alpha(N(m, s^2) || N(mu, sigma^2)) (Gil, Alajaji & Linder, 2013)."""
    mixed = alpha * sigma**2 + (1 - alpha) * s**2
    return (sigma / s).log() + (sigma**2 / mixed).log() / (2 * (alpha - 1)) + alpha * (m - mu) ** 2 / (2 * mixed)


@pytest.mark.parametrize("alpha", [-0.5, 0.0, 0.5, 2.0])
def test_renyi_is_the_evidence_less_a_divergence(alpha):
    """log p(x) - D_alpha(q || p(z|x)) for Gaussians, by quadrature."""
    model = linear_model(1)
    with torch.no_grad():
        p = model.posterior(simulated(model, 6))
    mu, sigma = p.mean, p.variance.sqrt().expand(6, 1)
    far, size = some(6, 1)
    m, s = mu + 0.5 * sigma * far, sigma * (0.7 + 0.5 * size)
    draw = placed(m, s, Quadrature(128))
    with torch.no_grad():
        exact = evidence(draw.model, draw.batch)
    close(Renyi(alpha)(draw), exact - divergence(alpha, m, s, mu, sigma)[:, 0], 1e-7)


def test_renyi_at_its_named_orders():
    draw = placed(*some(5, 2), Pathwise(7))
    close(Renyi(1.0)(draw), Elbo()(draw), 0)
    close(Renyi(0.0)(draw), ImportanceWeighted()(draw), 1e-12)
    close(Renyi(1 + 1e-6)(draw), Elbo()(draw), 1e-3)
    values = torch.stack([Renyi(alpha)(draw) for alpha in (-1.0, 0.0, 0.5, 1.0, 2.0)])
    assert (values.diff(dim=0) < 0).all()  # it falls with alpha
    with pytest.raises(UsageError):
        Renyi(math.nan)


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 0.5, 2.0])
def test_renyi_of_a_finite_latent(alpha):
    """By enumeration: log sum_k q_k (p_k / q_k)^(1 - alpha) / (1 - alpha); a class that q rules out does no harm."""
    model = mixture_model()
    batch, logits = simulated(model, 4), torch.tensor([0.3, -0.4, -torch.inf]).double()
    guide = Shared(Unconditional(Categorical(3), learn=True)).double()
    for value in (logits, logits.nan_to_num(neginf=0.7)):
        with torch.no_grad():
            guide.conditional.value.copy_(value)
            draw = Enumerate().draw(model, guide, batch)
            joint = (draw.log_lik + draw.log_prior[..., 0]).exp()
        q = value.softmax(0)[:, None]
        kept = q[:, 0] > 0
        exact = (q[kept] * (joint[kept] / q[kept]) ** (1 - alpha)).sum(0).log() / (1 - alpha)
        if alpha != 0 or kept.all():  # at alpha = 0 the enumeration is exact also where q is zero
            close(Renyi(alpha)(draw), exact)
        else:
            close(Renyi(alpha)(draw), evidence(model, batch))


# ---------------------------------------------------------------- the rate at a level


def closed(m, s):
    return 0.5 * (m**2 + s**2 - 1) - s.log()


def test_free_bits_of_the_total_and_of_groups():
    m, s = some(6, 4)
    draw, each = placed(m, s), closed(m, s)
    for features, grouped in (
        (None, each.sum(-1, keepdim=True)),
        (1, each),
        (2, each.reshape(6, 2, 2).sum(-1)),
        (4, each.sum(-1, keepdim=True)),
    ):
        mean = grouped.mean(0)
        for nats in (0.0, float(mean.median()) + 1e-3, 50.0):
            close(FreeBits(nats, features)(draw), mean.clamp_min(nats).sum().expand(6))
    assert (FreeBits(0.5, 1)(draw) >= Rate()(draw).mean()).all()  # so that -Distortion - FreeBits is a bound


def test_free_bits_cost_no_gradient_below_their_level():
    model, guide = linear_model(2), amortized(5, Gaussian(2))
    draw = Pathwise(1).draw(model, guide, simulated(model, 5), stream(0, "noise"))
    weight = next(iter(guide.parameters()))
    for nats, moves in ((0.0, True), (1e3, False)):
        (found,) = torch.autograd.grad(FreeBits(nats)(draw).mean(), weight, retain_graph=True)
        assert bool(found.any()) is moves


def test_free_bits_without_a_closed_form():
    """Where torch has none, the points say it: 20000 of them, 4 standard errors, per feature."""
    m, s = some(3, 2)
    draw = placed(m, s, Pathwise(20000))
    laplace = torch.distributions.Independent(torch.distributions.StudentT(torch.full((2,), 5.0).double()), 1)
    draw.__dict__["prior"] = laplace
    each = draw.guide.base_dist.log_prob(draw.z) - laplace.base_dist.log_prob(draw.z)
    close(FreeBits(0.0, 1)(draw)[0], each.mean((0, 1)).clamp_min(0).sum())
    grid = torch.linspace(-12, 12, 4001, dtype=torch.float64)[:, None, None]
    q = torch.distributions.Normal(m, s)
    exact = (q.log_prob(grid).exp() * (q.log_prob(grid) - laplace.base_dist.log_prob(grid))).sum(0) * 24 / 4000
    assert ((each.mean(0) - exact).abs() < 4 * each.std(0) / 20000**0.5).all()


def test_free_bits_refuse_what_they_cannot_group():
    with pytest.raises(CompositionError, match="no groups of 2"):
        FreeBits(0.1, 2)(placed(*some(3, 3)))
    model = LatentVariableModel(Unconditional(Mixture(Gaussian(2), 2)), linear_model(2).likelihood).double()
    draw = Pathwise(1).draw(model, amortized(5, Gaussian(2)), simulated(model, 3), stream(0, "noise"))
    assert torch.isfinite(FreeBits(0.1)(draw)).all()
    with pytest.raises(CompositionError, match="feature by feature"):
        FreeBits(0.1, 1)(draw)
    for make in (lambda: FreeBits(-1.0), lambda: FreeBits(1.0, 0), lambda: Capacity(1.0, -1.0)):
        with pytest.raises(UsageError):
            make()


def test_capacity_pulls_the_mean_rate_from_both_sides():
    m, s = some(5, 3)
    draw, rate = placed(m, s), closed(m, s).sum(-1).mean()
    for nats in (0.0, 2.0, 40.0):
        close(Capacity(nats, 3.0)(draw), (3 * (rate - nats).abs()).expand(5))
    ramp = Ramp(25.0, 10)
    objective = -Distortion() - Capacity(ramp, 2.0)
    assert objective.ramps == (ramp,)
    ramp.advance(4)
    close(objective(draw), -Distortion()(draw) - 2 * (rate - 10).abs())
    assert str(objective) == "-Distortion - Capacity(nats=(0 to 25 in 10 steps), gamma=2)"


def test_cycles():
    """Fu et al., 2019: each cycle of 20 steps rises for 10, and then stays."""
    ramp = Ramp(1.0, 10, every=20)
    found = []
    for step in (0, 5, 10, 19, 20, 25, 30, 40):
        ramp.advance(step)
        found.append(float(ramp.value))
    assert found == [0, 0.5, 1, 1, 0, 0.5, 1, 0]
    assert (3 * (ramp * Rate())).terms[0][0] == Ramp(3.0, 10, every=20)
    assert str(ramp) == "(0 to 1 in 10 steps, every 20)"
    with pytest.raises(UsageError, match="no room"):
        Ramp(1.0, 10, every=5)


# ---------------------------------------------------------------- the aggregate


def imq(loc: float, variance: float, scales) -> float:
    """E[k(d)] for d ~ N(loc, variance), by a fine grid."""
    d = torch.linspace(-15, 15, 60001, dtype=torch.float64)
    density = torch.distributions.Normal(loc, variance**0.5).log_prob(d).exp()
    return float(sum((density * 2 * s / (2 * s + d**2)).sum() for s in scales) * 30 / 60000)


@pytest.mark.parametrize(("loc", "scale"), [(0.0, 1.0), (0.7, 0.5)])
def test_mmd_of_known_laws(loc, scale):
    """Unbiased: 1500 batches of 5 points of N(loc, scale^2) against N(0, 1), 4 standard errors."""
    term = MMD((0.5, 2.0))
    b, k = 5, 1500
    draw = placed(torch.full((b, 1), loc), torch.full((b, 1), scale), Pathwise(k))
    values = torch.stack([term(replace(draw, z=z[None], noise=None, log_lik=draw.log_lik[:1]))[0] for z in draw.z])
    exact = imq(0.0, 2 * scale**2, term.scales) + imq(0.0, 2.0, term.scales) - 2 * imq(loc, 1 + scale**2, term.scales)
    assert abs(values.mean() - exact) < 4 * values.std() / k**0.5
    assert (exact == 0) if scale == 1 else exact > 20 * values.std() / k**0.5
    biased = values + 2 * len(term.scales) / b  # the diagonal of both kernels would add about this much
    assert abs(biased.mean() - exact) > 20 * values.std() / k**0.5


def test_mmd_is_a_function_of_the_draw():
    draw = placed(*some(4, 2))
    before = torch.get_rng_state()
    value = MMD()(draw)
    assert torch.equal(value, MMD()(draw))
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(value, MMD()(replace(draw, z=draw.z.flip(0) + 1e-9)))
    assert value.shape == (4,)
    assert (MMD()(placed(*some(1, 2))) == 0).all()
    with pytest.raises(UsageError):
        MMD(())


def test_mmd_needs_no_density():
    """The Wasserstein autoencoder: a point for a code."""
    model, guide = linear_model(2), Deterministic(MLP(5, 2, (4,))).double()
    draw = Pathwise(1).draw(model, guide, simulated(model, 6), stream(0, "noise"))
    assert torch.isfinite((-Distortion() - 10 * MMD())(draw)).all()
    assert not MMD().needs_density


def product_grid(scale: float = 0.3):
    """Means on a product of sets: the aggregate factorises, though no datum's posterior is the prior."""
    loc = torch.tensor(list(itertools.product([-1.0, 0.5, 2.0], [0.0, 1.0]))).double()
    return loc, torch.full_like(loc, scale)


def test_total_correlation_of_an_aggregate_that_factorises():
    close(TotalCorrelation()(placed(*product_grid(), Pathwise(3), n_data=6)), torch.zeros(6), 1e-10)


def test_total_correlation_of_a_known_aggregate():
    """Means on a diagonal line: against a grid of the mixture; 10000 points per datum, 4 standard errors."""
    loc = torch.tensor([[-1.0, -1.0], [0.0, 0.2], [1.5, 1.0]]).double()
    scale = torch.tensor([[0.5, 0.6], [0.7, 0.4], [0.5, 0.5]]).double()
    draw = placed(loc, scale, Pathwise(10000), n_data=3)
    found = TotalCorrelation()(draw)
    axis = torch.linspace(-5, 5.5, 1201, dtype=torch.float64)
    normal = torch.distributions.Normal(loc[:, None], scale[:, None])
    dense = normal.log_prob(axis[None, :, None]).exp()  # [3, n, 2]
    joint = torch.einsum("bi,bj->ij", dense[..., 0], dense[..., 1]) / 3
    marginal = dense.mean(0)
    ratio = torch.where(joint > 0, (joint / (marginal[:, :1] * marginal[:, 1])).log(), 0.0)
    exact = (joint * ratio).sum() * (10.5 / 1200) ** 2
    one = [
        TotalCorrelation()(replace(draw, z=z[None], noise=None, log_lik=draw.log_lik[:1])).mean() for z in draw.z[:500]
    ]
    error = torch.stack(one).std() / 10000**0.5
    assert exact > 0.1
    assert abs(found.mean() - exact) < 4 * error


def test_stratified_weights_are_unbiased_for_the_aggregate():
    """The mean over all batches of 3 of 6 data that hold datum i is (1/N) sum_n q(z_i | x_n), exactly."""
    loc, scale = some(6, 2)
    q = torch.distributions.Normal(loc, scale)
    share = log_shares(3, 6, loc).exp()
    close(share.sum(1), torch.ones(3))
    z = loc[0] + 0.3
    density = q.log_prob(z).sum(-1).exp()
    batches = [(0, *others) for others in itertools.combinations(range(1, 6), 2)]
    close(sum(share[0] @ density[list(rows)] for rows in batches) / len(batches), density.mean())


def test_total_correlation_refuses():
    with pytest.raises(UsageError, match="n_data"):
        TotalCorrelation()(placed(*some(3, 2)))
    model, batch = mixture_model(), Batch(torch.zeros(3, 2).double(), n_data=3)
    draw = Enumerate().draw(model, amortized(2, Categorical(3)), batch)
    with pytest.raises(CompositionError, match="densities of their own"):
        TotalCorrelation()(draw)
    assert (TotalCorrelation()(placed(*some(1, 2), n_data=9)).abs() < 1e-12).all()


def test_dip_of_known_covariances():
    m, s = some(7, 3)
    draw = placed(m, s)
    c = torch.cov(m.T, correction=0)
    for of, cov in (("means", c), ("points", c + torch.diag(s.square().mean(0)))):
        off = (cov - torch.diag(cov.diagonal())).square().sum()
        exact = 2 * off + 5 * (cov.diagonal() - 1).square().sum()
        close(DIP(of, 2.0, 5.0)(draw), exact.expand(7))
    white = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]).double()
    close(DIP()(placed(white, torch.ones(4, 2))), torch.zeros(4))
    with pytest.raises(UsageError, match="Choose"):
        DIP("codes")


# ---------------------------------------------------------------- what they say of themselves


def test_the_effective_beta_is_true_or_nothing():
    assert rate_weight(Renyi(0.5)) == likelihood_weight(Renyi(0.5)) == 1
    for held in (FreeBits(1.0), Capacity(3.0), TotalCorrelation(), CustomObjective(lambda d: d.rate, "mine")):
        assert rate_weight(-Distortion() - held) is None
        assert rate_weight(Elbo() - 0.0 * held) == 1
        assert likelihood_weight(Elbo() - held) == 1
    for beside in (MMD(), DIP(), CustomObjective(lambda d: d.log_lik[0], "mine", reads_density=False)):
        assert rate_weight(-Distortion() - 3 * beside) == 0
        assert rate_weight(Elbo() - beside) == 1


def test_names():
    found = [Renyi(0.5), FreeBits(0.5), FreeBits(0.5, 2), Capacity(25.0), MMD(), MMD((1.0, 2.0)), TotalCorrelation()]
    assert list(map(str, found)) == [
        "Renyi(alpha=0.5)",
        "FreeBits(nats=0.5)",
        "FreeBits(nats=0.5, features=2)",
        "Capacity(nats=25, gamma=1000)",
        "MMD",
        "MMD(scales=1,2)",
        "TotalCorrelation",
    ]
    assert str(Elbo() - 5 * TotalCorrelation()) == "Elbo - 5 TotalCorrelation"
