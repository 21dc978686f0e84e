"""Rows with missing entries: annealing, sandwich, gaps and tightness beside log p(x_observed) by SciPy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp

import jensen
from jensen.core.batch import Batch, Rows
from jensen.core.random import drawing_from, stream
from jensen.evaluate import Annealed, Exact, Importance, Sandwich, TightnessSettings
from jensen.evaluate.assess import assess
from jensen.evaluate.exact_tightness import measure_gaps
from jensen.evaluate.gaps import gaps
from jensen.evaluate.simulated import MASKS, like_rows, masks_of, simulate_like
from jensen.families import Bernoulli, Categorical, Gaussian, Poisson
from jensen.families.mixture import Mixture
from jensen.models.conditionals import Given, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from tests.identities.models import amortized, linear_model, scrambled

# a row without any entry, one without the last, one column each, half of the row, and a complete one
PATTERNS = torch.tensor(
    [[0, 0, 0, 0, 0], [1, 1, 1, 1, 0], [0, 1, 1, 1, 1], [1, 0, 1, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 1, 0]]
).bool()
FILL = torch.full((5,), 0.5, dtype=torch.float64)
GRID = np.linspace(-14, 14, 6001)


@dataclass
class Case:
    """A model, a guide that is not its posterior, and rows with holes; their exact log p(x_observed)."""

    model: LatentVariableModel
    guide: Any
    rows: Rows

    def truth(self, batch: Batch) -> np.ndarray:
        """By SciPy: the observed block of a Gaussian, or a sum over a fine grid of the only latent feature."""
        mask = np.ones(batch.x.shape, bool) if batch.mask is None else batch.mask.numpy()
        x = batch.x.numpy()
        if self.model.latent == 2:
            lik = self.model.likelihood
            W, b, noise = (t.detach().numpy() for t in (lik.W, lik.b, lik.noise_variance))
            cov = W @ W.T + np.diag(np.broadcast_to(noise, len(b)))
            return np.array([gaussian(r[m], b[m], cov[np.ix_(m, m)]) for r, m in zip(x, mask, strict=True)])
        z = torch.from_numpy(GRID)[:, None]
        prior = self.model.prior()
        log_prior = prior.log_prob(z).detach().numpy()
        values = []
        for i, (row, seen) in enumerate(zip(x, mask, strict=True)):
            c = z if batch.context is None else torch.cat([z, batch.context[i].expand(len(z), -1)], -1)
            raw = self.model.likelihood.params(c)
            mean = self.model.likelihood.at(raw).mean.detach().numpy()
            law = stats.bernoulli if isinstance(self.model.likelihood.family, Bernoulli) else stats.poisson
            log = law.logpmf(row[seen], mean[:, seen]).sum(-1)
            values.append(logsumexp(log + log_prior) + math.log(GRID[1] - GRID[0]))
        return np.array(values)


def gaussian(x: np.ndarray, mean: np.ndarray, cov: np.ndarray) -> float:
    return 0.0 if not len(x) else float(stats.multivariate_normal(mean, cov).logpdf(x))


def pca() -> Case:
    model = linear_model(2, 5)
    lik = model.likelihood
    lik.assign(0.5 * lik.W.detach(), lik.b.detach(), torch.tensor([1.0]).double())
    return Case(model, amortized(5, Gaussian(2)), holed(model, 12))


def bits() -> Case:
    """A mixture prior with two modes, and a network to Bernoulli variables."""
    with drawing_from(stream(0, "bits")):
        likelihood = Given(MLP(1, 5, (6,), "tanh"), Bernoulli(5))
        model = LatentVariableModel(Unconditional(Mixture(Gaussian(1), 2), learn=True), likelihood)
    scrambled(model, "bits", 0.8)
    return Case(model, amortized(5, Gaussian(1)), holed(model, 12))


def counts() -> Case:
    """Counts given a label; q sees it too."""
    with drawing_from(stream(0, "counts")):
        likelihood = Given(MLP(3, 5, (6,), "tanh"), Poisson(5), context=True)
        model = LatentVariableModel(Unconditional(Gaussian(1)), likelihood, Unconditional(Categorical(2)))
    scrambled(model, "counts", 0.3)
    labels = torch.eye(2).double()[torch.arange(12) % 2]
    return Case(model, amortized(5, Gaussian(1)), holed(model, 12, labels))


def holed(model: LatentVariableModel, n: int, context: torch.Tensor | None = None) -> Rows:
    x = model.simulate(n, stream(0, "holed"), context)[1].x
    mask = PATTERNS[torch.arange(n) % len(PATTERNS)]
    return Rows(torch.where(mask, x, 1e3), context=context, mask=mask, fill=FILL)  # hidden values must never be read


CASES = {"pca": pca, "bits": bits, "counts": counts}


@pytest.fixture(scope="module", params=CASES)
def case(request) -> Case:
    return CASES[request.param]()


def whole(rows: Rows) -> Batch:
    return next(rows.batches(len(rows)))


def test_the_truth_is_that_of_all_evaluators():
    """SciPy's values, against the closed form, and against importance weighting with many points."""
    case = pca()
    exact = Exact()(case.model, case.guide, case.rows).nats
    np.testing.assert_allclose(exact.numpy(), case.truth(whole(case.rows)), atol=1e-9)


