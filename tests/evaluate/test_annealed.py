"""Annealing against exact evidence: its weights are unbiased, its bound is close, its error is that of repetitions."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from jensen.core.batch import Batch, Rows
from jensen.core.errors import CompositionError, NotNormalised, NotReparameterizable, UsageError
from jensen.core.random import drawing_from, stream
from jensen.evaluate import Annealed, Importance, Kind, Sandwich, annealed
from jensen.evaluate import Exact as ExactEvidence
from jensen.evaluate.annealed import Steps, chain_estimate, temperatures
from jensen.families import Bernoulli, Categorical, Gaussian, Mixture
from jensen.guides import Amortized, Deterministic, Shared
from jensen.guides import Exact as ExactGuide
from jensen.models.conditionals import Given, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP, ConvDecoder
from tests.evaluate.instance import Instance, instance
from tests.identities.models import close, curved_model, mixture_model, rows, scrambled, simulated

CPU = torch.device("cpu")


def small(n: int = 24) -> Instance:
    """The same in small, which takes a second; it keeps the gap of some nats."""
    return instance(n=n, dim=24, latent=6, common=1.5)


def ratio(log_w: torch.Tensor, truth: torch.Tensor) -> tuple[float, float]:
    """The mean of w / p(x), which is 1 where w is unbiased, and its standard error."""
    w = (log_w.double() - truth).exp()
    return float(w.mean()), float(w.mean(1).std() / math.sqrt(len(w)))


def steps(size: float, n: int) -> Steps:
    return Steps((size,) * n, (1.0,) * n)


def weights(given: Instance, chains: int = 400, size: float = 0.5) -> torch.Tensor:
    chain = Annealed(temperatures=4, leapfrog_steps=3, chains=chains)
    batch = Batch(given.rows.stored)
    return chain.weights(given.model, given.guide, batch, steps(size, 4), stream(0, "weights"))[0]


def test_weights_are_unbiased():
    """Few temperatures and rough steps: the mean of 400 weights times 24 data is 1 within four standard errors."""
    given = small()
    mean, error = ratio(weights(given), given.truth)
    assert abs(mean - 1) < 4 * error
    assert error < 0.05


def test_without_the_correction_they_are_biased(monkeypatch):
    """The planted bug: moves that do not leave the path's densities as they are."""
    given = small()
    monkeypatch.setattr(torch, "rand", lambda shape, **how: torch.zeros(shape, dtype=how["dtype"]))
    mean, error = ratio(weights(given, size=2.1), given.truth)
    assert abs(mean - 1) > 6 * error


def test_reverse_weights_are_unbiased():
    """From exact samples of the posterior, 1 / w is unbiased for 1 / p(x)."""
    given = small()
    chain, noise = Annealed(temperatures=4, leapfrog_steps=3, chains=1), stream(0, "reverse")
    batch = Batch(given.rows.stored.repeat(400, 1))
    with drawing_from(noise):
        z = ExactGuide(given.model)(batch).sample()
    found = chain.reverse_weights(given.model, given.guide, batch, z, steps(0.5, 4), noise)
    mean, error = ratio(-found.reshape(400, -1), -given.truth)
    assert abs(mean - 1) < 4 * error
    assert error < 0.05


def test_one_temperature_is_importance_weighting():
    given = small(8)
    chain, batch = Annealed(temperatures=1, chains=5), Batch(given.rows.stored)
    log_w, accepted = chain.weights(given.model, given.guide, batch, steps(0.5, 1), stream(0, "one"))
    q = given.guide(batch)
    z = annealed.independent_samples(q, 5, stream(0, "one"))
    close(log_w, given.model.log_joint(batch, z) - q.log_prob(z), 1e-12)
    assert float(accepted) == 1.0


def over_seeds(given: Instance, evaluator, seeds: range) -> tuple[float, float]:
    """Mean and standard error over seeds of the distance to the exact mean."""
    off = torch.tensor([evaluator(given.model, given.guide, given.rows, s).mean - given.mean for s in seeds])
    return float(off.mean()), float(off.std() / math.sqrt(len(off)))


