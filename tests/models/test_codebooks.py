"""Codes: how they are learned, what they round, and that every mass and bound of them is true."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import jensen
from jensen.core.batch import Batch, Rows
from jensen.core.errors import CompositionError, UsageError
from jensen.core.random import drawing_from, stream
from jensen.distributions import OneState
from jensen.estimators.enumeration import Enumerate
from jensen.estimators.reparameterized import Pathwise
from jensen.estimators.score import Score
from jensen.evaluate import Kind, choose
from jensen.families import Bernoulli, Categorical, Gaussian, OneHots
from jensen.guides import Amortized, Quantized
from jensen.models.autoregressive import over_codes
from jensen.models.codebooks import Codebook, CodePrior, Codes, Lattice, perplexity
from jensen.models.conditionals import Given, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from jensen.objectives import Commitment, Distortion, Rate
from jensen.training import Budget, EpochEnded, Optimizer, Player, Trainer

X = torch.tensor([[0, 1, 1], [1, 0, 1], [0, 0, 0], [1, 1, 1]], dtype=torch.float64)


def made(codes: Codes, groups: int = 2, over=None) -> tuple[LatentVariableModel, Quantized]:
    with drawing_from(stream(1, "model")):
        size = groups * codes.width
        model = LatentVariableModel(CodePrior(codes, groups, over), Given(MLP(size, 3, (4,)), Bernoulli(3)))
        guide = Quantized(MLP(3, size, (4,)), codes, groups)
    return model.double(), guide.double()


def states(codes: Codes, groups: int) -> Tensor:
    """Every setting [n^G, G * E] of the codes."""
    index = torch.tensor(list(itertools.product(range(codes.n), repeat=groups)))
    return codes.flat_vectors(index).double()


# ---------------------------------------------------------------- learning


def test_codes_follow_the_mean_of_what_is_rounded_to_them():
    codes = Codebook(3, 2, decay=0.9, revive=0.0).double()
    counts, sums = codes.counts.clone(), codes.sums.clone()
    h = torch.randn(50, 2, dtype=torch.float64, generator=stream(0, "h"))
    for _ in range(3):
        index = codes.nearest(h)
        codes.learn(h, index)
        for j in range(3):
            counts[j] = 0.9 * counts[j] + 0.1 * (index == j).sum()
            sums[j] = 0.9 * sums[j] + 0.1 * h[index == j].sum(0)
    smooth = (counts + 1e-5) / (counts.sum() + 3e-5) * counts.sum()
    torch.testing.assert_close(codes.table, sums / smooth[:, None])
    torch.testing.assert_close(codes.counts, counts)


def test_codes_move_as_those_of_vector_quantize_pytorch():
    package = pytest.importorskip("vector_quantize_pytorch", reason="the oracle of the codebook is not installed")
    theirs = package.VectorQuantize(dim=4, codebook_size=8, decay=0.9, kmeans_init=False, threshold_ema_dead_code=0)
    mine = Codebook(8, 4, decay=0.9, revive=0.0)
    book = theirs._codebook
    mine.table.copy_(book.embed[0])
    mine.sums.copy_(book.embed_avg[0])
    mine.counts.copy_(book.cluster_size[0])
    theirs.train()
    for step in range(5):
        h = torch.randn(64, 4, generator=stream(step, "h"))
        vectors, index, _ = theirs(h[None])
        assert torch.equal(index[0], mine.nearest(h))
        torch.testing.assert_close(vectors[0].detach(), mine.vectors(index[0]))
        mine.learn(h, index[0])
        torch.testing.assert_close(mine.table, book.embed[0], rtol=1e-4, atol=1e-5)


def test_a_lattice_is_that_of_vector_quantize_pytorch():
    package = pytest.importorskip("vector_quantize_pytorch", reason="the oracle of the lattice is not installed")
    theirs, mine = package.FSQ(levels=[8, 5, 4]), Lattice((8, 5, 4))
    h = 3 * torch.randn(200, 3, generator=stream(0, "h"))
    vectors, index = theirs(h[None])
    torch.testing.assert_close(mine.nearest(mine.bounded(h)), index[0].long())
    torch.testing.assert_close(mine.vectors(index[0].long()), vectors[0])


def test_codes_start_at_the_clusters_of_the_first_vectors():
    centres = torch.tensor([[5.0, 0], [0, 5], [-5, 0], [0, -5]])
    h = (centres[:, None] + 0.1 * torch.randn(4, 100, 2, generator=stream(0, "h"))).flatten(0, 1)
    codes = Codebook(4, 2)
    codes.begin(h)
    assert (torch.cdist(centres, codes.table).min(1).values < 0.1).all()
    assert codes.counts.sum() == 400
    before = codes.table.clone()
    codes.begin(-h)  # once
    assert torch.equal(codes.table, before)


def test_a_dead_code_comes_back_to_life():
    h = torch.randn(200, 2, generator=stream(0, "h"))
    for revive, alive in ((0.05, True), (0.0, False)):
        codes = Codebook(4, 2, revive=revive)
        codes.begin(h)
        codes.table[0], codes.sums[0], codes.counts[0] = 100.0, 1.0, 0.01
        codes.learn(h, codes.nearest(h))
        used = len(codes.nearest(h).unique()) == 4
        assert used is alive
        if alive:  # as if it had the least that a living code has: its mean stays, and it is not dead again at once
            torch.testing.assert_close(codes.sums[0], codes.table[0] * codes.counts[0])
            assert float(codes.counts[0]) > 1.0


def test_the_nearest_code_has_the_least_distance():
    """Codes have different lengths, and the largest product is not the nearest."""
    codes = Codebook(5, 2).double()
    codes.table.copy_(torch.tensor([[0.0, 0.0], [9.0, 0.0], [1.0, 1.0], [-0.5, 4.0], [-2.0, -2.0]]))
    h = 3 * torch.randn(200, 2, dtype=torch.float64, generator=stream(0, "h"))
    assert torch.equal(codes.nearest(h), torch.cdist(h, codes.table).argmin(-1))
    assert not torch.equal(codes.nearest(h), (h @ codes.table.T).argmax(-1))


def test_codes_move_with_the_encoder_alone():
    """Not in evaluation, not without gradients, and not while only the prior's gradient is formed."""
    codes = Codebook(4, 1)
    model, guide = made(codes, over=Unconditional(OneHots(2, 4), learn=True))

    def moved(training: bool, parameters: list[nn.Parameter], grad: bool = True) -> bool:
        guide.train(training)
        before, table = float(codes.steps), codes.table.clone()
        with torch.set_grad_enabled(grad):
            draw = Pathwise(1).draw(model, guide, Batch(X), stream(0, "noise"))
            value = (draw.rate + draw.distortion).sum()
            if grad:
                value.backward(inputs=parameters)
        moves = float(codes.steps) > before
        assert moves or torch.equal(table, codes.table)
        return moves

    encoder, prior = list(guide.parameters()), [p for p in model.prior.parameters() if p.requires_grad]
    assert moved(True, encoder)  # the start, and a step
    assert moved(True, encoder)
    assert not moved(True, prior)
    assert not moved(False, encoder)
    assert not moved(True, encoder, grad=False)


