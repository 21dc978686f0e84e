"""Wake and sleep: gradients against sums over every state of x and z, and what each part may not be used for."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

import jensen
from jensen.core.batch import Batch, Rows
from jensen.core.errors import CompositionError
from jensen.core.random import drawing_from, stream
from jensen.estimators.enumeration import Enumerate
from jensen.estimators.reparameterized import Pathwise
from jensen.estimators.wake_sleep import DetachedSamples, FromModel
from jensen.families import Bernoulli, Categorical, Gaussian
from jensen.flows import Planar
from jensen.guides import Amortized, Deterministic, Exact, Flowing, Quantized
from jensen.models.codebooks import Lattice
from jensen.models.conditionals import Given, Table, Unconditional
from jensen.models.draw import weigh
from jensen.models.guide import Guide
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from jensen.objectives import Elbo, ImportanceWeighted
from jensen.objectives.wake_sleep import Inclusive, SleepPhase
from jensen.training import Budget, Optimizer, Player, Trainer
from jensen.training.players import check_players
from tests.contracts.members import MODELS
from tests.identities.models import amortized, close, linear_model, scrambled, simulated

REPEATS = 50


def finite(units: str) -> tuple[LatentVariableModel, Guide]:
    """Three bits of data from four classes, or from two hidden bits; the guide is far from the posterior."""
    family = Categorical(4) if units == "classes" else Bernoulli(2)
    with drawing_from(stream(0, units)):
        net = Table(Bernoulli(3), 4) if units == "classes" else Given(MLP(2, 3, (4,)), Bernoulli(3))
        model = LatentVariableModel(Unconditional(family, learn=True), net)
    return scrambled(model, units), amortized(3, family)


def states(model: LatentVariableModel) -> tuple[Batch, Tensor]:
    """Every x, and log p(x)."""
    every = Batch(torch.tensor(list(itertools.product((0.0, 1.0), repeat=3)), dtype=torch.float64))
    guide = amortized(3, model.prior.family)
    return every, ImportanceWeighted()(Enumerate().draw(model, guide, every)).detach()


def gradient(value: Tensor, of) -> Tensor:
    of = list(of)
    found = torch.autograd.grad(value, of, allow_unused=True, retain_graph=True)
    return torch.cat(
        [torch.zeros_like(p).flatten() if g is None else g.flatten() for g, p in zip(found, of, strict=True)]
    )


def unbiased(found: Tensor, exact: Tensor, errors: float = 4.0) -> bool:
    """The mean of independent gradients [R, P] is within so many standard errors of the exact one, in every part."""
    error = found.std(0) / len(found) ** 0.5
    return bool(((found.mean(0) - exact).abs() <= errors * error + 1e-12).all())


@pytest.mark.parametrize("units", ["classes", "bits"])
def test_the_gradient_of_dreams_is_that_of_the_sum_over_all_dreams(units):
    """E_p(x, z)[grad log q(z|x)] (50 batches of 400 dreams, 4 standard errors); the batch's values do not matter."""
    model, guide = finite(units)
    every, _ = states(model)
    draw = Enumerate().draw(model, guide, every)
    joint = (draw.log_lik + draw.log_prior.sum(-1)).exp().detach()
    close(joint.sum(), 1.0)
    phi = list(guide.parameters())
    exact = gradient((joint * draw.log_guide.sum(-1)).sum(), phi)
    blank = Batch(torch.full((400, 3), torch.nan, dtype=torch.float64))
    noise = stream(0, "dreams")
    found = torch.stack(
        [gradient(SleepPhase()(FromModel().draw(model, guide, blank, noise)).mean(), phi) for _ in range(REPEATS)]
    )
    assert unbiased(found, exact)
    with torch.no_grad():  # dreams of another model are seen: the test can fail
        model.prior.value.add_(torch.linspace(0, 1.5, model.prior.family.size).double())
    wrong = torch.stack(
        [gradient(SleepPhase()(FromModel().draw(model, guide, blank, noise)).mean(), phi) for _ in range(REPEATS)]
    )
    assert not unbiased(wrong, exact)