@pytest.mark.parametrize("start", ["guide", "prior"])
@pytest.mark.sampled(1)
def test_annealing_gives_the_evidence_of_the_observed_entries(case, start):
    estimate = Annealed(40, 3, 12, start)(case.model, case.guide, case.rows)
    difference = estimate.nats.double().numpy() - case.truth(whole(case.rows))
    error = np.sqrt(estimate.variance_mc.double().numpy())
    assert (np.abs(difference) < 0.03 + 5 * error).all()
    assert abs(difference.mean()) < 0.03 + 3 * estimate.stderr_mc
    assert error.max() < 0.3


@pytest.mark.sampled(1)
def test_the_sandwich_encloses_the_evidence_of_observed_entries(case):
    n, chain = 60, Annealed(30, 3, 8)
    pair = Sandwich(chain, n)(case.model, case.guide, 0, like=case.rows)
    index = masks_of(case.rows, n, 0, "sandwich")
    _, batch = simulate_like(case.model, n, stream(0, "simulation"), case.rows, index)
    assert torch.equal(pair.like, index)
    assert torch.equal(batch.mask, case.rows.mask[index])
    truth = case.truth(batch)
    below, above = (e.nats.double().numpy() - truth for e in pair)
    assert below.mean() < 3 * below.std() / math.sqrt(n)
    assert above.mean() > -3 * above.std() / math.sqrt(n)
    assert abs(below.mean()) < 0.1 + 3 * below.std() / math.sqrt(n)
    assert abs(above.mean()) < 0.1 + 3 * above.std() / math.sqrt(n)
    assert MASKS in pair.to_dict()["certifies"]


def test_the_gap_is_the_divergence_from_the_posterior_given_observed_entries():
    """KL(q || p(z | x_observed)), by the precision that sums over observed rows of W."""
    case = pca()
    truth = Exact()(case.model, case.guide, case.rows)
    measured = gaps(case.model, case.guide, case.rows, truth, steps=300)
    lik, batch = case.model.likelihood, whole(case.rows)
    q = case.guide(batch)
    W, b, noise = (t.detach().numpy() for t in (lik.W, lik.b, lik.noise_variance))
    noise = np.broadcast_to(noise, len(b))
    expected, family = [], []
    for x, m, loc, sd in zip(
        batch.x.numpy(), batch.mask.numpy(), q.mean.detach().numpy(), q.stddev.detach().numpy(), strict=True
    ):
        precision = np.eye(2) + W[m].T @ (W[m] / noise[m, None])
        mean = np.linalg.solve(precision, W[m].T @ ((x[m] - b[m]) / noise[m]))
        away = loc - mean
        kl = np.trace(precision @ np.diag(sd**2)) + away @ precision @ away - 2
        logdet = np.linalg.slogdet(precision)[1]
        expected.append(0.5 * (kl - logdet - 2 * np.log(sd).sum()))
        family.append(0.5 * (np.log(np.diag(precision)).sum() - logdet))
    noise_of_mean = float(measured.bounds.amortised_mc.sum().sqrt()) / len(expected)
    assert float(measured.whole.mean()) == pytest.approx(np.mean(expected), abs=4 * noise_of_mean)
    assert float(measured.approximation.mean()) == pytest.approx(np.mean(family), abs=0.03)
    assert np.mean(expected) - np.mean(family) > 0.3


@pytest.mark.parametrize("name", ["counts", *(pytest.param(n, marks=pytest.mark.slow) for n in ("pca", "bits"))])
@pytest.mark.slow
def test_the_tightness_of_importance_weighting(name):
    """The annealed part of an assessment, which also measures sandwich and gaps; in units of its own for each row."""
    case = CASES[name]()
    importance = Importance(50)(case.model, case.guide, case.rows)
    settings = TightnessSettings(len(case.rows), 30, 3, 8, simulated=6, refine=10, prior_chains=2)
    assessment = assess(case.model, case.guide, case.rows, importance, settings)
    truth = float(case.truth(whole(case.rows)).mean())
    best = assessment.to_dict()["annealed"]
    assert best["log_px"] == pytest.approx(truth, abs=0.1 + 4 * best["stderr_mc"])
    nats = torch.arange(len(case.rows)).double()
    moved = assessment.shifted(nats)
    assert moved.importance.mean == pytest.approx(importance.mean + float(nats.mean()))
    assert moved.loss == pytest.approx(assessment.loss)
    torch.testing.assert_close(moved.gaps.whole, assessment.gaps.whole)
    torch.testing.assert_close(moved.sandwich.open, assessment.sandwich.open)
    expected = assessment.sandwich.lower.nats + nats[assessment.sandwich.like]
    torch.testing.assert_close(moved.sandwich.lower.nats, expected)