def test_only_the_prior_climbs_in_the_second_stage():
    codes = Codebook(4, 1)
    with drawing_from(stream(2, "model")):
        model = LatentVariableModel(CodePrior(codes, 2, over_codes(2, 4, hidden=(4,))), Given(MLP(2, 3), Bernoulli(3)))
        guide = Quantized(MLP(3, 2), codes, 2)
    how = {"estimator": Pathwise(), "optimizer": Optimizer(lr=0.05)}
    rest = [*model.likelihood.parameters(), *guide.parameters()]
    climb = -Distortion() - Rate() - 0.25 * Commitment()
    first = Player(climb, rest, during=(0.0, 0.5), **how)
    second = Player(-Rate(), list(model.prior.parameters()), during=(0.5, 1.0), **how)
    kept: list[dict[str, Tensor]] = []
    bounds: list[float] = []

    def listen(event: object) -> None:
        if isinstance(event, EpochEnded):
            both = {**model.state_dict(), **{f"guide.{k}": v for k, v in guide.state_dict().items()}}
            kept.append({k: v.clone() for k, v in both.items()})
            bounds.append(event.train.bound)

    rows = Rows(X.float().repeat(8, 1))
    Trainer(listeners=[listen]).fit(model, guide, [first, second], rows, Budget(epochs=8, batch=8))
    changed = [{k for k in a if not torch.equal(a[k], b[k])} for a, b in itertools.pairwise(kept)]
    assert not any(k.startswith("prior.over") for some in changed[:3] for k in some)
    assert any(k.startswith("prior.codes") for some in changed[:3] for k in some)
    assert all(k.startswith("prior.over") for some in changed[3:] for k in some)
    assert all(changed)
    assert bounds[-1] > bounds[3]