@pytest.mark.parametrize("units", ["classes", "bits"])
def test_the_inclusive_gradient_over_all_states_is_exact(units):
    """Enumerated, it is minus the gradient of KL(p(z|x) || q(z|x)), written out here."""
    model, guide = finite(units)
    every, log_px = states(model)
    phi = list(guide.parameters())
    draw = Enumerate().draw(model, guide, every)
    posterior = (draw.log_lik + draw.log_prior.sum(-1) - log_px).exp().detach()
    divergence = (posterior * (posterior.log() - draw.log_guide.sum(-1))).sum(0)
    close(gradient(Inclusive()(draw).sum(), phi), -gradient(divergence.sum(), phi))


@pytest.mark.parametrize("units", ["classes", "bits"])
@pytest.mark.sampled(1)
def test_weighted_points_tell_the_inclusive_gradient(units):
    """With 4000 points the bias of 1/K is below 4 standard errors of 30 repetitions; with one point it is seen."""
    model, guide = finite(units)
    every, _ = states(model)
    phi = list(guide.parameters())
    exact = gradient(Inclusive()(Enumerate().draw(model, guide, every)).mean(), phi)

    def repeated(k: int, n: int, copies: int = 1) -> Tensor:
        noise, data = stream(0, "weights"), Batch(every.x.repeat(copies, 1))
        return torch.stack(
            [gradient(Inclusive()(DetachedSamples(k).draw(model, guide, data, noise)).mean(), phi) for _ in range(n)]
        )

    assert unbiased(repeated(4000, 30), exact)
    assert not unbiased(repeated(1, 30, 100), exact)


@pytest.mark.parametrize("units", ["classes", "bits"])
def test_the_model_climbs_the_bound_without_bias(units):
    """grad_theta of the ELBO, by still points against all states (40 repetitions, 4 standard errors)."""
    model, guide = finite(units)
    every, _ = states(model)
    theta = [p for p in model.parameters() if p.requires_grad]
    exact = gradient(Elbo()(Enumerate().draw(model, guide, every)).mean(), theta)
    noise = stream(0, "wake")
    data = Batch(every.x.repeat(50, 1))
    found = torch.stack(
        [gradient(Elbo()(DetachedSamples(2).draw(model, guide, data, noise)).mean(), theta) for _ in range(40)]
    )
    assert unbiased(found, exact)


def test_no_gradient_passes_through_a_still_point():
    model = MODELS["linear"]
    draw = DetachedSamples(3).draw(model, amortized(3, Gaussian(2)), simulated(model, 4), stream(0, "still"))
    assert not draw.z.requires_grad
    assert draw.log_guide.requires_grad


def test_dreams_move_no_running_scale():
    """A Gaussian of optimal scale follows the data it is scored with; dreams are none."""
    with drawing_from(stream(0, "scale")):
        model = LatentVariableModel(Unconditional(Gaussian(2)), Given(MLP(2, 3, (4,)), Gaussian(3, "optimal")))
    model.double().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    guide = amortized(3, Gaussian(2))
    SleepPhase()(FromModel().draw(model, guide, Batch(torch.zeros(5, 3).double()), stream(0, "dream"))).sum().backward()
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_what_is_hidden_from_the_guide_stays_hidden_in_dreams():
    model, guide = linear_model(2, 3), amortized(3, Gaussian(2))
    mask = torch.tensor([[True, False, True]] * 4)
    draw = FromModel().draw(model, guide, Batch(torch.full((4, 3), 7.0).double(), mask), stream(0, "dream"))
    assert (draw.batch.x[:, 1] == 7).all()
    assert (draw.batch.x[:, 0] != 7).all()


