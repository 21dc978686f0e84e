"""The estimators that make surrogates: unbiased against exact gradients, and as quiet as their papers say.

Repetitions are the rows of one batch: the same datum, with parameters of the guide for every row.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from jensen.core.batch import Batch
from jensen.core.errors import CompositionError, NotReparameterizable, UsageError
from jensen.core.random import stream
from jensen.estimators.enumeration import Enumerate
from jensen.estimators.quadrature import Quadrature
from jensen.estimators.reparameterized import DoublyReparameterized, Pathwise, StickTheLanding
from jensen.estimators.score import Score
from jensen.families import Categorical, Gaussian
from jensen.guides import Deterministic, Exact, Shared
from jensen.models.conditionals import Unconditional
from jensen.models.draw import weigh
from jensen.models.guide import Guide
from jensen.nets import MLP
from jensen.objectives import MMD, Capacity, CustomObjective, Distortion, Elbo, ImportanceWeighted, Rate, Renyi
from tests.identities.models import amortized, close, curved_model, linear_model, mixture_model, normal_guide, simulated

REPEATS = 20000
LOC, SCALE = 0.4, 0.6


class Full(Guide):
    """A full-covariance Gaussian whose location and factor are parameters."""

    def __init__(self, loc, factor) -> None:
        super().__init__()
        self.loc, self.factor = nn.Parameter(loc), nn.Parameter(factor)

    def forward(self, batch):
        return MultivariateNormal(self.loc, scale_tril=self.factor)

    @property
    def phrase(self) -> str:
        return "full"


class Stubborn(Full):
    """One that cannot score a point it did not make."""

    def forward(self, batch):
        q = super().forward(batch)
        q.log_prob = self.refuse
        return q

    def refuse(self, z):
        raise NotImplementedError


def rows_of(model, n: int = REPEATS, scale: float = SCALE):
    """One datum many times, with a guide that has parameters [2] for each time."""
    batch = Batch(simulated(model, 1).x.expand(n, -1))
    return batch, normal_guide(torch.full((n, 1), LOC).double(), torch.full((n, 1), scale).double())


def by_row(value, guide) -> torch.Tensor:
    return torch.autograd.grad(value.sum(), guide.conditional.values)[0]


def estimated(estimator, objective, model, n: int = REPEATS, scale: float = SCALE) -> torch.Tensor:
    """[R, 2] gradients of one datum."""
    batch, guide = rows_of(model, n, scale)
    draw = estimator.draw(model, guide, batch, stream(0, "noise"))
    value = estimator.surrogate(objective, draw)
    torch.testing.assert_close(value, objective(draw), rtol=0, atol=0)
    return by_row(value, guide)


def exact_elbo(model, beta: float = 1.0) -> torch.Tensor:
    batch, guide = rows_of(model, 1)
    return by_row(Elbo(beta)(Quadrature(64).draw(model, guide, batch)), guide)[0]


def exact_pair(model, bound) -> torch.Tensor:
    """[2] gradient of the expectation of a bound [..., 2] -> [...] of two log-weights: a sum over pairs of nodes."""
    batch, guide = rows_of(model, 1)
    draw = Quadrature(48).draw(model, guide, batch)
    log_w, measure = draw.log_weight[:, 0], draw.log_measure[:, 0].exp()
    pairs = torch.stack(torch.broadcast_tensors(log_w[:, None], log_w), -1)
    return by_row((measure[:, None] * measure * bound(pairs)).sum(), guide)[0]


def pair_of(alpha: float):
    rest, two = 1 - alpha, torch.tensor(2.0).double().log()
    return lambda log_w: (torch.logsumexp(rest * log_w, -1) - two) / rest


def error(gradients) -> torch.Tensor:
    return gradients.std(0) / len(gradients) ** 0.5


def unbiased(gradients, exact) -> bool:
    """The mean over repetitions is within 4 standard errors of the exact gradient."""
    return bool(((gradients.mean(0) - exact).abs() < 4 * error(gradients)).all())


@pytest.mark.parametrize("estimator", [StickTheLanding(1), StickTheLanding(3), DoublyReparameterized(2), Score(3)])
@pytest.mark.parametrize("objective", [Elbo(), Elbo(2.5), -Distortion() - 2.5 * Rate()], ids=str)
def test_means_over_the_draw_are_unbiased(estimator, objective):
    """Against quadrature with 64 nodes; 20000 repetitions, 4 standard errors."""
    model = curved_model()
    beta = 1.0 if objective == Elbo() else 2.5
    assert unbiased(estimated(estimator, objective, model), exact_elbo(model, beta))


@pytest.mark.parametrize(
    ("estimator", "objective", "alpha"),
    [
        (DoublyReparameterized(2), ImportanceWeighted(), 0.0),
        (Score(2), ImportanceWeighted(), 0.0),
        (Score(2), Renyi(0.5), 0.5),
        (Score(2), Renyi(-1.0), -1.0),
        (Pathwise(2), Renyi(0.5), 0.5),
    ],
    ids=str,
)
def test_functions_of_all_weights_are_unbiased(estimator, objective, alpha):
    """K = 2, against the gradient of the expectation as a sum over pairs of nodes; 4 standard errors."""
    model = curved_model()
    assert unbiased(estimated(estimator, objective, model), exact_pair(model, pair_of(alpha)))


def test_leaving_out_the_score_of_importance_weights_is_a_bias():
    """Tucker et al., 2019: single weights w in the place of w^2 are wrong; the test above can fail."""
    model = curved_model()
    batch, guide = rows_of(model)
    draw = StickTheLanding(2).draw(model, guide, batch, stream(0, "noise"))
    wrong = torch.logsumexp(draw.log_lik + draw.log_prior.sum(-1) - draw.frozen(draw.z), 0)
    assert not unbiased(by_row(wrong, guide), exact_pair(model, pair_of(0.0)))


def test_importance_weights_under_sticking_the_landing_are_doubly_reparameterised():
    model = curved_model()
    batch, guide = rows_of(model)
    gradients = []
    for estimator in (StickTheLanding(3), DoublyReparameterized(3)):
        estimator.check(ImportanceWeighted())
        draw = estimator.draw(model, guide, batch, stream(0, "noise"))
        gradients.append(by_row(estimator.surrogate(ImportanceWeighted(), draw), guide))
    assert torch.equal(*gradients)


def test_a_baseline_that_holds_its_own_point_is_a_bias():
    model = curved_model()
    batch, guide = rows_of(model)
    draw = Score(3).draw(model, guide, batch, stream(0, "noise"))
    f, log_q = draw.log_weight.detach(), draw.log_guide.sum(-1)
    wrong = by_row(((f - f.mean(0)) * log_q).mean(0), guide)
    assert not unbiased(wrong, exact_elbo(model))
    assert unbiased(wrong * 3 / 2, exact_elbo(model))


def at_the_posterior(latent: int = 3, n: int = 5):
    """Probabilistic PCA, with a guide that is its posterior and has parameters of its own."""
    model = linear_model(latent)
    batch = simulated(model, n)
    with torch.no_grad():
        p = model.posterior(batch)
    return model, batch, Full(p.mean.clone(), p.scale_tril.expand(n, -1, -1).clone())


@pytest.mark.parametrize(
    ("estimator", "objective"),
    [
        (StickTheLanding(1), Elbo()),
        (StickTheLanding(1), -Distortion() - Rate()),
        (DoublyReparameterized(4), ImportanceWeighted()),
        (Score(4), Elbo()),
    ],
    ids=str,
)
def test_no_noise_at_the_exact_posterior(estimator, objective):
    """Roeder et al., 2017: on probabilistic PCA the guide's gradient is zero for every draw, to 1e-12 of the score."""
    model, batch, guide = at_the_posterior()
    for seed in range(5):
        draw = estimator.draw(model, guide, batch, stream(seed, "noise"))
        found = torch.autograd.grad(estimator.surrogate(objective, draw).sum(), list(guide.parameters()))
        score = torch.autograd.grad(draw.guide.log_prob(draw.z.detach()).sum(), list(guide.parameters()))
        assert flat(found).abs().max() < 1e-12 * flat(score).abs().max()


