"""Where annealing starts: a guide that is right stays as it is; one that is far too sure no longer ruins the bounds."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.distributions import Independent, Normal

from jensen.core.batch import Batch, Rows
from jensen.core.random import drawing_from, stream
from jensen.evaluate import Annealed, Sandwich
from jensen.evaluate.annealed import Steps
from jensen.evaluate.annealing_start import (
    Correction,
    CovarianceCorrection,
    _lacking,
    fit_correction,
    gaussian_features,
)
from jensen.families import FullGaussian, Gaussian, LowRankGaussian, Mixture, positive_inverse
from jensen.guides import Amortized, Shared
from jensen.guides import Exact as ExactGuide
from jensen.models.conditionals import Given, Unconditional
from tests.evaluate.instance import instance
from tests.identities.models import close, normal_guide, scrambled

N = 4000
SMALL = {"n": 12, "dim": 24, "latent": 6}


def normals(*shape: int, name: str = "normals") -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=stream(0, name))


def test_a_guide_that_is_right_stays_as_it_is():
    """z given x is N(mu, 0.3^2): slope 1, offset 0 and nothing extra, each within its error of 1 / sqrt(N)."""
    mean = 0.95 * normals(N, 3)
    found = Correction.of(mean + 0.3 * normals(N, 3, name="z"), mean, torch.full((N, 3), 0.09).double())
    error = 4 * 0.3 / math.sqrt(N)
    assert float((found.slope - 1).abs().max()) < error / 0.95
    assert float(found.offset.abs().max()) < error
    assert float(found.extra.max()) < 4 * 0.09 * math.sqrt(2 / N)


def test_a_guide_that_knows_nothing_becomes_the_prior():
    """Whatever its means are: those of all z, with their variance."""
    z = 2 + normals(N, 3)
    found = Correction.of(z, 50 + 10 * normals(N, 3, name="means"), torch.full((N, 3), 1e-6).double())
    assert float(found.slope.max()) < 0.1 * 4 / math.sqrt(N)
    close(found.slope * 50 + found.offset, torch.full((3,), 2.0), 0.1)
    close(found.extra, torch.ones(3), 0.1)


def test_a_mean_that_does_not_move_tells_nothing():
    """An unused feature: the regression on a constant is not noise over nothing."""
    z = normals(N, 2)
    found = Correction.of(z, torch.full((N, 2), 0.1).double(), torch.ones(N, 2).double())
    start = found(Normal(torch.full((2,), 0.1).double(), torch.ones(2).double()))
    close(start.loc, z.mean(0), 1e-9)
    assert float((start.variance - 1).abs().max()) < 0.1
    assert torch.isfinite(found.slope).all()


def test_biased_means_are_moved_back():
    """In the pPCA instance the guide's means are a known multiple of the posterior's deviation too high."""
    given = instance(n=8, dim=24, latent=6, off=2.0)
    found = fit_correction(given.model, given.guide, given.rows)
    assert found is not None
    batch = Batch(given.rows.stored)
    q, truth = gaussian_features(given.guide(batch)), ExactGuide(given.model)(batch)
    before = (q.loc - truth.mean) / truth.variance.sqrt()
    after = (found(q).loc - truth.mean) / truth.variance.sqrt()
    assert float(before.mean()) > 0.5
    assert float(after.mean().abs()) < 0.1
    close(found(q).scale.mean(0), truth.variance.sqrt().mean(0), 0.1)


def test_other_guides_start_as_they_are():
    given = instance(**SMALL)
    with drawing_from(stream(0, "mixture")):
        mixture = Amortized(Given(torch.nn.Linear(24, 2 * 13), Mixture(Gaussian(6), 2))).double()
    assert fit_correction(given.model, mixture, given.rows) is None
    assert fit_correction(given.model, ExactGuide(given.model), given.rows) is None
    one = Shared(scrambled(Unconditional(Gaussian(6), learn=True), "shared"))
    assert fit_correction(given.model, one, given.rows) is not None


def test_pairs_that_the_guide_cannot_read_are_left_out():
    given = instance(**SMALL)
    whole = given.guide.forward

    def some(batch: Batch, every: int):
        q = gaussian_features(whole(batch))
        loc = q.loc.clone()
        loc[::every] = math.nan
        return Independent(Normal(loc, q.scale, validate_args=False), 1, validate_args=False)

    plain = fit_correction(given.model, given.guide, given.rows)
    given.guide.forward = lambda batch: some(batch, 10)
    found = fit_correction(given.model, given.guide, given.rows)
    close(found.slope, plain.slope, 0.1)
    given.guide.forward = lambda batch: some(batch, 1)
    assert fit_correction(given.model, given.guide, given.rows) is None


def test_it_depends_on_the_seed_alone():
    given = instance(**SMALL)
    a, b, c = (
        fit_correction(given.model, given.guide, rows, s)
        for rows, s in ((given.rows, 0), (few(given), 0), (few(given), 1))
    )
    assert torch.equal(a.slope, b.slope)
    assert torch.equal(a.extra, b.extra)
    assert not torch.equal(b.slope, c.slope)


def few(given) -> Rows:
    return given.rows.subset(torch.arange(2))


def mean_ratio(log_ratio: torch.Tensor) -> tuple[float, float]:
    w = log_ratio.double().exp()
    return float(w.mean()), float(w.mean(1).std() / math.sqrt(len(w)))


def test_weights_from_the_corrected_start_are_unbiased_both_ways():
    """Forwards for p(x), backwards for 1 / p(x), with the correction of a guide that is ten times too sure."""
    given = instance(n=24, dim=24, latent=6, wide=0.1, off=2.0)
    chain, noise = Annealed(temperatures=6, leapfrog_steps=3, chains=400), stream(0, "both ways")
    steps = Steps((0.4,) * 6, (1.0,) * 6, fit_correction(given.model, given.guide, given.rows))
    batch = Batch(given.rows.stored)
    log_w, _ = chain.weights(given.model, given.guide, batch, steps, noise)
    mean, error = mean_ratio(log_w - given.truth)
    assert abs(mean - 1) < 4 * error
    assert error < 0.05
    many = Batch(given.rows.stored.repeat(400, 1))
    with drawing_from(noise):
        z = ExactGuide(given.model)(many).sample()
    one = Annealed(temperatures=6, leapfrog_steps=3, chains=1)
    back = one.reverse_weights(given.model, given.guide, many, z, steps, noise).reshape(400, -1)
    mean, error = mean_ratio(given.truth - back)
    assert abs(mean - 1) < 4 * error
    assert error < 0.05


@pytest.mark.parametrize("wide", [pytest.param(0.1, marks=pytest.mark.slow), 0.001])
def test_a_guide_that_is_far_too_sure(wide):
    """Its bounds are those of a good guide; without the correction they are apart by hundreds of nats and more."""
    given = instance(n=8, dim=24, latent=6, wide=wide, off=3.0)
    chain = Annealed(temperatures=20, leapfrog_steps=4)
    found, pair = chain(given.model, given.guide, given.rows), Sandwich(chain, 12)(given.model, given.guide)
    assert abs(found.mean - given.mean) < 0.05 + 4 * found.stderr_mc
    assert abs(pair.gap) < 0.1 + 3 * pair.gap_stderr
    assert float(pair.open.max()) < 1.5
    assert 0.6 < found.acceptance < 0.95
    chain = replace(chain, correct=False)
    found, pair = chain(given.model, given.guide, given.rows), Sandwich(chain, 12)(given.model, given.guide)
    assert found.mean < given.mean - 2
    assert pair.gap > (5 if wide == 0.1 else 1000)


def test_the_committed_instance_with_and_without():
    """Both starts meet the exact evidence; whether one was corrected is on record, and it is the surer one."""
    given = instance(n=8)
    found = {c: Annealed(25, correct=c)(given.model, given.guide, given.rows) for c in (True, False)}
    for corrected, estimate in found.items():
        assert estimate.settings["corrected"] is corrected
        assert abs(estimate.mean - given.mean) < 4 * estimate.stderr_mc
    assert found[True].stderr_mc < 0.8 * found[False].stderr_mc
    with drawing_from(stream(0, "mixture")):
        mixture = Amortized(Given(torch.nn.Linear(196, 2 * 33), Mixture(Gaussian(16), 2))).double()
    settings = Annealed(2)(given.model, mixture, few(given)).settings
    assert (settings["correct"], settings["corrected"]) == (True, False)


def test_a_guide_far_from_every_posterior():
    """One and the same narrow peak for all data, ten deviations of the prior away: the start is the prior's."""
    given = instance(**SMALL)
    away = normal_guide(torch.full((6,), 10.0).double(), torch.full((6,), 1e-3).double())
    found = Annealed(temperatures=40, leapfrog_steps=4)(given.model, away, given.rows)
    assert abs(found.mean - given.mean) < 0.1 + 4 * found.stderr_mc


