"""Noise on what the guide sees: the bound that is left is known exactly for probabilistic PCA."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from jensen.core.batch import Batch, Rows
from jensen.core.errors import CompositionError, UsageError
from jensen.core.parts import build, spec_of
from jensen.core.random import drawing_from, stream
from jensen.estimators.denoising import Corrupted, GaussianNoise, Masking, SaltAndPepper, corrupted_rows
from jensen.estimators.reparameterized import Pathwise, StickTheLanding
from jensen.families import FullGaussian, Gaussian
from jensen.guides import Amortized, Exact
from jensen.models.conditionals import Given
from jensen.nets import MLP
from jensen.objectives import Elbo, ImportanceWeighted
from tests.contracts.members import GAUSSIAN, MODELS
from tests.identities.models import close, linear_model

NOISE = 0.4
X = torch.tensor([[0.0, 1, 1], [1, 0, 1], [0, 0, 0]], dtype=torch.float64)


@torch.no_grad()
def posterior_guide(model) -> tuple[Amortized, torch.Tensor, float]:
    """q(z | x) = p(z | x) of a model of one latent feature as a network, its slope [D] and its variance."""
    q = model.posterior(Batch(torch.zeros(1, model.likelihood.family.dim, dtype=torch.float64)))
    variance, s2 = float(q.variance), float(model.likelihood.noise_variance)
    slope = variance / s2 * model.likelihood.W[:, 0]
    net = nn.Linear(len(slope), 2).double()
    net.weight.zero_()
    net.weight[0] = slope
    raw = Gaussian(1).raw(torch.tensor(variance).double().sqrt())
    net.bias.copy_(torch.stack([-slope @ model.likelihood.b, raw]))
    return Amortized(Given(net, Gaussian(1))), slope, variance


@pytest.fixture(scope="module")
def exact():
    model = linear_model(1, 4, name="denoised")
    return model, *posterior_guide(model), Batch(model.sample(5000, stream(0, "rows")))


@torch.no_grad()
def test_the_gap_is_that_of_the_posterior_of_another_datum(exact):
    """E over x~ of KL(p(z|x~) || p(z|x)) = noise^2 |slope|^2 / (2 variance): the bound holds, and is that loose."""
    model, guide, slope, variance, batch = exact
    draw = Corrupted(Pathwise(), GaussianNoise(NOISE)).draw(model, guide, batch, stream(0, "noise"))
    gap = Exact(model)(batch)  # the guide is the posterior where nothing is corrupted
    torch.testing.assert_close(guide(batch).mean, gap.mean)
    evidence = Pathwise().draw(model, Exact(model), batch, stream(0, "z")).log_weight[0]
    lost = evidence - Elbo()(draw)
    expected = NOISE**2 * float(slope.square().sum()) / (2 * variance)
    error = float(lost.std()) / math.sqrt(len(lost))
    assert error < 0.1 * expected
    assert abs(float(lost.mean()) - expected) < 4 * error


@torch.no_grad()
def test_more_points_tighten_the_bound(exact):
    model, guide, slope, variance, batch = exact
    evidence = Pathwise().draw(model, Exact(model), batch, stream(0, "z")).log_weight[0]
    draw = Corrupted(Pathwise(30), GaussianNoise(NOISE)).draw(model, guide, batch, stream(0, "noise"))
    lost = evidence - ImportanceWeighted()(draw)
    error = float(lost.std()) / math.sqrt(len(lost))
    loose = NOISE**2 * float(slope.square().sum()) / (2 * variance)
    assert -4 * error < float(lost.mean()) < 0.2 * loose


@pytest.mark.parametrize("corruption", [GaussianNoise(0.0), Masking(0.0), SaltAndPepper(0.0)], ids=str)
def test_no_corruption_is_the_estimator_itself(corruption):
    batch, noise = Batch(X), stream(0, "noise")
    draw = Corrupted(Pathwise(3), corruption).draw(MODELS["network"], GAUSSIAN, batch, noise)
    again = stream(0, "noise")
    corruption(X, again)
    plain = Pathwise(3).draw(MODELS["network"], GAUSSIAN, batch, again)
    assert torch.equal(draw.log_weight, plain.log_weight)


def test_the_clean_datum_is_scored_at_points_for_the_other():
    model, batch = MODELS["network"], Batch(X)
    draw = Corrupted(Pathwise(2), Masking(1.0, 0.5)).draw(model, GAUSSIAN, batch, stream(0, "noise"))
    assert draw.batch is batch
    assert torch.equal(draw.guide.mean, GAUSSIAN(Batch(torch.full_like(X, 0.5))).mean)
    torch.testing.assert_close(draw.log_lik + draw.log_prior.sum(-1), model.log_joint(batch, draw.z))
    assert torch.equal(GAUSSIAN(batch).mean, Pathwise().draw(model, GAUSSIAN, batch).guide.mean)  # nothing stays behind
    assert not GAUSSIAN._forward_pre_hooks


def test_a_guide_that_is_asked_again_sees_the_same_noise():
    """Frozen densities of a guide that is no diagonal Gaussian run it once more."""
    with drawing_from(stream(0, "full")):
        guide = Amortized(Given(MLP(3, 5, (4,)), FullGaussian(2))).double()
    draw = Corrupted(StickTheLanding(2), SaltAndPepper(0.9)).draw(
        MODELS["network"], guide, Batch(X), stream(0, "noise")
    )
    torch.testing.assert_close(draw.frozen(draw.z), draw.log_guide.sum(-1))
    clean = guide(Batch(X)).log_prob(draw.z)
    assert float((clean - draw.log_guide.sum(-1)).detach().abs().min()) > 1e-6


def test_pseudo_inputs_are_not_corrupted():
    model, corruption = MODELS["vamp prior"], Masking(1.0, 7.0)

    class Nosy(Pathwise):  # asks the prior while points are placed
        def draw(self, model, guide, batch, generator=None):
            draw = super().draw(model, guide, batch, generator)
            assert torch.equal(draw.log_prior[..., 0], model.prior.log_prob(draw.z))
            return draw

    draw = Corrupted(Nosy(2), corruption).draw(model, GAUSSIAN, Batch(X), stream(0, "noise"))
    assert torch.equal(draw.log_prior[..., 0], model.prior.log_prob(draw.z))


def test_an_exact_posterior_is_refused():
    model = linear_model(2, 3)
    with pytest.raises(CompositionError, match="not that of x"):
        Corrupted(Pathwise(), Masking()).draw(model, Exact(model), Batch(X))


@pytest.mark.parametrize(
    "make", [lambda: Masking(1.2), lambda: SaltAndPepper(-0.1), lambda: GaussianNoise(-1.0), lambda: Masking(math.nan)]
)
def test_noise_that_cannot_be_is_refused(make):
    with pytest.raises(UsageError, match=r"Give (a number|scale 0 or more)"):
        make()


def test_shares_and_scales_are_as_declared():
    """Within four standard errors, on 40,000 features that are 0.3 everywhere."""
    x = torch.full((200, 200), 0.3)
    masked = float((Masking(0.25, -1.0)(x, stream(0, "mask")) == -1).float().mean())
    assert abs(masked - 0.25) < 4 * math.sqrt(0.25 * 0.75 / x.numel())
    spotted = SaltAndPepper(0.4, 0.0, 5.0)(x, stream(0, "spots"))
    for value in (0.0, 5.0):
        assert abs(float((spotted == value).float().mean()) - 0.2) < 4 * math.sqrt(0.2 * 0.8 / x.numel())
    away = (GaussianNoise(2.0)(x, stream(0, "gauss")) - 0.3).double()
    assert abs(float(away.mean())) < 4 * 2 / math.sqrt(x.numel())
    assert abs(float(away.std()) - 2) < 4 * 2 / math.sqrt(2 * x.numel())


def test_noise_comes_from_its_generator_alone():
    before = torch.get_rng_state()
    for corruption in (GaussianNoise(), Masking(), SaltAndPepper()):
        one, two = (corruption(X, stream(3, "noise")) for _ in range(2))
        assert torch.equal(one, two)
        assert build(spec_of(corruption)) == [corruption]
        assert corruption.phrase
    assert torch.equal(torch.get_rng_state(), before)


def test_rows_are_corrupted_once_and_holes_stay():
    mask = torch.tensor([[True, True, False], [True, True, True], [True, True, True]])
    rows = Rows((X * 2).to(torch.uint8), lambda x, g: x.double() / 2, mask=mask, fill=torch.full((3,), 0.5))
    noisy = corrupted_rows(rows, Masking(1.0, 0.25), stream(0, "noise"))
    [batch] = noisy.batches(5)
    close(batch.x, torch.where(mask, 0.25, 0.5).double())
    assert torch.equal(batch.mask, mask)