def test_the_plain_path_is_noisy_there():
    model, batch, guide = at_the_posterior()
    draw = Pathwise(1).draw(model, guide, batch, stream(0, "noise"))
    assert torch.autograd.grad(Elbo()(draw).sum(), guide.loc)[0].abs().max() > 0.1


def signal_to_noise(estimator, model) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean over standard deviation of the location's gradient, and its standard error (delta method)."""
    gradients = estimated(estimator, ImportanceWeighted(), model, 4000, scale=1.0)[:, 0]
    ratio = gradients.mean().abs() / gradients.std()
    return ratio, ((1 + ratio.square() / 2) / len(gradients)) ** 0.5


def test_signal_to_noise_along_k():
    """Rainforth et al., 2018: that of the plain path falls with K; Tucker et al., 2019: that of DReG rises.

    The guide is wider than the posterior, so that the weights have a variance. 4000 repetitions each; every step is
    at least 4 standard errors, and from K = 4 to 64 the one rises, and the other falls, at least threefold.
    """
    model = curved_model()
    for make, ks, sign in ((DoublyReparameterized, (4, 16, 64), 1), (Pathwise, (4, 64), -1)):
        found = [signal_to_noise(make(k), model) for k in ks]
        for (a, error_a), (b, error_b) in itertools.pairwise(found):
            assert sign * (b - a) > 4 * (error_a.square() + error_b.square()) ** 0.5
        assert (found[-1][0] / found[0][0]) ** sign > 3


