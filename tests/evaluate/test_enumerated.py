"""Enumeration in pieces: against sums written here once more, a product of sums, and a count of what it holds."""

from __future__ import annotations

import itertools
import time

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Normal

from jensen.core.batch import Batch, Rows
from jensen.core.errors import CompositionError, NotEnumerable
from jensen.core.random import drawing_from, stream
from jensen.evaluate import Enumerated, Exact, Importance, Kind, choose, exact
from jensen.evaluate.exact import MOST_STATES, number_of_states
from jensen.families import Bernoulli, Categorical, Gaussian, Mixture
from jensen.guides import Deterministic, Shared
from jensen.guides import Exact as ExactGuide
from jensen.models.conditionals import Given, Linear, Table, Unconditional
from jensen.models.guide import Guide
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from tests.identities.models import amortized, close, mixture_model, rows, scrambled, simulated


def bits_model(latent: int, dim: int = 3, width: int = 5) -> LatentVariableModel:
    """Independent bits of learned probabilities, and a small network."""
    with drawing_from(stream(0, "bits")):
        net = MLP(latent, dim, (width,), "tanh")
        prior = Unconditional(Bernoulli(latent), learn=True)
        model = LatentVariableModel(prior, Given(net, Gaussian(dim, "shared")))
    return scrambled(model, "bits")


def all_bits(latent: int) -> Tensor:
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=latent)), dtype=torch.float64)


@torch.no_grad()
def by_hand(model: LatentVariableModel, guide: Guide, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """log p(x), distortion and rate [B] by all states side by side, with torch's own densities."""
    z = all_bits(model.latent)
    loc, scale = model.likelihood.family.loc_scale(model.likelihood.params(z))
    log_lik = Normal(loc[:, None], scale[:, None]).log_prob(batch.x).sum(-1)  # [n, B]
    log_prior = TorchBernoulli(logits=model.prior.params()).log_prob(z).sum(-1)[:, None]
    log_q = guide(batch).log_prob(z[:, None].expand(-1, len(batch), -1))
    q = log_q.exp()
    return (
        torch.logsumexp(log_lik + log_prior, 0),
        -(q * log_lik).sum(0),
        (q * (log_q - log_prior)).sum(0),
    )


@pytest.mark.parametrize("piece", [1, 7 * 3 * 10, 1 << 22])
@pytest.mark.parametrize("family", [Bernoulli(6), Mixture(Bernoulli(6), 2)], ids=str)
def test_bits_are_summed_out(monkeypatch, piece, family):
    """In pieces that divide neither the states nor the data, under a factorised guide and one that is not."""
    monkeypatch.setattr(exact, "PIECE", piece)
    model, guide = bits_model(6), amortized(3, family)
    batch = simulated(model, 7)
    found = Enumerated()(model, guide, rows(batch))
    for value, known in zip((found.nats, found.distortion, found.rate), by_hand(model, guide, batch), strict=True):
        close(value, known, 1e-11)
    assert (found.kind, found.k, found.stderr_mc) == (Kind.EXACT, None, 0.0)
    assert (found.elbo < found.nats).all()


def test_all_of_65536_settings_of_bits():
    model, guide = bits_model(16, 2), amortized(2, Bernoulli(16))
    batch = simulated(model, 3)
    found = Enumerated()(model, guide, rows(batch))
    for value, known in zip((found.nats, found.distortion, found.rate), by_hand(model, guide, batch), strict=True):
        close(value, known, 1e-11)


class Known(Guide):
    """Bits with these logits, as a function of x."""

    def __init__(self, logits) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, batch: Batch):
        return Bernoulli(16)(self.logits(batch.x))

    @property
    def phrase(self) -> str:
        return "known"