def bound(given: Instance, temperatures: int) -> tuple[float, float]:
    """The bound of 16 chains less the exact mean, over 12 sets of chains, and its standard error."""
    chain = Annealed(temperatures, leapfrog_steps=5, chains=12 * 16)
    tuned = chain.tune(given.model, given.guide, given.rows, 0)
    log_w, _ = chain.weights(given.model, given.guide, Batch(given.rows.stored), tuned, stream(0, "bound"))
    nats = torch.logsumexp(log_w.unflatten(0, (12, 16)), 1) - math.log(16)
    off = (nats - given.truth).mean(1)
    return float(off.mean()), float(off.std() / math.sqrt(12))


def test_the_bound_is_close_and_below():
    """In small: within 0.1 nats where the ELBO loses more than one, and never above by three standard errors."""
    given = small()
    off, error = bound(given, 50)
    assert given.lost > 1
    assert abs(off) < 0.1
    assert off < 3 * error
    short, short_error = bound(given, 2)
    assert short < min(3 * short_error, off)


def test_an_estimate_says_what_it_is():
    given = small(6)
    found = Annealed(temperatures=30, leapfrog_steps=4, chains=8)(given.model, given.guide, given.rows)
    assert (found.kind, found.k, len(found.nats)) == (Kind.STOCHASTIC_LOWER, 8, 6)
    settings = {
        "temperatures": 30,
        "leapfrog_steps": 4,
        "chains": 8,
        "start": "guide",
        "correct": True,
        "corrected": True,
    }
    assert found.settings == settings
    assert 0.6 < found.acceptance < 0.95
    assert found.spread.shape == found.ess.shape == (6,)
    assert 0 < found.stderr_mc < 0.2
    alone = Annealed(temperatures=5, chains=1)(given.model, given.guide, given.rows)
    assert (alone.stderr_mc, alone.spread) == (None, None)


def test_a_seed_gives_the_same_numbers_and_leaves_the_global_state():
    given, chain = small(6), Annealed(temperatures=5, leapfrog_steps=2, chains=4)
    before = torch.get_rng_state()
    a, b, c = (chain(given.model, given.guide, given.rows, seed) for seed in (3, 3, 4))
    assert torch.equal(a.nats, b.nats)
    assert not torch.equal(a.nats, c.nats)
    assert torch.equal(before, torch.get_rng_state())


def test_the_pilot_has_noise_of_its_own():
    """Step sizes are frozen: the run's own stream begins where it would have begun without a pilot."""
    given, chain = small(6), Annealed(temperatures=5, leapfrog_steps=2, chains=4)
    tuned = chain.tune(given.model, given.guide, given.rows, 3)
    batch = Batch(given.rows.stored)
    log_w, _ = chain.weights(given.model, given.guide, batch, tuned, chain.noise(3, "annealing", CPU))
    found = chain(given.model, given.guide, given.rows, 3)
    close(found.nats, torch.logsumexp(log_w, 0) - math.log(4), 1e-12)


def test_other_temperatures_have_other_noise():
    """Else a run and the one with half its temperatures would start from the same points, and agree too well."""
    given, first = small(6), {}
    for n in (5, 10):
        chain = Annealed(temperatures=n, leapfrog_steps=2, chains=4)
        noise = chain.noise(3, "annealing", CPU)
        first[n] = annealed.independent_samples(given.guide(Batch(given.rows.stored)), 4, noise)
    assert not torch.isclose(first[5], first[10]).any()


@pytest.mark.parametrize(
    "name",
    [
        "annealed",
        pytest.param("two temperatures", marks=pytest.mark.slow),
        pytest.param("prior", marks=pytest.mark.slow),
        "importance-1",
        "importance-50",
        "sandwich",
    ],
)
@pytest.mark.sampled(2)
def test_no_lower_bound_is_above_the_evidence(name):
    """Over eight seeds, its mean is not above exact by three standard errors; nor the sandwich's upper bound below."""
    given, off = small(8), []
    chain = Annealed(temperatures=8, leapfrog_steps=2, chains=8)
    two, prior = replace(chain, temperatures=2), replace(chain, start="prior")
    kinds = {"annealed": chain, "two temperatures": two, "prior": prior}
    kinds |= {"importance-1": Importance(1), "importance-50": Importance(50)}
    for seed in range(8):
        if name != "sandwich":
            off.append(kinds[name](given.model, given.guide, given.rows, seed).mean - given.mean)
            continue
        x = given.model.simulate(20, stream(seed, "simulation"))[1].x
        truth = ExactEvidence()(given.model, given.guide, Rows(x)).mean
        pair = Sandwich(chain, 20)(given.model, given.guide, seed)
        off.append(max(pair.lower.mean - truth, truth - pair.upper.mean))
    values = torch.tensor(off, dtype=torch.float64)
    assert float(values.mean()) < 3 * float(values.std()) / math.sqrt(8)