def flat(gradients) -> torch.Tensor:
    return torch.cat([g.flatten() for g in gradients])


@pytest.mark.parametrize(
    "objective", [Elbo(), -Distortion() - Rate(), CustomObjective(lambda d: d.mean(d.log_lik**2), "square")]
)
@pytest.mark.sampled(2)
def test_score_is_enumeration_on_average(objective):
    """On a Categorical guide, for guide and model alike: 300 draws, 4 standard errors."""
    model, guide = mixture_model(), amortized(2, Categorical(3))
    batch = simulated(model, 8)
    both = [p for p in (*guide.parameters(), *model.parameters()) if p.requires_grad]

    def gradient(estimator, seed: int) -> torch.Tensor:
        draw = estimator.draw(model, guide, batch, stream(seed, "noise"))
        value = estimator.surrogate(objective, draw).mean()
        found = torch.autograd.grad(value, both, allow_unused=True)
        return flat(torch.zeros_like(p) if g is None else g for p, g in zip(both, found, strict=True))

    exact = gradient(Enumerate(), 0)
    sampled = torch.stack([gradient(Score(4), seed) for seed in range(300)])
    assert ((sampled.mean(0) - exact).abs() <= 4 * error(sampled) + 1e-12).all()


@pytest.mark.parametrize(
    ("estimator", "objective"),
    [(StickTheLanding(2), Elbo()), (Score(2), Elbo()), (DoublyReparameterized(2), ImportanceWeighted())],
    ids=str,
)
def test_gradients_of_the_model_are_the_plain_ones(estimator, objective):
    """At the same points: what happens to the score of q is no business of the model's parameters."""
    model, guide = curved_model(), amortized(3, Gaussian(1))
    batch = simulated(model, 4)
    theta = list(model.likelihood.parameters())
    draw = estimator.draw(model, guide, batch, stream(0, "noise"))
    found = torch.autograd.grad(estimator.surrogate(objective, draw).sum(), theta, retain_graph=True)
    plain = Pathwise(2).draw(model, guide, batch, stream(0, "noise"))
    assert torch.equal(plain.z, draw.z)
    close(flat(found), flat(torch.autograd.grad(objective(plain).sum(), theta)))