# ---------------------------------------------------------------- rounding


def test_the_gradient_goes_straight_through():
    codes = Codebook(4, 2)
    h = torch.randn(3, 6, generator=stream(0, "h"), requires_grad=True)
    index = codes.flat_index(h)
    q = OneState(h, index, codes.flat_vectors, codes.flat_index)
    z = q.rsample((2,))
    assert torch.equal(z[0], codes.flat_vectors(index))  # exactly, not h plus a difference
    [gradient] = torch.autograd.grad((z.square() * torch.arange(1, 3.0)[:, None, None]).sum(), h)
    torch.testing.assert_close(gradient, 6 * z[0].detach())
    assert torch.equal(q.log_prob(z), torch.zeros(2, 3))
    assert (q.log_prob(codes.flat_vectors((index + 1) % 4)) == -torch.inf).all()


@pytest.mark.parametrize("levels", [(2,), (5, 4, 3, 2), (8, 5, 5)], ids=str)
def test_every_code_of_a_lattice_is_its_own_nearest_and_can_be_reached(levels):
    codes = Lattice(levels)
    every = torch.arange(codes.n)
    vectors = codes.vectors(every)
    assert torch.equal(codes.nearest(vectors), every)
    assert len(vectors.unique(dim=0)) == codes.n
    assert vectors.abs().max() <= 1
    for e, level in enumerate(levels):
        h = torch.zeros(1001, len(levels))
        h[:, e] = torch.linspace(-20, 20, 1001)
        assert len(codes.nearest(codes.bounded(h)).unique()) == level


def test_bad_codes_are_refused():
    for n, decay in ((0, 0.9), (4, 1.0)):
        with pytest.raises(UsageError):
            Codebook(n, 2, decay)
    for levels in ((), (3, 1)):
        with pytest.raises(UsageError):
            Lattice(levels)
    with pytest.raises(CompositionError, match="8 features"):
        CodePrior(Codebook(4, 1), 3, Unconditional(OneHots(2, 4)))


def test_perplexity_counts_what_is_used():
    assert perplexity(torch.zeros(9, 2, dtype=torch.long), 7) == pytest.approx(1.0)
    assert perplexity(torch.arange(7), 7) == pytest.approx(7.0)


# ---------------------------------------------------------------- masses and bounds

PRIORS = {
    "uniform": None,
    "learned": Unconditional(OneHots(2, 4), learn=True),
    "in order": over_codes(2, 4, hidden=(4,)),
}


@pytest.mark.parametrize("name", PRIORS)
@pytest.mark.parametrize("codes", [Codebook(4, 2).double(), Lattice((2, 2))], ids=["codebook", "lattice"])
def test_a_bound_is_below_the_sum_over_all_codes(codes, name):
    """The masses of all codes add up to one, and log p(x, z) of one of them is below log p(x) of all."""
    over = copy.deepcopy(PRIORS[name])
    if over is not None:
        for p in over.parameters():
            nn.init.normal_(p, 0.0, 0.5, generator=stream(3, "prior"))
    model, guide = made(codes, 2, over)
    z = states(codes, 2)
    with torch.no_grad():
        masses = model.prior.log_prob(z)
        torch.testing.assert_close(masses.exp().sum(), torch.tensor(1.0).double())
        known = torch.logsumexp(model.log_joint(Batch(X), z[:, None]), 0)
        at = guide(Batch(X)).mean
        one = model.log_joint(Batch(X), at[None])[0]
    estimate = choose(model, guide)(model, guide, Rows(X))
    assert estimate.kind is Kind.LOWER
    assert estimate.stderr_mc == 0
    assert str(estimate).startswith("log p(x) >=")
    torch.testing.assert_close(estimate.nats, one)
    torch.testing.assert_close(estimate.elbo, estimate.nats)
    assert (estimate.nats < known).all()
    assert choose(model, guide, k=7) == choose(model, guide)