def test_the_pilot_finds_the_acceptance_from_far_away():
    """Eighty per cent, with a guide whose scale is a tenth of the posterior's, or ten times."""
    for wide in (0.1, 10.0):
        given = instance(n=8, dim=24, latent=6, wide=wide)
        found = Annealed(temperatures=20, leapfrog_steps=3)(given.model, given.guide, given.rows)
        assert 0.55 < found.acceptance < 0.97


def test_few_points_are_in_memory_at_once(monkeypatch):
    given, told, sizes = small(10), [], []
    whole = Annealed.weights

    def spy(self, model, guide, batch, *rest):
        sizes.append(len(batch))
        return whole(self, model, guide, batch, *rest)

    monkeypatch.setattr(annealed, "POINTS", 16)
    monkeypatch.setattr(Annealed, "weights", spy)
    found = Annealed(temperatures=3, leapfrog_steps=2, chains=4)(
        given.model, given.guide, given.rows, watch=told.append
    )
    assert sizes == [4, 4, 2]
    assert told == [0.4, 0.8, 1.0]
    assert len(found.nats) == 10


def test_a_wide_network_takes_fewer_rows(monkeypatch):
    """A convolution's channels count, though no parameter is as wide."""
    chain = Annealed(chains=16)
    assert chain.rows(small(4).model) == annealed.POINTS // 16
    decoder = ConvDecoder(2, (16, 16, 1), 1, 32)
    model = LatentVariableModel(Unconditional(Gaussian(2)), Given(decoder, Bernoulli(256)))
    monkeypatch.setattr(annealed, "NUMBERS", 1 << 20)
    assert 1 <= chain.rows(model) <= (1 << 20) // (16 * 16 * 32) // 16


def point(model: LatentVariableModel, dim: int) -> Deterministic:
    with drawing_from(stream(0, "point")):
        return Deterministic(nn.Linear(dim, model.latent).double())


def test_from_the_prior_no_guide_is_needed():
    """The encoder of an autoencoder has no density; the model's evidence does not need it."""
    given = small(6)
    found = Annealed(temperatures=60, leapfrog_steps=5, start="prior")(given.model, point(given.model, 24), given.rows)
    assert found.settings["start"] == "prior"
    assert abs(found.mean - given.mean) < 0.1 + 4 * found.stderr_mc


def test_what_cannot_be_annealed_is_refused_with_a_remedy():
    model = curved_model()
    data = rows(simulated(model, 3))
    with pytest.raises(NotNormalised, match="Start from the prior: --start prior"):
        Annealed()(model, point(model, 3), data)
    mixture = mixture_model()
    with pytest.raises(NotReparameterizable, match="Use --method exact") as caught:
        Annealed()(mixture, ExactGuide(mixture), rows(simulated(mixture, 3)))
    assert isinstance(caught.value, CompositionError)
    none = LatentVariableModel(Unconditional(Gaussian(0)), Unconditional(Gaussian(3), learn=True))
    for start in ("guide", "prior"):
        with pytest.raises(NotReparameterizable, match="no latent to anneal"):
            Annealed(start=start)(none, ExactGuide(none), Rows(torch.zeros(2, 3)))


@pytest.mark.parametrize("name", ["temperatures", "leapfrog_steps", "chains"])
def test_impossible_settings_are_refused(name):
    refusal = rf"^{name} must be a whole number of at least 1, got 0\. Give {name} 1 or more\.$"
    with pytest.raises(UsageError, match=refusal):
        Annealed(**{name: 0})