@pytest.mark.parametrize("bad", ["exact", "point", "planar", "codes"])
def test_a_guide_that_cannot_score_dreams_is_refused(bad):
    model = linear_model(2, 3)
    plain = amortized(3, Gaussian(2))
    guide = {
        "exact": lambda: Exact(model),
        "point": lambda: Deterministic(MLP(3, 2, (4,))),
        "planar": lambda: Flowing(plain, Planar(2)),
        "codes": lambda: Quantized(MLP(3, 2, (4,)), Lattice((3, 3)), 1),
    }[bad]().double()
    with pytest.raises(CompositionError, match="Amortized"):
        FromModel().draw(model, guide, simulated(model, 3), stream(0, "dream"))


def test_gradients_that_would_be_wrong_are_refused_before_the_loop():
    model, guide = linear_model(2, 3), amortized(3, Gaussian(2))
    theta, phi = list(model.parameters()), list(guide.parameters())
    check_players(
        model, guide, [Player(Elbo(), theta, DetachedSamples(2)), Player(Inclusive(), phi, DetachedSamples(2))]
    )
    with pytest.raises(CompositionError, match="wrong gradients of the guide for Elbo"):
        check_players(model, guide, [Player(Elbo(), [*theta, *phi], DetachedSamples(2))])
    with pytest.raises(CompositionError, match="only SleepPhase"):
        check_players(model, guide, [Player(Elbo(), theta, FromModel())])
    with pytest.raises(CompositionError, match="FromModel"):
        check_players(model, guide, [Player(SleepPhase(), phi, DetachedSamples(2))])