def correlated(given, kind: str, wide: float = 1.0, off: float = 0.0) -> Amortized:
    """A linear guide with a full covariance: the posterior's own, that of the wrong signs, or one of rank 2."""
    lik = given.model.likelihood
    weighted = (lik.W / lik.noise_variance).detach()
    latent = weighted.shape[1]
    posterior = torch.linalg.inv(torch.eye(latent).double() + lik.W.detach().mT @ weighted)
    slope, size = posterior @ weighted.mT, posterior.diagonal().sqrt()
    signs = torch.tensor([-1.0, 1.0]).repeat(latent)[:latent].double()
    covariance = posterior if kind == "posterior" else signs[:, None] * posterior * signs
    family = LowRankGaussian(latent, 2) if kind == "low rank" else FullGaussian(latent)
    loc = torch.zeros(latent).double()
    if isinstance(family, FullGaussian):
        rest = family.raw(loc, wide**2 * covariance)[latent:]
    else:
        columns = torch.stack([signs, torch.ones(latent).double()], -1)
        rest = torch.cat([positive_inverse(wide * size), columns.flatten()])
    net = torch.nn.Linear(len(weighted), family.size).double()
    with torch.no_grad():
        net.weight.copy_(torch.cat([slope, torch.zeros(len(rest), len(weighted)).double()]))
        net.bias.copy_(torch.cat([off * size - slope @ lik.b, rest]))
    return Amortized(Given(net, family)).double().requires_grad_(False)