def test_gaps_against_exact_numbers_in_units_of_each_row():
    case, nats = pca(), torch.arange(12).double() ** 2
    truth = Exact()(case.model, case.guide, case.rows)
    settings = TightnessSettings(5, 0, 0, 0, 0, refine=2)
    plain = measure_gaps(case.model, case.guide, case.rows, truth, settings)
    moved = plain.shifted(nats)
    assert len(plain.index) == 5
    torch.testing.assert_close(moved.gaps.whole, plain.gaps.whole)
    torch.testing.assert_close(moved.gaps.bounds.amortised, plain.gaps.bounds.amortised + nats[plain.index])


def test_complete_rows_are_simulated_as_ever():
    model = linear_model(2, 5)
    complete = Rows(torch.zeros(4, 5).double())
    assert masks_of(complete, 7, 0, "x") is None
    assert masks_of(None, 7, 0, "x") is None
    z, batch = simulate_like(model, 7, stream(0, "x"), complete, None)
    again = model.simulate(7, stream(0, "x"))
    assert batch.mask is None
    assert torch.equal(z, again[0])
    assert torch.equal(batch.x, again[1].x)
    case = pca()
    pair = Sandwich(Annealed(2, 1, 2), 3)(case.model, case.guide)
    assert pair.like is None
    assert MASKS not in pair.certifies


def test_hidden_values_of_simulated_rows_are_filled():
    case = counts()
    index = masks_of(case.rows, 40, 3, "x")
    _, batch = simulate_like(case.model, 40, stream(0, "x"), case.rows, index)
    assert torch.equal(batch.context, case.rows.context[index])  # labels go with the holes
    assert bool((batch.x[~batch.mask] == 0.5).all())
    plain = Batch(torch.ones(2, 5))
    assert like_rows(plain, case.rows, None) is plain
    without_fill = Rows(case.rows.stored, mask=case.rows.mask)
    assert bool((like_rows(plain, without_fill, torch.tensor([0, 1])).x[0] == 0).all())
    assert index.unique().numel() > 6
    assert torch.equal(index, masks_of(case.rows, 40, 3, "x"))
    assert not torch.equal(index, masks_of(case.rows, 40, 4, "x"))


@pytest.fixture(scope="module")
def steps(tmp_path_factory) -> jensen.Run:
    """A ladder, trained on rows with holes, of which one has no entry."""
    folder, noise = tmp_path_factory.mktemp("ladder"), np.random.default_rng(0)
    x = noise.normal(size=(120, 1)) + noise.normal(size=(120, 4))
    np.save(folder / "complete.npy", x)
    options = {"epochs": 1, "hidden": (8,), "groups": (2, 3), "state": 8}
    parts = jensen.train(folder / "complete.npy", recipe="ladder", out=folder / "complete", **options)
    x[noise.random(x.shape) < 0.3] = np.nan
    x[5] = np.nan
    np.save(folder / "x.npy", x)
    return jensen.train(folder / "x.npy", model=parts.model, guide=parts.guide, out=folder / "run", epochs=2)


@pytest.mark.slow
def test_a_ladder_learns_from_rows_with_holes(steps):
    """log p of a row without any entry is 0, by annealing too; hidden values change no number."""
    rows = steps.part("train").rows
    empty = rows.subset(torch.nonzero(~rows.mask.any(1))[:, 0])
    assert len(empty)
    for evaluator in (Importance(4000), Annealed(20, 2, 16)):
        estimate = evaluator(steps.model, steps.guide, empty)
        assert float(estimate.nats.abs().max()) < 0.02 + 4 * float(estimate.variance_mc.max()) ** 0.5
    other = Rows(torch.where(rows.mask, rows.stored, 55.0), mask=rows.mask, fill=rows.fill)
    same = Rows(rows.stored, mask=rows.mask, fill=rows.fill)
    found = [Importance(20)(steps.model, steps.guide, r).nats for r in (same, other)]
    assert torch.equal(*found)


def test_every_check_of_a_ladder_takes_holes(steps):
    assert steps.holed
    assert math.isfinite(steps.doctor().measures["score_test"])
    assert steps.calibrate(n=40).holed
    settings = TightnessSettings(rows=4, temperatures=4, leapfrog_steps=1, chains=4, simulated=4, refine=3)
    assert steps.evaluate(settings=settings).assessment.gaps.to_dict()["n"] > 0