def bimodal() -> tuple[LatentVariableModel, Batch]:
    """p(z | x = 0) has its two modes near z = -2 and z = 2: x is z^2 - 4 with noise."""

    class Square(torch.nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z.square() - 4

    model = LatentVariableModel(Unconditional(Gaussian(1)), Given(Square(), Gaussian(1, 0.5))).double()
    return model, Batch(torch.zeros(1, 1).double())


@pytest.mark.slow
def test_one_divergence_seeks_a_mode_and_the_other_covers_both():
    """theory.md 9: a Gaussian guide of a posterior with two modes, by the ELBO and by importance weights."""
    model, batch = bimodal()
    z = torch.linspace(-6, 6, 4001).double()[:, None, None]
    with torch.no_grad():
        weight = torch.softmax(model.log_joint(batch, z), 0)
    spread = float((weight * z.square()[..., 0]).sum().sqrt())  # the mean is 0
    found = {}
    for name, player in {
        "exclusive": lambda phi: Player(Elbo(), phi, Pathwise(64), Optimizer("Adam", 0.05)),
        "inclusive": lambda phi: Player(Inclusive(), phi, DetachedSamples(200), Optimizer("Adam", 0.05)),
    }.items():
        guide = Amortized(Given(MLP(1, 2, ()), Gaussian(1))).double()
        with torch.no_grad():
            guide.conditional.net.layers[0].bias.copy_(torch.tensor([1.5, -1.0] if name == "exclusive" else [1.0, 1.0]))
        Trainer(schedule="cosine").fit(
            model, guide, [player([guide.conditional.net.layers[0].bias])], Rows(batch.x.expand(200, 1)), Budget(1, 1)
        )
        with torch.no_grad():
            q = guide(batch)
        found[name] = float(q.mean), float(q.stddev)
    assert abs(abs(found["exclusive"][0]) - 2) < 0.2
    assert found["exclusive"][1] < 0.3
    assert abs(found["inclusive"][0]) < 0.2
    assert abs(found["inclusive"][1] - spread) < 0.2


# ---------------------------------------------------------------- awake from the start


def pairs() -> tuple[Tensor, Tensor]:
    """Every x of six bits [64, 6], and its probability [64]: two hidden bits each say three of them, right 9 of 10
    times."""
    x = torch.tensor(list(itertools.product((0.0, 1.0), repeat=6)), dtype=torch.float64)
    on, off = (x[:, i : i + 3].sum(1) for i in (0, 3))
    half = [0.5 * (0.9**n * 0.1 ** (3 - n) + 0.1**n * 0.9 ** (3 - n)) for n in (on, off)]
    return x, half[0] * half[1]


def hidden(loud: tuple[float, float], seed: int = 0) -> tuple[LatentVariableModel, Amortized]:
    with drawing_from(stream(seed, "hidden")):
        model = LatentVariableModel(
            Unconditional(Bernoulli(2), learn=True), Given(MLP(2, 6, (16,)), Bernoulli(6))
        ).double()
        guide = Amortized(Given(MLP(6, 2, (16,)), Bernoulli(2))).double()
    with torch.no_grad():
        guide.conditional.net.layers[-1].weight.mul_(loud[0])
        model.likelihood.net.layers[0].weight.mul_(loud[1])
    return model, guide


def test_codes_that_say_nothing_and_are_not_heard_stay_so():
    """Where q = p(z) and p(x | z) is the data's own average, the expected gradients of wake and of sleep are zero;
    where codes are said and heard, they are not."""
    x, p = pairs()
    found = {}
    for loud in ((0.0, 0.0), (60.0, 5.0)):
        model, guide = hidden(loud)
        with torch.no_grad():
            if loud == (0.0, 0.0):  # biases are the best that say nothing
                guide.conditional.net.layers[-1].bias.zero_()
                model.likelihood.net.layers[-1].weight.zero_()
                model.likelihood.net.layers[-1].bias.zero_()
        draw = Enumerate().draw(model, guide, Batch(x))
        dreamt = (draw.log_lik + draw.log_prior.sum(-1)).exp().detach()
        asleep = gradient((dreamt * draw.log_guide.sum(-1)).sum(), guide.parameters())
        awake = gradient((p * Elbo()(draw)).sum(), model.parameters())
        found[loud] = float(asleep.abs().max()), float(awake.abs().max())
    assert max(found[0.0, 0.0]) < 1e-12
    assert min(found[60.0, 5.0]) > 1e-2


def test_wake_and_sleep_come_to_the_data():
    """Of two hidden bits the evidence comes within 0.05 nats of the best possible, minus the data's entropy, in 160
    steps; nets as they usually begin have learned nothing yet of what the six share, which is 1.01 nats."""
    x, p = pairs()
    rows = Rows(x[torch.multinomial(p, 1024, True, generator=stream(0, "rows"))])
    best, found = float((p * p.log()).sum()), {}
    for loud in ((60.0, 5.0), (1.0, 1.0)):
        model, guide = hidden(loud)
        quick = Optimizer("Adam", 2e-2)
        wake = Player(Elbo(), list(model.parameters()), DetachedSamples(), quick)
        sleep = Player(SleepPhase(), list(guide.parameters()), FromModel(), quick)
        Trainer(schedule="linear").fit(model, guide, [wake, sleep], rows, Budget(10, 64))
        with torch.no_grad():
            found[loud] = float((p * ImportanceWeighted()(Enumerate().draw(model, guide, Batch(x)))).sum())
    assert best - 0.05 < found[60.0, 5.0] < best
    assert found[1.0, 1.0] < best - 0.9


@pytest.mark.parametrize("name", ["wake-sleep", pytest.param("reweighted-wake-sleep", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_codes_of_the_recipes_are_heard_soon(name, tmp_path):
    """After eight passes over the digits codes hold two nats and more; in usual nets less than a fifth of one."""
    run = jensen.train("digits", recipe=name, out=tmp_path / "run", epochs=8, checkpoints=0, points=2)
    last = run.metrics[-2]["valid"]
    assert last["rate"] > 2
    assert last["bound"] > -105


def test_weights_that_vanish_leave_no_nan():
    """A point that the posterior and the guide both rule out counts for nothing."""
    model, _ = finite("classes")
    batch = simulated(model, 2)
    z = torch.eye(4).double()[:, None].expand(-1, 2, -1)
    draw = weigh(
        model, torch.distributions.OneHotCategorical(probs=torch.eye(4).double()[:2]), z, batch, enumerated=True
    )
    object.__setattr__(draw, "log_lik", torch.where(torch.arange(4)[:, None] < 2, draw.log_lik, -torch.inf))
    assert not torch.isnan(Inclusive()(draw)).any()