def covariance(q) -> torch.Tensor:
    return q.covariance_matrix.detach()


def test_an_exact_covariance_stays_nearly_as_it_is():
    """Within the noise of 1,024 pairs, a fraction sqrt(Z / 1024) of about eight per cent in each direction."""
    given = instance(**SMALL)
    batch = Batch(given.rows.stored)
    guide = correlated(given, "posterior")
    found, q = fit_correction(given.model, guide, given.rows), guide(batch)
    assert isinstance(found, CovarianceCorrection)
    start = found.start(q)
    wider = torch.linalg.eigvals(torch.linalg.solve(covariance(q)[0], covariance(start)[0])).real
    assert float(wider.min()) > 1 - 1e-9
    assert float(wider.max()) < 1 + 3 * math.sqrt(6 / 1024)
    shift = (start.mean - q.mean) / q.variance.sqrt()
    assert float(shift.abs().max()) < 0.2


def test_what_lacks_is_added_in_any_direction_and_any_units():
    """own + T is at least what is needed; T is nothing where own is wide enough, and follows a change of units."""
    a, b, units = normals(6, 4, name="a"), normals(6, 4, name="b"), torch.tensor([1.0, 1e-6, 1e4, 3.0]).double()
    needed, own = a.mT @ a, b.mT @ b
    found = _lacking(needed, own, trusted=True)
    over = torch.linalg.eigvalsh(own + found - needed)
    assert float(over.min()) > -1e-6
    assert float(over.max()) > 0.1
    assert float(torch.linalg.eigvalsh(found).min()) > -1e-6
    close(_lacking(needed, 2 * needed, trusted=True), torch.zeros(4, 4).double(), 1e-6)
    close(_lacking(needed, 0 * own, trusted=True), needed, 1e-6)
    scaled = _lacking(units[:, None] * needed * units, units[:, None] * own * units, trusted=True)
    close(scaled / units[:, None] / units, found, 1e-5)
    few = _lacking(needed, own, trusted=False)
    close(few, torch.diag((needed - own).diagonal().clamp_min(0)))


