"""Draws of what is missing: against closed forms of a linear-Gaussian model, and sums over a tiny Bernoulli one."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from jensen.analysis.gibbs import split_r_hat
from jensen.analysis.imputation import Imputation, impute
from jensen.core.batch import Batch, Rows
from jensen.core.errors import CompositionError, NotNormalised, UsageError
from jensen.core.random import drawing_from, stream
from jensen.evaluate import Importance
from jensen.families import Bernoulli, Gaussian, Mixture, positive_inverse
from jensen.guides import Amortized, Deterministic, Exact
from jensen.models.conditionals import Given, Unconditional
from jensen.models.guide import Guide
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from tests.identities.models import close, linear_model, mixture_model, scrambled

DIM = 5
MASK = torch.tensor([[1, 1, 0, 1, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]]).bool()
NUMBER = 4000  # draws of each datum
Z_MOST = 4.0  # standard errors; some 40 numbers are compared in each test


def holed(model: LatentVariableModel, mask: Tensor = MASK) -> Rows:
    """Data of the model, with NaN where they are missing: nothing may look there."""
    x = model.sample(len(mask), stream(1, "holes"))
    return Rows(torch.where(mask, x, torch.nan), mask=mask, fill=torch.zeros(DIM, dtype=x.dtype))


def wide_guide() -> Guide:
    """q = N(a(x), 1.5^2), a some affine map: wide enough for weights with a variance, and wrong."""
    with drawing_from(stream(0, "wide")):
        net = nn.Linear(DIM, 2).double()
    with torch.no_grad():
        net.weight.mul_(0.3)
    return Amortized(Given(net, Gaussian(2, 1.5)))


@torch.no_grad()
def faint_model(noise: str) -> LatentVariableModel:
    """One whose data say less of z, so that a chain that goes through them is soon elsewhere."""
    model = linear_model(2, DIM, noise)
    model.likelihood.W.mul_(0.4)  # type: ignore[union-attr, operator]
    model.likelihood.raw_scale.clamp_(min=0.5)  # type: ignore[union-attr, operator]
    return model


@torch.no_grad()
def near_guide(model: LatentVariableModel) -> Guide:
    """The posterior given every entry, half as wide again in each feature, and without its correlation."""
    q = model.posterior(Batch(torch.cat([torch.zeros(1, DIM), torch.eye(DIM)]).double()))
    net = nn.Linear(DIM, 4).double()
    net.weight.zero_()
    net.weight[:2], net.bias[:2] = (q.mean[1:] - q.mean[:1]).mT, q.mean[0]
    net.bias[2:] = positive_inverse(1.5 * q.variance[0].sqrt())
    return Amortized(Given(net, Gaussian(2)))


@torch.no_grad()
def conditional(model: LatentVariableModel, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, float]:
    """Mean and covariance of the missing given the observed entries, and log p(observed), of one linear datum."""
    lik = model.likelihood
    cov = lik.W @ lik.W.mT + torch.diag(lik.noise_variance.expand(DIM))  # type: ignore[attr-defined]
    o, m = mask.nonzero()[:, 0], (~mask).nonzero()[:, 0]
    away, observed = (x - lik.b)[o], cov[o][:, o]  # type: ignore[attr-defined]
    gain = torch.linalg.solve(observed, cov[o][:, m]).mT
    mean = lik.b[m] + gain @ away  # type: ignore[attr-defined]
    log_px = -0.5 * (away @ torch.linalg.solve(observed, away) + torch.logdet(2 * math.pi * observed))
    return mean, cov[m][:, m] - gain @ cov[o][:, m], float(log_px)


def agrees(found: Imputation, model: LatentVariableModel, rows: Rows) -> None:
    """Mean and covariance of the draws are within 4 standard errors of the closed form, for each datum.

    Draws of a resample repeat points, of which there are `ess`: the standard errors add both.
    """
    for i, mask in enumerate(rows.mask if rows.mask is not None else []):
        if mask.all():
            assert torch.equal(found.x[:, i], rows.stored[i].expand(len(found.x), -1))
            continue
        mean, cov, _ = conditional(model, rows.stored[i], mask)
        draws = found.x[:, i][:, ~mask]
        assert torch.equal(found.x[:, i][:, mask], rows.stored[i][mask].expand(len(draws), -1))
        n = 1 / (1 / len(draws) + (1 / float(found.ess[i]) if found.r_hat is None else 0))
        within = (cov.diagonal() / n).sqrt()
        assert ((draws.mean(0) - mean) / within).abs().max() < Z_MOST
        spread = ((cov.square() + cov.diagonal()[:, None] * cov.diagonal()) / n).sqrt()
        assert ((torch.cov(draws.mT).reshape(cov.shape) - cov) / spread).abs().max() < Z_MOST
        own = (cov.diagonal() / float(found.ess[i])).sqrt()
        assert ((found.mean[i][~mask] - mean) / own).abs().max() < Z_MOST
        assert torch.equal(found.mean[i][mask], rows.stored[i][mask])


@pytest.mark.parametrize("noise", ["shared", "feature"])
def test_resampling_draws_from_the_closed_form(noise):
    model = linear_model(2, DIM, noise)
    rows = holed(model)
    found = impute(model, wide_guide(), rows, NUMBER, k=100_000, seed=3)
    agrees(found, model, rows)
    assert found.warning is None or "rows are carried by too few" in found.warning


@pytest.mark.slow
def test_chains_draw_from_the_closed_form():
    model = faint_model("feature")
    rows = holed(model)
    # few points, so that the chains begin where the closed form does not lie
    found = impute(model, near_guide(model), rows, NUMBER, method="gibbs", k=20, steps=300, seed=4)
    assert found.r_hat is not None
    assert found.acceptance is not None
    assert float(found.r_hat[:3].max()) < 1.05
    assert float(found.acceptance[:3].min()) > 0.02
    agrees(found, model, rows)


def test_annealed_chains_draw_from_the_closed_form():
    """From the prior, so that a guide without a density will do."""
    model = linear_model(2, DIM, "feature")
    rows = holed(model)
    found = impute(model, Deterministic(nn.Linear(DIM, 2)), rows, NUMBER, method="annealed", k=NUMBER, steps=20, seed=9)
    assert float(found.ess[:3].min()) > NUMBER / 4
    assert found.k_hat.isnan().all()
    agrees(found, model, rows)


def test_few_annealed_chains_are_not_believed():
    model = linear_model(2, DIM)
    found = impute(model, wide_guide(), holed(model), 3, method="annealed", k=4, steps=8)
    assert found.unreliable.tolist() == [True, True, True, False]
    assert found.warning is not None
    assert "more temperatures (--steps)" in found.warning
    found = impute(model, wide_guide(), holed(model), 3, method="annealed", steps=20)
    assert (found.k, found.warning) == (18, None)


def test_points_of_the_draws_are_kept():
    """The draws at the points that are told, in every method: x less its mean there is noise of its own scale."""
    model = linear_model(2, DIM)
    rows = holed(model)
    scale = float(model.likelihood.noise_variance.detach().sqrt())  # type: ignore[attr-defined]
    for method in ("sir", "gibbs", "annealed"):
        found = impute(model, wide_guide(), rows, 2000, method=method, k=2000, steps=8, seed=10)
        with torch.no_grad():
            away = (found.x - model.likelihood(found.z).mean)[:, :3][:, ~MASK[:3]] / scale
        assert abs(float(away.square().mean()) - 1) < Z_MOST * (2 / away.numel()) ** 0.5
        assert found.z[:, 3].isnan().all()


def test_annealing_needs_a_real_latent():
    model = mixture_model(3, DIM)
    with pytest.raises(CompositionError, match="--method sir"):
        impute(model, Exact(model), holed(model), method="annealed")


def test_with_the_exact_posterior_every_weight_is_equal():
    model = linear_model(2, DIM)
    rows = holed(model)
    found = impute(model, Exact(model), rows, NUMBER, k=20_000, seed=5)
    close(found.ess[:3], 20_000.0)
    assert found.ess[3].isnan()
    assert found.warning is None
    agrees(found, model, rows)


def test_the_evidence_of_what_is_observed_is_the_marginal_gaussians():
    model = linear_model(2, DIM)
    rows = holed(model)
    each = [conditional(model, x, m)[2] for x, m in zip(rows.stored, MASK, strict=True)]
    truth = torch.tensor(each, dtype=torch.float64)
    found = Importance(100_000)(model, wide_guide(), rows, seed=1)
    assert found.nats is not None
    assert found.variance_mc is not None
    assert ((found.nats - truth) / found.variance_mc.sqrt().clamp_min(1e-9))[[0, 1, 3]].abs().max() < Z_MOST
    close(found.nats[2], truth[2], 0.02)  # log 1: nothing is observed
    exact = Importance(1)(model, Exact(model), rows, seed=1)
    assert exact.nats is not None
    close(exact.nats, truth)


def test_a_mask_that_hides_nothing_changes_nothing():
    model, guide = linear_model(2, DIM), wide_guide()
    x = model.sample(6, stream(2, "whole"))
    rows, whole = Rows(x, mask=torch.ones_like(x).bool(), fill=torch.zeros(DIM)), Rows(x)
    masked, plain = (Importance(50)(model, guide, r, seed=1).nats for r in (rows, whole))
    assert masked is not None
    assert plain is not None
    close(masked, plain, 1e-12)
    found = impute(model, guide, whole, 3, k=10)
    assert torch.equal(found.x, x.expand(3, -1, -1))
    assert torch.equal(found.mean, x)
    assert found.warning is None


def tiny() -> tuple[LatentVariableModel, Guide, Rows]:
    """Four bits under two latent features of a small net; two of them are missing."""
    with drawing_from(stream(0, "tiny")):
        p, q = MLP(2, 4, (5,), "tanh"), MLP(4, 4, (5,), "tanh")
    model = scrambled(LatentVariableModel(Unconditional(Gaussian(2)), Given(p, Bernoulli(4))), "tiny", 1.0)
    guide = scrambled(Amortized(Given(q, Gaussian(2))), "tiny guide", 0.2)
    mask = torch.tensor([[True, False, True, False]] * 2)
    x = torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, 0]]).double()
    return model, guide, Rows(x, mask=mask, fill=torch.full((4,), 0.5).double())  # pyright: ignore[reportArgumentType]


@torch.no_grad()
def bit_table(model: LatentVariableModel, x: Tensor, mask: Tensor) -> Tensor:
    """p(the two missing bits | the others) [4], by a fine grid over z."""
    t = torch.linspace(-7, 7, 281, dtype=torch.float64)
    z = torch.cartesian_prod(t, t)[:, None]
    states = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]).double()
    whole = x.repeat(4, 1)
    whole[:, ~mask] = states
    return torch.softmax(torch.logsumexp(model.log_joint(Batch(whole), z), 0), 0)


@pytest.mark.parametrize("method", ["sir", "gibbs"])
def test_missing_bits_have_the_frequencies_of_the_joint_mass(method):
    model, guide, rows = tiny()
    found = impute(model, guide, rows, NUMBER, method=method, k=40_000 if method == "sir" else 50, steps=100, seed=6)
    for i in range(2):
        p = bit_table(model, rows.stored[i], torch.tensor([True, False, True, False]))
        bits = found.x[:, i, 1] * 2 + found.x[:, i, 3]
        assert set(found.x[:, i].unique().tolist()) <= {0.0, 1.0}
        n = 1 / (1 / NUMBER + (1 / float(found.ess[i]) if method == "sir" else 0))
        counted = torch.bincount(bits.long(), minlength=4) / NUMBER
        assert ((counted - p) / (p * (1 - p) / n).sqrt()).abs().max() < Z_MOST
        expected = torch.stack([p[2] + p[3], p[1] + p[3]])
        close(found.mean[i, [1, 3]], expected, 0.02)


def test_a_mixture_is_imputed_from_its_responsibilities():
    model = mixture_model(3, DIM)
    rows = holed(model)
    found = impute(model, Exact(model), rows, NUMBER, k=20_000, seed=7)
    with torch.no_grad():
        mask = MASK[0]
        r = model.posterior(Batch(rows.stored[:1].nan_to_num(), mask[None])).probs[0]
        means, scale = (t[:, ~mask] for t in model.likelihood.family.loc_scale(model.likelihood.table))  # type: ignore
        mean = r @ means
        variance = r @ (scale.square() + means.square()) - mean.square()
    n = 1 / (1 / NUMBER + 1 / float(found.ess[0]))
    assert ((found.x[:, 0][:, ~mask].mean(0) - mean) / (variance / n).sqrt()).abs().max() < Z_MOST
    assert ((found.mean[0][~mask] - mean) / (variance / 20_000).sqrt()).abs().max() < Z_MOST


def test_a_model_without_latents_draws_independently():
    p = Unconditional(Gaussian(DIM), learn=True).double()
    model = LatentVariableModel(Unconditional(Gaussian(0)), p)
    found = impute(model, Exact(model), holed(model), NUMBER, k=10, seed=8)
    alone = found.x[:, 2]
    assert (alone.mean(0).abs() * NUMBER**0.5).max() < Z_MOST
    assert (torch.corrcoef(alone.mT) - torch.eye(DIM)).abs().max() * NUMBER**0.5 < Z_MOST


def test_weights_of_one_point_are_not_believed():
    model = linear_model(2, DIM)
    far = Amortized(Given(nn.Linear(DIM, 2).double(), Gaussian(2, 0.01)))
    found = impute(model, far, holed(model), 3, k=200)
    assert found.warning is not None
    assert "--method gibbs" in found.warning
    assert found.unreliable.tolist() == [True, True, True, False]


def test_chains_that_do_not_move_are_not_believed():
    model = linear_model(2, DIM)
    far = Amortized(Given(nn.Linear(DIM, 2).double(), Gaussian(2, 0.01)))
    found = impute(model, far, holed(model), 3, method="gibbs", k=20, steps=20)
    assert found.warning is not None
    assert "--steps" in found.warning


def test_the_same_seed_gives_the_same_draws():
    model, guide, rows = tiny()
    first, again, other = (impute(model, guide, rows, 4, method="gibbs", steps=10, seed=s).x for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_r_hat_of_chains_apart_and_together():
    noise = torch.randn(400, 1, 4, 1, generator=stream(0, "noise"), dtype=torch.float64)
    apart = noise + torch.arange(4.0).double()[:, None]
    # W = 1 and B/n = 5/3 of four means, doubled by the split: sqrt(1 + 80 / 56), but for noise
    close(split_r_hat(apart)[0, 0], (1 + 10 / 7) ** 0.5, 0.05)
    assert float(split_r_hat(noise)[0, 0]) < 1.01
    drifting = noise + torch.linspace(0, 9, 400, dtype=torch.float64)[:, None, None, None]
    assert float(split_r_hat(drifting)[0, 0]) > 1.5
    assert split_r_hat(torch.zeros(10, 1, 3, 1))[0, 0] == 1
    assert split_r_hat(torch.arange(3.0)[None, None, :, None].expand(10, 1, 3, 1))[0, 0].isinf()


def test_what_cannot_be_imputed_is_refused():
    model, guide, rows = tiny()
    with pytest.raises(UsageError, match="no method 'mice'"):
        impute(model, guide, rows, method="mice")  # pyright: ignore[reportArgumentType]
    for wrong in ({"m": 0}, {"k": 0}, {"steps": 1, "method": "gibbs"}, {"steps": 1, "method": "annealed"}):
        with pytest.raises(UsageError, match="at least"):
            impute(model, guide, rows, **wrong)
    with pytest.raises(NotNormalised, match="miwae"):
        impute(model, Deterministic(nn.Linear(4, 2)), rows)
    mixed = LatentVariableModel(Unconditional(Gaussian(2)), Given(MLP(2, 18), Mixture(Gaussian(4), 2)))
    with pytest.raises(CompositionError, match="factorises"):
        impute(mixed, guide, rows)