def test_a_model_that_factorises_is_a_product_of_sums():
    """Each bit moves one feature of x, so p(x) = prod_d sum_b p(b) N(x_d; a_d b + c_d, s^2): 32 terms in place of 2^16.

    The posterior factorises too, and under it the ELBO is the evidence.
    """
    model = LatentVariableModel(Unconditional(Bernoulli(16), learn=True), Linear(16, 16)).double()
    scrambled(model, "product", 1.0)
    lik = model.likelihood
    a, c, variance = torch.linspace(-2, 2, 16).double(), lik.b.detach(), torch.tensor([0.5]).double()
    lik.assign(torch.diag(a), c, variance)
    batch, prior = simulated(model, 5), model.prior.params().detach()

    def logs(x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            sd = lik.noise_variance.sqrt()
            off = Normal(c, sd).log_prob(x) + nn.functional.logsigmoid(-prior)
            return off, Normal(c + a, sd).log_prob(x) + nn.functional.logsigmoid(prior)

    truth = torch.logaddexp(*logs(batch.x)).sum(-1)
    found = Enumerated()(model, Known(lambda x: logs(x)[1] - logs(x)[0]), rows(batch))
    close(found.nats, truth, 1e-11)
    close(found.elbo, truth, 1e-11)
    wrong = Enumerated()(model, Known(lambda x: 0 * x + 0.3), rows(batch))
    close(wrong.nats, truth, 1e-11)
    assert (wrong.elbo < truth - 0.1).all()


def test_importance_is_below_it():
    """Under a guide that is wrong and few points: 60 seeds, by their own standard error."""
    model, guide = bits_model(8), amortized(3, Bernoulli(8))
    data = rows(simulated(model, 20))
    truth = Enumerated()(model, guide, data).mean
    found = torch.tensor([Importance(4)(model, guide, data, seed).mean for seed in range(60)])
    error = float(found.std()) / 60**0.5
    assert truth - 2 < float(found.mean()) < truth - 3 * error


@pytest.mark.parametrize(("latent", "width"), [(12, 5), (9, 300)])
@pytest.mark.sampled(1)
def test_few_numbers_are_in_memory_at_once(monkeypatch, latent, width):
    """Neither all states of a wide layer stand side by side, nor those of the data under them."""
    monkeypatch.setattr(exact, "PIECE", 1 << 13)
    model, guide = bits_model(latent, 3, width), amortized(3, Bernoulli(latent))
    data, seen, z = rows(simulated(model, 130)), [], []
    for module in model.likelihood.modules():
        module.register_forward_hook(
            lambda m, given, out: seen.append(out.numel()) if isinstance(out, Tensor) else None
        )
    net = model.likelihood.net
    net.register_forward_hook(lambda m, given, out: z.append(len(given[0])))
    scored = []
    plain = Gaussian.log_prob

    def spy(family, params, x, mask=None):
        found = plain(family, params, x, mask)
        scored.append(found.numel() * family.dim)
        return found

    monkeypatch.setattr(Gaussian, "log_prob", spy)
    Enumerated()(model, guide, data)
    assert max(seen) <= 1 << 13
    assert 1 << 10 < max(scored) <= 1 << 13
    # 64 + 64 + 2 rows; two points by which layers are measured, and one for each 16 rows whose scales are looked at
    assert sum(z) == 3 * (1 << latent) + 2 + 9


def test_65536_classes_without_a_one_hot(monkeypatch):
    """By the table itself, both where the posterior is formed and where it is not; a square of 65,536 has 17 GB."""

    def refused(*given):
        raise AssertionError("a one-hot was formed")

    monkeypatch.setattr(exact, "_states", refused)
    model = LatentVariableModel(Unconditional(Categorical(MOST_STATES), learn=True), Table(Gaussian(2), MOST_STATES))
    with torch.no_grad():
        model.likelihood.table.mul_(3)
        model.prior.value.copy_(torch.randn(MOST_STATES, generator=stream(0, "prior")))
    x = 3 * torch.randn(70, 2, generator=stream(0, "x"))
    started = time.monotonic()
    found = Enumerated()(model, Shared(Unconditional(Categorical(MOST_STATES))), Rows(x))
    assert time.monotonic() - started < 60
    loc, scale = model.likelihood.family.loc_scale(model.likelihood.table.detach())
    prior = model.prior.value.detach().double().log_softmax(-1)
    log_lik = Normal(loc.double(), scale.double()).log_prob(x.double()[:, None]).sum(-1)
    close(found.nats, torch.logsumexp(log_lik + prior, -1), 1e-5)
    close(found.distortion, -log_lik.mean(-1), 1e-5)
    close(found.rate, -prior.mean() - torch.tensor(float(MOST_STATES)).log(), 1e-5)
    close(Exact()(model, ExactGuide(model), Rows(x[:5])).nats, found.nats[:5], 1e-5)


def test_classes_through_a_network(monkeypatch):
    """A network has no rows to look up, so it sees one-hots, a piece at a time."""
    monkeypatch.setattr(exact, "PIECE", 100)
    with drawing_from(stream(0, "classes")):
        net = MLP(11, 3, (4,), "tanh")
    model = LatentVariableModel(Unconditional(Categorical(11), learn=True), Given(net, Gaussian(3, "shared")))
    scrambled(model, "classes")
    batch = simulated(model, 5)
    z = torch.eye(11, dtype=torch.float64)[:, None].expand(-1, 5, -1)
    found = Enumerated()(model, amortized(3, Categorical(11)), rows(batch))
    close(found.nats, torch.logsumexp(model.log_joint(batch, z).detach(), 0), 1e-11)


def test_holes_in_the_data():
    model = mixture_model(3, 2)
    batch, guide = simulated(model, 6), Shared(Unconditional(Categorical(3))).double()
    mask = torch.tensor([[True, False]] * 6)
    found = Enumerated()(model, guide, Rows(torch.where(mask, batch.x, torch.nan), mask=mask))
    close(found.nats, Exact()(model, ExactGuide(model), Rows(batch.x, mask=mask)).nats, 1e-11)


@pytest.mark.parametrize(
    ("family", "n", "said"), [(Bernoulli(17), 1 << 17, r"2\^17 states"), (Categorical(65_537), 65_537, "65,537 states")]
)
def test_too_many_states_are_refused(family, n, said):
    model = LatentVariableModel(Unconditional(family), Given(nn.Linear(family.dim, 2), Gaussian(2, "shared")))
    guide = Shared(Unconditional(family))
    assert number_of_states(model) == n
    with pytest.raises(NotEnumerable, match=f"{said}.*Use --method importance"):
        Enumerated()(model, guide, Rows(torch.zeros(2, 2)))
    assert choose(model, guide) == Importance(5000)
    assert choose(model, guide, "exact") == Enumerated()


def test_bits_are_chosen_to_be_enumerated():
    model, guide = bits_model(16), amortized(3, Bernoulli(16))
    assert number_of_states(model) == 65_536
    assert choose(model, guide) == choose(model, guide, "exact") == Enumerated()
    assert number_of_states(LatentVariableModel(Unconditional(Gaussian(2)), Linear(2, 3))) is None


@pytest.mark.parametrize(
    "guide",
    [
        amortized(3, Gaussian(4)),
        amortized(3, Bernoulli(5)),
        amortized(3, Categorical(4)),
        Deterministic(nn.Linear(3, 4)),
    ],
    ids=["a density", "other bits", "classes", "a point"],
)
def test_a_guide_about_something_else_is_refused(guide):
    with pytest.raises(CompositionError, match=r"no probabilities of the prior's states.*Use a guide"):
        Enumerated()(bits_model(4), guide.double(), Rows(torch.zeros(2, 3, dtype=torch.float64)))