def test_a_full_covariance_of_independent_features_is_corrected_like_a_diagonal_one():
    z, mean = normals(N, 3), 0.5 * normals(N, 3, name="means")
    variance = torch.tensor([0.1, 0.2, 5.0]).double()
    full = CovarianceCorrection.of(z, mean, torch.diag(variance))
    plain = Correction.of(z, mean, variance.expand(N, 3))
    close(full.slope, plain.slope)
    close(full.offset, plain.offset)
    close(full.extra.diagonal(), plain.extra, 0.02)


@pytest.mark.parametrize(
    ("kind", "wide", "off"),
    [
        ("signs", 0.1, 3.0),
        pytest.param("posterior", 1e-3, 3.0, marks=pytest.mark.slow),
        pytest.param("low rank", 0.1, 2.0, marks=pytest.mark.slow),
        ("signs", 1, 0),
    ],
)
@pytest.mark.sampled(1)
def test_a_correlated_guide_that_is_wrong(kind, wide, off):
    """Too sure by ten times and more, with correlations of the wrong signs: its bounds meet like a good guide's."""
    given = instance(n=8, dim=24, latent=6)
    guide, chain = correlated(given, kind, wide, off), Annealed(temperatures=20, leapfrog_steps=4)
    found, pair = chain(given.model, guide, given.rows), Sandwich(chain, 12)(given.model, guide)
    assert found.settings["corrected"]
    assert abs(found.mean - given.mean) < 0.05 + 4 * found.stderr_mc
    assert abs(pair.gap) < 0.1 + 3 * pair.gap_stderr
    if off:
        chain = replace(chain, correct=False)
        found, pair = chain(given.model, guide, given.rows), Sandwich(chain, 12)(given.model, guide)
        assert found.mean < given.mean - 2
        assert pair.gap > 5


@pytest.mark.slow
def test_a_wrong_full_covariance_on_the_committed_instance():
    """T = 100: within 0.05 nats, and the sandwich is closed to as much (without the correction 88 and 210 nats off)."""
    given = instance(n=4)
    guide, chain = correlated(given, "posterior", 0.1, 3.0), Annealed(100, 5)
    found, pair = chain(given.model, guide, given.rows), Sandwich(chain, 8)(given.model, guide)
    assert abs(found.mean - given.mean) < 0.05
    assert abs(pair.gap) < 0.05


def test_weights_from_a_corrected_covariance_are_unbiased():
    given = instance(n=24, dim=24, latent=6)
    guide, noise = correlated(given, "signs", 0.1, 2.0), stream(0, "full")
    chain = Annealed(temperatures=6, leapfrog_steps=3, chains=400)
    steps = Steps((0.4,) * 6, (1.0,) * 6, fit_correction(given.model, guide, given.rows))
    log_w, _ = chain.weights(given.model, guide, Batch(given.rows.stored), steps, noise)
    mean, error = mean_ratio(log_w - given.truth)
    assert abs(mean - 1) < 4 * error
    assert error < 0.05