def test_what_has_no_noise_is_refused_where_noise_is_needed():
    model, guide = made(Codebook(4, 1))
    with pytest.raises(CompositionError, match="without noise"):
        choose(model, guide, "importance")
    with pytest.raises(CompositionError, match="discrete"):
        choose(model, guide, "annealed")
    with pytest.raises(CompositionError, match="noise"):
        Score(2).draw(model, guide, Batch(X))
    with pytest.raises(CompositionError, match="Commitment needs a guide that rounds to codes"):
        Commitment()(Pathwise(1).draw(*_gaussian(), Batch(X.float())))


def _gaussian() -> tuple[LatentVariableModel, Amortized]:
    model = LatentVariableModel(Unconditional(Gaussian(2)), Given(MLP(2, 3), Bernoulli(3)))
    return model, Amortized(Given(MLP(3, 4), Gaussian(2)))


def test_samples_of_codes_follow_their_masses():
    """4,000 samples: every one of 16 states within 5 standard errors; mean and variance likewise."""
    codes, over = Codebook(4, 2), Unconditional(OneHots(2, 4), learn=True)
    with torch.no_grad():
        over.value.copy_(torch.randn(8, generator=stream(4, "logits")))
        prior = CodePrior(codes, 2, over)
        with drawing_from(stream(5, "z")):
            z = prior().sample((4000,))
        every = states(codes, 2).float()
        mass = prior.log_prob(every).exp()
        share = (torch.cdist(z, every).argmin(-1)[:, None] == torch.arange(16)).float().mean(0)
        assert ((share - mass).abs() < 5 * (mass * (1 - mass) / 4000).sqrt() + 1e-6).all()
        torch.testing.assert_close(prior().mean, mass @ every, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            prior().variance, mass @ every.square() - prior().mean.square(), rtol=1e-3, atol=1e-4
        )


# ---------------------------------------------------------------- classes


def test_several_classes_are_as_many_categoricals():
    params = torch.randn(5, 6, dtype=torch.float64, generator=stream(6, "params"))
    several, one = OneHots(2, 3), Categorical(3)
    with drawing_from(stream(7, "z")):
        z = several(params).sample((4,))
    apart = one.log_prob(params[:, :3], z[..., :3]) + one.log_prob(params[:, 3:], z[..., 3:])
    torch.testing.assert_close(several.log_prob(params, z), apart)
    p = several(params[0])
    rate = torch.distributions.kl_divergence(several(params), p)
    every = torch.cat([torch.eye(3).repeat_interleave(3, 0), torch.eye(3).repeat(3, 1)], -1).double()
    logs = several(params).log_prob(every[:, None])
    torch.testing.assert_close(rate, (logs.exp() * (logs - p.log_prob(every)[:, None])).sum(0))


@pytest.mark.parametrize("hard", [True, False])
def test_relaxed_classes(hard):
    logits = torch.randn(6, generator=stream(8, "logits"), requires_grad=True)
    q = OneHots(2, 3, 0.5, hard)(logits)
    with drawing_from(stream(9, "z")):
        z = q.rsample((500,))
        with torch.no_grad():
            exact = q.rsample((20_000,))
    assert z.requires_grad
    torch.testing.assert_close(z.unflatten(-1, (2, 3)).sum(-1), torch.ones(500, 2))
    one_hot = ((z == 0) | (z == 1)).all()
    assert bool(one_hot) is hard
    assert ((exact == 0) | (exact == 1)).all()  # where no gradient is recorded
    error = (q.variance / 20_000).sqrt()
    assert ((exact.mean(0) - q.mean).abs() < 5 * error).all()
    assert q.support.check(z.detach()).all()


def test_a_lower_temperature_has_less_bias_and_more_noise():
    """The gradient of E[f(z)], with f of one class, by 20,000 relaxed points against the sum."""
    logits = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    worth = torch.tensor([1.0, -1.0, 2.0], dtype=torch.float64)

    def value(z: Tensor) -> Tensor:
        return (z @ worth).square()

    exact = torch.autograd.grad((logits.softmax(-1) * worth.square()).sum(), logits)[0]
    bias, noise = [], []
    for temperature in (2.0, 0.2):
        rows = logits.detach().expand(20_000, -1).clone().requires_grad_()
        with drawing_from(stream(10, "z")):
            z = OneHots(1, 3, temperature, hard=False)(rows).rsample()
        gradients = torch.autograd.grad(value(z).sum(), rows)[0]
        error = gradients.std(0) / 20_000**0.5
        bias.append(float((gradients.mean(0) - exact).norm()))
        noise.append(float(gradients.var(0).sum()))
        assert float(error.norm()) < 0.1 * bias[0]
    assert bias[1] < 0.5 * bias[0]
    assert noise[1] > 2 * noise[0]