def test_a_mixed_objective_leaves_the_other_term_alone():
    """The weights of DReG reach the importance-weighted term, and not MMD's points."""
    model, guide = linear_model(2), amortized(5, Gaussian(2))
    batch, estimator = simulated(model, 6), DoublyReparameterized(4)
    draw = estimator.draw(model, guide, batch, stream(0, "noise"))

    def gradient(value) -> torch.Tensor:
        return flat(torch.autograd.grad(value.sum(), list(guide.parameters()), retain_graph=True))

    alone = gradient(estimator.surrogate(ImportanceWeighted(), draw))
    close(gradient(estimator.surrogate(ImportanceWeighted() - 3 * MMD(), draw)), alone - 3 * gradient(MMD()(draw)))


def test_a_guide_that_shares_parameters_with_the_model():
    """The exact posterior holds the model: the gradient is that of log p(x, z) at fixed z, by Fisher's identity.

    200 draws of 5 data, 4 standard errors against the gradient of the evidence.
    """
    model = linear_model(2)
    batch, guide = simulated(model, 5), Exact(model)
    theta = [p for p in model.parameters() if p.requires_grad]

    def gradient(estimator, seed: int) -> torch.Tensor:
        draw = estimator.draw(model, guide, batch, stream(seed, "noise"))
        return flat(torch.autograd.grad(estimator.surrogate(Elbo(), draw).mean(), theta))

    exact = gradient(Pathwise(1), 0)
    sampled = torch.stack([gradient(StickTheLanding(1), seed) for seed in range(200)])
    assert unbiased(sampled, exact)
    assert (sampled.std(0) > 1e-3).any()


def test_refusals():
    model = linear_model(2)
    batch, one = simulated(model, 3), CustomObjective(lambda d: d.log_weight.std(0), "spread")
    coupled = CustomObjective(lambda d: d.z.mean((1, 2)), "mean", coupled=True)
    for estimator in (StickTheLanding(2), DoublyReparameterized(2)):
        estimator.check(Elbo() - MMD())
        with pytest.raises(CompositionError, match="wrong gradients for spread"):
            estimator.check(Elbo() + one)
        with pytest.raises(CompositionError, match="wrong gradients for Capacity"):
            estimator.check(-Distortion() - Capacity(3.0))
    Score(2).check(Elbo() + one + Renyi(0.5))
    with pytest.raises(CompositionError, match=r"wrong gradients for mean.*Pathwise\(k\)"):
        Score(2).check(Elbo() + coupled)
    for make, least in ((lambda: StickTheLanding(0), 1), (lambda: DoublyReparameterized(0), 1), (lambda: Score(1), 2)):
        with pytest.raises(UsageError, match=f"^k must be a whole number of at least {least}, got {least - 1}"):
            make()
    point = Deterministic(MLP(5, 2, (4,))).double()
    for estimator in (StickTheLanding(), DoublyReparameterized(), Score()):
        with pytest.raises(CompositionError, match="does not have"):
            estimator.draw(model, point, batch)
    with pytest.raises(NotReparameterizable, match=r"Score\(k\)"):
        StickTheLanding().draw(mixture_model(), Shared(Unconditional(Categorical(3), learn=True)).double(), batch)


def test_a_guide_that_cannot_score_is_refused():
    model, batch, guide = at_the_posterior()
    stubborn = Stubborn(guide.loc.detach(), guide.factor.detach())
    draw = StickTheLanding().draw(model, stubborn, batch, stream(0, "noise"))
    with pytest.raises(CompositionError, match="cannot score a point"):
        draw.frozen(draw.z)
    with pytest.raises(UsageError, match="its own draw"):
        StickTheLanding().surrogate(Elbo(), weigh(model, guide(batch), draw.z, batch))