def test_a_mixture_prior_is_continuous_and_can_be_annealed():
    """Against importance weighting with many points, from a guide that is a mixture too."""
    prior = scrambled(Unconditional(Mixture(Gaussian(2), 3), learn=True), "prior")
    with drawing_from(stream(0, "net")):
        model = LatentVariableModel(prior, Given(MLP(2, 4, (6,), "tanh"), Gaussian(4, "shared"))).double()
    guide = Shared(scrambled(Unconditional(Mixture(Gaussian(2), 2), learn=True), "guide", 0.2))
    data = rows(simulated(model, 8))
    found = Annealed(temperatures=30, leapfrog_steps=4)(model, guide, data)
    many = Importance(20_000)(model, guide, data)
    assert abs(found.mean - many.mean) < 0.02 + 4 * math.hypot(found.stderr_mc, many.stderr_mc)


def test_temperatures_rise_from_zero_to_one():
    ladder = temperatures(200)
    assert (ladder[0], ladder[-1], len(ladder)) == (0.0, 1.0, 201)
    gains = [b - a for a, b in pairwise(ladder)]
    assert min(gains) > 0
    close(gains[0], gains[-1], 1e-9)
    assert gains[0] < 0.1 * max(gains)


def finite(name: str):
    """A mixture, and a guide that is wrong about it: half the mass in the wrong class."""
    if name == "mixture":
        model = mixture_model(4, 3, 0.4)
    else:
        with drawing_from(stream(0, name)):
            net = MLP(4, 5, (6,), "tanh")
            model = LatentVariableModel(
                Unconditional(Categorical(4), learn=True), Given(net, Gaussian(5, "shared"))
            ).double()
        scrambled(model, name)
    guide = Shared(scrambled(Unconditional(Categorical(4), learn=True), "wrong", 1.0))
    return model, guide, rows(simulated(model, 40))


@pytest.mark.parametrize("name", ["mixture", "finite latent"])
def test_finite_latents_are_enumerated_and_importance_agrees(name):
    """Under a wrong guide: exact by enumeration, from below by importance, refused by annealing."""
    from jensen.evaluate import Enumerated, choose

    model, guide, data = finite(name)
    truth = Enumerated()(model, guide, data)
    assert truth.kind is Kind.EXACT
    states = torch.eye(model.latent).double()[:, None].expand(-1, len(data), -1)
    close(truth.nats, torch.logsumexp(model.log_joint(Batch(data.stored), states), 0).detach())
    close(choose(model, guide)(model, guide, data).nats, truth.nats)
    off = {}
    for k in (1, 20, 2000):
        seeds = torch.tensor([Importance(k)(model, guide, data, s).mean for s in range(10)]) - truth.mean
        off[k] = float(seeds.mean())
        assert off[k] < 3 * float(seeds.std()) / math.sqrt(10)
    assert off[1] < -0.1
    assert off[1] < off[20] < 0
    last = Importance(2000)(model, guide, data)
    assert abs(last.mean - truth.mean) < 0.01 + 4 * last.stderr_mc
    with pytest.raises(NotReparameterizable, match=r"discrete .*Gibbs"):
        Annealed()(model, guide, data)


@pytest.mark.parametrize(("bits", "remedy"), [(16, "--method exact"), (17, "--method importance")])
def test_of_more_states_than_are_enumerated_the_remedy_is_another(bits, remedy):
    with drawing_from(stream(0, "bits")):
        model = LatentVariableModel(Unconditional(Bernoulli(bits)), Given(torch.nn.Linear(bits, 6), Bernoulli(3)))
        guide = Amortized(Given(torch.nn.Linear(3, bits), Bernoulli(bits)))
    with pytest.raises(NotReparameterizable, match=remedy):
        Annealed().check(model, guide)


def test_the_error_is_that_of_repeats():
    """In small, of 150 sets of 16 chains with uneven weights: root mean square within fifteen per cent."""
    given = small(8)
    chain = Annealed(temperatures=8, leapfrog_steps=3, chains=150 * 16)
    tuned = chain.tune(given.model, given.guide, given.rows, 0)
    log_w, _ = chain.weights(given.model, given.guide, Batch(given.rows.stored), tuned, stream(0, "repeats"))
    found = [chain_estimate(some, Kind.STOCHASTIC_LOWER) for some in log_w.split(16)]
    told = torch.tensor([e.stderr_mc for e in found]).square().mean().sqrt()
    spread = torch.tensor([e.mean for e in found]).std()
    assert float(found[0].ess.median()) < 12
    assert 0.85 < float(told / spread) < 1.3