def test_the_evidence_of_several_classes_is_a_sum():
    with drawing_from(stream(11, "model")):
        prior = Unconditional(OneHots(2, 3), learn=True)
        nn.init.normal_(prior.value)
        model = LatentVariableModel(prior, Given(MLP(6, 3, (4,)), Bernoulli(3))).double()
        guide = Amortized(Given(MLP(3, 6, (4,)), OneHots(2, 3))).double()
    every = torch.cat([torch.eye(3).repeat_interleave(3, 0), torch.eye(3).repeat(3, 1)], -1).double()
    with torch.no_grad():
        known = torch.logsumexp(model.log_joint(Batch(X), every[:, None]), 0)
        estimate = choose(model, guide)(model, guide, Rows(X))
        draw = Enumerate().draw(model, guide, Batch(X))
    assert estimate.kind is Kind.EXACT
    torch.testing.assert_close(estimate.nats, known)
    torch.testing.assert_close(draw.log_evidence, known)
    torch.testing.assert_close(estimate.elbo, -draw.distortion - draw.rate)


REPEATED = {
    "two rows, a hundred times each": np.repeat(np.array([[0, 1, 0, 1, 1, 0, 0, 1], [1, 0, 1, 0, 0, 1, 1, 0]]), 100, 0),
    "four patterns with noise": (np.random.default_rng(0).random((4, 12)) < 0.5)[
        np.random.default_rng(1).integers(0, 4, 600)
    ]
    ^ (np.random.default_rng(2).random((600, 12)) < 0.05),
    "many blank rows": np.r_[np.random.default_rng(3).random((30, 64)) < 0.5, np.zeros((270, 64), dtype=bool)],
}


@pytest.mark.parametrize("name", REPEATED)
def test_data_of_few_distinct_rows_are_trained_and_scored(name, tmp_path):
    """Fewer distinct vectors than codes: k-means gives equal codes, and rounding cannot tell them apart."""
    data = REPEATED[name].astype(np.uint8)
    run = jensen.train(data, recipe="vq-vae", out=tmp_path / "run", epochs=2, latent=4, hidden=(16,), seed=0)
    evaluation = run.evaluate(budget=0)
    assert np.isfinite(evaluation.estimate.mean)
    assert evaluation.estimate.kind == "lower bound"


@pytest.mark.parametrize("offset", [0.0, 1e-7, 1e3])
def test_codes_are_found_again_although_others_are_equal_or_nearly(offset):
    codes = Codebook(64, 8)
    with torch.no_grad():
        codes.table.add_(offset)
        codes.table[32:48] = codes.table[3]  # equal
        codes.table[48:] = torch.nextafter(codes.table[5], torch.tensor(torch.inf))  # equal but for rounding
    index = torch.arange(64).reshape(16, 4)
    z = codes.flat_vectors(index)
    again = codes.flat_index(z)
    assert torch.equal(codes.flat_vectors(again), z)
    assert torch.equal(again.flatten()[:32], index.flatten()[:32])  # of equal codes, the first
    assert (again.flatten()[32:48] == 3).all()
    state = OneState(z, index, codes.flat_vectors, codes.flat_index)
    assert (state.log_prob(z) == 0).all()
    assert (state.log_prob(z.roll(1, 0)) == -torch.inf).any()


def test_what_is_no_code_has_the_nearest():
    codes = Codebook(16, 3)
    z = torch.randn(50, 3, generator=stream(0, "points"))
    assert torch.equal(codes.index_of(z), codes.nearest(z))


def test_of_equal_codes_it_is_the_first_whichever_is_found_nearest(monkeypatch):
    """Products of equal rows may differ by rounding, and the nearest of them is then any."""
    codes = Codebook(8, 3)
    with torch.no_grad():
        codes.table[6] = codes.table[2]
    monkeypatch.setattr(codes, "nearest", lambda h: torch.full(h.shape[:-1], 6))
    assert codes.index_of(codes.table[[2, 6]]).tolist() == [2, 2]