def test_the_jackknife_leaves_each_chain_out():
    log_w = torch.randn(5, 3, dtype=torch.float64, generator=stream(0, "jackknife"))
    found = chain_estimate(log_w, Kind.STOCHASTIC_LOWER)
    left = torch.stack([log_w[torch.arange(5) != i].logsumexp(0) for i in range(5)])
    close(found.variance_mc, left.var(0, correction=0) * 4, 1e-9)
    one = torch.tensor([[0.0], [-1e4]], dtype=torch.float64)
    assert torch.isfinite(chain_estimate(one, Kind.STOCHASTIC_LOWER).variance_mc).all()


def test_on_the_committed_instance_the_error_covers_the_mean_of_repeats():
    """500 repeats of 16 chains, few temperatures: 95 and 68 % of intervals hold their mean; binomial errors 1 and 2 %.

    The weights are as uneven as they come here, an effective 7 of 16.
    """
    given = instance(n=4, dtype=torch.float32)
    chain = Annealed(temperatures=4, leapfrog_steps=3, chains=500 * 16)
    tuned = replace(chain, chains=16).tune(given.model, given.guide, given.rows, 0)
    log_w, _ = chain.weights(given.model, given.guide, Batch(given.rows.stored), tuned, stream(0, "repeats"))
    found = [chain_estimate(some, Kind.STOCHASTIC_LOWER) for some in log_w.split(16)]
    means, errors = (torch.tensor([getattr(e, name) for e in found]).double() for name in ("mean", "stderr_mc"))
    off = (means - means.mean()).abs()
    assert abs(float((off < 1.96 * errors).double().mean()) - 0.95) < 0.03
    assert abs(float((off < errors).double().mean()) - 0.683) < 0.06
    assert 0.9 < float(errors.square().mean().sqrt() / means.std()) < 1.1
    assert float(means.mean()) < given.mean
    assert sum(e.ess_median for e in found) / 500 < 9


def test_chains_are_reliable_where_their_error_was_seen_to_cover():
    """Importance weighting wants an effective 10 of 16; the jackknife of chains covers with 5."""
    given = small(6)
    found = Annealed(temperatures=4, leapfrog_steps=2, chains=8)(given.model, given.guide, given.rows)
    assert found.reliable
    assert not replace(found, acceptance=None).reliable
    assert not replace(found, ess=torch.full((6,), 2.0)).reliable


@pytest.mark.slow
def test_the_committed_instance(capsys):
    """256 data, T=200, L=10, 16 chains: 20 seeds within 0.05 nats of exact; every lower bound below."""
    given = instance(dtype=torch.float32)
    off, error = over_seeds(given, Annealed(), range(20))
    iwae, iwae_error = over_seeds(given, Importance(5000), range(20))
    with capsys.disabled():
        print(
            f"\nELBO loses {given.lost:.3f}; IWAE-5000 {iwae:+.4f} +- {iwae_error:.4f}; T=200 {off:+.4f} +- {error:.4f}"
        )
    assert 2.5 < given.lost < 3.5
    assert abs(off) < 0.02
    assert off < 3 * error
    assert iwae < 0
    assert iwae < 3 * iwae_error


@pytest.mark.slow
def test_the_error_covers_the_mean_of_repeats_at_its_nominal_rate():
    """500 repeats: 95 % of intervals of 1.96 Monte Carlo standard errors hold their mean; binomial error 1 %."""
    given = instance(n=16, dim=24, latent=6)
    chain = Annealed(temperatures=40, leapfrog_steps=4)
    found = [chain(given.model, given.guide, given.rows, seed) for seed in range(500)]
    means = torch.tensor([e.mean for e in found]).double()
    errors = torch.tensor([e.stderr_mc for e in found]).double()
    covered = float(((means - means.mean()).abs() < 1.96 * errors).double().mean())
    assert abs(covered - 0.95) < 0.03
    assert 0.9 < float(errors.square().mean().sqrt() / means.std()) < 1.1
