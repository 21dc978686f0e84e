"""The loop: batches, modes, warm-up, early stopping, clipping, schedules, interruption, and what must not change."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from jensen.core.batch import Batch, Rows
from jensen.core.errors import CompositionError, DataError, NumericalError, UsageError
from jensen.core.random import drawing_from, stream
from jensen.estimators.reparameterized import Pathwise
from jensen.families import Gaussian
from jensen.guides import Amortized, Deterministic, Exact
from jensen.models.conditionals import Given, Linear, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from jensen.objectives import CustomObjective, Distortion, Elbo, Ramp, Rate
from jensen.training import Budget, Optimizer, Player, PrincipalComponents, Trainer
from jensen.training.events import EpochEnded, Started, Stopped
from tests.identities.models import amortized, close, evidence, linear_model

N, D = 9, 3


def data(n: int = N, shift: float = 0.0) -> Rows:
    return Rows(torch.randn(n, D, dtype=torch.float64, generator=stream(0, "rows")) + shift)


def pair(latent: int = 2) -> tuple[LatentVariableModel, Amortized]:
    return linear_model(latent, D), amortized(D, Gaussian(latent))


def everyone(model: nn.Module, guide: nn.Module, objective=None, **settings) -> list[Player]:
    chosen = objective if objective is not None else Elbo()
    return [Player(chosen, [*model.parameters(), *guide.parameters()], Pathwise(1), **settings)]


def values(*modules: nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for m in modules for p in m.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


STILL = Optimizer("SGD", 1e-30)


@pytest.mark.parametrize(("seed", "agrees"), [(0, True), (1, False)])
def test_a_seed_decides_everything(seed, agrees):
    trained = []
    for s in (0, seed):
        model, guide = pair()
        Trainer(seed=s).fit(model, guide, everyone(model, guide), data(), Budget(3, 4))
        trained.append(values(model, guide))
    assert same(*trained) == agrees


def looked_at(seed: int = 0, n: int = N, **settings) -> list:
    """The draws of two epochs."""
    draws = []
    model, guide = pair()
    look = CustomObjective(lambda draw: draws.append(draw) or draw.log_lik[0], "look")
    players = everyone(model, guide, look, **{"optimizer": STILL, **settings})
    Trainer(seed=seed).fit(model, guide, players, data(n), Budget(2, 4))
    return draws[1:]  # the first is of the dry run


def test_every_epoch_is_all_rows_in_a_fresh_order():
    orders = [torch.cat([d.batch.index for d in part]).tolist() for part in (looked_at()[:3], looked_at()[3:])]
    other = torch.cat([d.batch.index for d in looked_at(seed=1)[:3]]).tolist()
    assert [sorted(o) for o in (*orders, other)] == [list(range(N))] * 3
    assert len({*map(tuple, orders), tuple(other)}) == 3


def test_noise_is_fresh_in_every_epoch_and_for_every_seed():
    """Of one datum, whose order tells nothing."""
    first, second = (d.noise for d in looked_at(n=1))
    assert not torch.equal(first, second)
    assert torch.equal(looked_at(n=1)[0].noise, first)
    assert not torch.equal(looked_at(seed=1, n=1)[0].noise, first)


def test_a_line_search_compares_looks_at_the_same_noise():
    noise = [d.noise for d in looked_at(n=1, optimizer=Optimizer("LBFGS", 0.1))]
    assert len(noise) > 3
    assert len({tuple(n.flatten().tolist()) for n in noise}) == 2  # one for each step


class Probe(nn.Module):
    """A net that notes in which mode, and on how many data, it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.seen = nn.Linear(D, 4).double(), []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append((self.training, len(x)))
        return self.inner(x)


def probed(batch: int, valid: Rows | None = None) -> list[tuple[bool, int]]:
    model, probe = linear_model(2, D), Probe()
    guide = Amortized(Given(probe, Gaussian(2)))
    model.eval(), guide.eval()  # as a loaded run has them
    Trainer().fit(model, guide, everyone(model, guide), data(), Budget(2, batch), valid)
    assert not model.training
    assert not guide.training
    assert not probe.training
    return probe.seen[2:]  # the first two are of the dry run


def test_nets_train_in_training_mode_and_are_validated_in_evaluation_mode():
    epoch = [(True, 4), (True, 4), (True, 1)]
    assert probed(4, data(5)) == [*epoch, (False, 5), *epoch, (False, 5)]
    assert probed(4) == [*epoch, *epoch]


def test_a_batch_is_at_most_all_data():
    assert probed(100) == [(True, N), (True, N)]


@pytest.mark.parametrize("batch", [1, 4, 100])
def test_the_objective_does_not_depend_on_the_size_of_a_batch(batch):
    model = linear_model(2, D)
    players = [Player(Elbo(), list(model.parameters()), optimizer=STILL)]
    [epoch] = Trainer().fit(model, Exact(model), players, data(), Budget(1, batch)).epochs
    close(epoch.train.objective, evidence(model, Batch(data().stored)).mean())
    close(epoch.train.objective, -epoch.train.distortion - epoch.train.rate)


def test_warm_up_reports_the_effective_beta():
    model, guide = pair()
    players = everyone(model, guide, -Distortion() - Ramp(1.0, 4) * Rate())
    epochs = Trainer().fit(model, guide, players, data(), Budget(6, N)).epochs
    assert [e.beta for e in epochs] == [0, 0.25, 0.5, 0.75, 1, 1]
    for e in epochs:  # one step an epoch, so that beta is one number
        close(e.train.objective, -e.train.distortion - e.beta * e.train.rate)
        close(e.train.bound, -e.train.distortion - e.train.rate)


def test_the_beta_of_a_beta_vae_is_not_in_its_bound():
    model, guide = pair()
    players = everyone(model, guide, -Distortion() - 4 * Rate())
    [e] = Trainer().fit(model, guide, players, data(), Budget(1, 4), data(5)).epochs
    assert e.beta == 4
    for m in (e.train, e.valid):
        close(m.objective, -m.distortion - 4 * m.rate)
        close(m.bound, -m.distortion - m.rate)


def fit_towards(budget: Budget, *, keep_best: bool, average: float | None = None):
    """The best mean for the validation rows lies on the way to that of the training rows."""
    with drawing_from(stream(0, "towards")):
        model = LatentVariableModel(Unconditional(Gaussian(1)), Linear(1, D)).double()
    shots = {}

    def listen(event) -> None:
        if isinstance(event, EpochEnded):
            shots[event.epoch] = values(model)

    trainer = Trainer(schedule="constant", keep_best=keep_best, average=average, listeners=[listen])
    players = [Player(Elbo(), list(model.parameters()), optimizer=Optimizer("Adam", 0.1))]
    history = trainer.fit(model, Exact(model), players, data(64, shift=4.0), budget, data(64, shift=2.0))
    return model, history, shots


@pytest.mark.parametrize("average", [None, 0.8])
def test_early_stopping_restores_the_best_epoch_exactly(average):
    model, history, shots = fit_towards(Budget(200, 16, patience=3), keep_best=True, average=average)
    bounds = [e.valid.bound for e in history.epochs]
    best = 1 + bounds.index(max(bounds))
    stopped = history.stopped
    assert (stopped.reason, stopped.kept_epoch, stopped.epoch) == ("early stopping", best, best + 3)
    assert best > 2  # on the way, not at the start
    assert history.epochs[best - 1].is_best
    assert not any(e.is_best for e in history.epochs[best:])
    assert same(values(model), shots[best])
    assert not same(values(model), shots[best + 3])
    if average is not None:
        again, other, _ = fit_towards(Budget(best, 16), keep_best=False, average=average)
        assert same(values(again), values(model))
        assert same(other.average.values, history.average.values)


def test_without_keeping_the_best_the_last_weights_stay():
    model, history, shots = fit_towards(Budget(200, 16, patience=3), keep_best=False)
    assert history.stopped.kept_epoch == history.stopped.epoch
    assert same(values(model), shots[history.stopped.epoch])


def test_validation_has_the_same_noise_each_time():
    model, guide = pair()
    epochs = Trainer().fit(model, guide, everyone(model, guide, optimizer=STILL), data(), Budget(3, 4), data(5)).epochs
    assert len({e.valid.objective for e in epochs}) == 1
    assert len({e.train.objective for e in epochs}) == 3


def one_step(**settings) -> torch.Tensor:
    model, guide = pair()
    before = torch.cat([v.flatten() for v in values(model, guide)])
    players = everyone(model, guide, optimizer=Optimizer("SGD", 1.0))
    Trainer(**settings).fit(model, guide, players, data(), Budget(1, N))
    return torch.cat([v.flatten() for v in values(model, guide)]) - before


def test_a_clipped_gradient_has_that_norm_and_the_same_direction():
    free, clipped, loose = one_step(), one_step(clip=0.01), one_step(clip=1e6)
    assert free.norm() > 1
    close(clipped.norm(), 0.01, 1e-5)
    close(clipped / clipped.norm(), free / free.norm(), 1e-7)
    close(loose, free)


@pytest.mark.parametrize("name", ["cosine", "linear", "constant"])
def test_every_step_follows_the_schedule(name):
    """Under a constant slope the way travelled is the sum of the rates."""
    factor = {
        "cosine": lambda t: (1 + math.cos(math.pi * t)) / 2,
        "linear": lambda t: 1 - t,
        "constant": lambda t: 1.0,
    }[name]
    model, guide = pair()
    b = model.likelihood.b
    before = b.detach().clone()
    slope = CustomObjective(lambda draw: b.sum().expand(len(draw.batch)), "slope")
    players = [Player(slope, [b], optimizer=Optimizer("SGD", 0.1))]
    epochs = Trainer(schedule=name).fit(model, guide, players, data(8), Budget(3, 4)).epochs
    close(b.detach() - before, 0.1 * sum(factor(s / 6) for s in range(6)))
    close(torch.tensor([e.learning_rate for e in epochs]), torch.tensor([0.1 * factor(s / 6) for s in (1, 3, 5)]))


def test_a_number_that_is_not_finite_names_the_parameter():
    """Also when only the very last step made it, whose own objective was still a number."""
    for epochs in (1, 3):
        model, guide = pair()
        players = [Player(1e10 * Elbo(), [model.likelihood.W], optimizer=Optimizer("SGD", 1e308))]
        with pytest.raises(NumericalError, match=r"model\.likelihood\.W.*Lower --lr") as caught:
            Trainer(precision="medium", schedule="constant").fit(model, guide, players, data(), Budget(epochs, N))
        assert caught.value.exit_code == 5
    assert torch.get_float32_matmul_precision() == "highest"


def test_data_that_are_not_finite_are_noticed():
    model, guide = pair()
    bad = data()
    bad.stored[3, 1] = torch.nan
    with pytest.raises(NumericalError, match="extreme values"):
        Trainer().fit(model, guide, everyone(model, guide), bad, Budget(1, 4))


@pytest.mark.parametrize("after", [1, 4, 6])
def test_training_stops_when_asked(after):
    model, guide = pair()
    asked, events = [], []

    def stop() -> bool:
        asked.append(1)
        return len(asked) >= after

    trainer = Trainer(should_stop=stop, listeners=[events.append], keep_best=True)
    history = trainer.fit(model, guide, everyone(model, guide), data(), Budget(5, 4), data(5))
    assert len(asked) == after
    assert history.stopped.reason == "interrupted"
    assert len(history.epochs) == (after - 1) // 3
    assert history.stopped.kept_epoch in (0, 1, 2)
    assert events[-1] is history.stopped
    assert not model.training


def test_events_come_in_order():
    model, guide = pair()
    events = []
    Trainer(listeners=[events.append]).fit(model, guide, everyone(model, guide), data(), Budget(3, 4), data(5))
    kept = [e for e in events if isinstance(e, Started | EpochEnded | Stopped)]  # glances come by the clock
    assert [type(e) for e in kept] == [Started, *[EpochEnded] * 3, Stopped]
    assert events[0] == Started(3, 3, N)
    assert [(e.epoch, e.step) for e in kept[1:-1]] == [(1, 3), (2, 6), (3, 9)]
    assert events[-1].reason == "finished"
    assert kept[-2].seconds_left == 0
    assert all(e.data_per_second > 0 for e in kept[1:-1])


def test_training_leaves_global_randomness_alone():
    model, guide = pair()
    before = torch.get_rng_state()
    Trainer().fit(model, guide, everyone(model, guide), data(), Budget(2, 4), data(5))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_guide_without_a_density_is_followed_by_its_objective():
    model = linear_model(2, D)
    with drawing_from(stream(0, "point")):
        guide = Deterministic(MLP(D, 2, ()).double())
    history = Trainer().fit(model, guide, everyone(model, guide, -Distortion()), data(), Budget(4, 4), data(5))
    for e in history.epochs:
        assert (e.train.bound, e.train.rate, e.valid.bound, e.valid.rate) == (None,) * 4
        close(e.train.objective, -e.train.distortion)
    best = max(e.valid.objective for e in history.epochs)
    assert [e for e in history.epochs if e.is_best][-1].valid.objective == best


def test_the_first_player_with_optimiser_steps_is_reported():
    """A closed-form player before it has no objective of its own to report."""
    model = linear_model(1, D)
    closed = Player(Elbo(), list(model.parameters()), closed=PrincipalComponents())
    stepping = Player(Elbo(), list(model.parameters()), optimizer=STILL)
    [epoch] = Trainer().fit(model, Exact(model), [closed, stepping], data(), Budget(1, 4)).epochs
    close(epoch.train.objective, evidence(model, Batch(data().stored)).mean())


def test_a_fit_in_closed_form_has_no_steps_to_average():
    model = linear_model(1, D)
    before = values(model)
    player = Player(Elbo(), list(model.parameters()), closed=PrincipalComponents())
    with pytest.raises(CompositionError, match="Leave --average out"):
        Trainer(average=0.9).fit(model, Exact(model), [player], data())
    assert same(before, values(model))


REFUSED = [
    ({"schedule": "wavy"}, {}, "Choose from cosine"),
    ({"clip": 0.0}, {}, "--clip must be above 0, got 0"),
    ({"clip": math.nan}, {}, "--clip must be above 0, got nan"),
    ({"average": 1.0}, {}, "--average must be at least 0 and below 1, got 1"),
    ({}, {"epochs": 0}, "--epochs must be a whole number of at least 1, got 0"),
    ({}, {"batch": 0}, "--batch must be a whole number of at least 1, got 0"),
    ({}, {"patience": 0}, "--patience must be a whole number of at least 1, got 0"),
    ({}, {"patience": 3}, "needs validation rows"),
]


@pytest.mark.parametrize(("trainer", "budget", "words"), REFUSED)
def test_settings_out_of_range_are_refused_before_the_loop(trainer, budget, words):
    model, guide = pair()
    before = values(model, guide)
    with pytest.raises(UsageError, match=words):
        Trainer(**trainer).fit(model, guide, everyone(model, guide), data(), Budget(**budget))
    assert same(before, values(model, guide))


def test_no_rows_are_refused():
    model, guide = pair()
    with pytest.raises(DataError, match="no rows"):
        Trainer().fit(model, guide, everyone(model, guide), data(0))


def test_a_model_is_trained_in_place_and_its_copy_is_not():
    model, guide = pair()
    other = copy.deepcopy(model)
    before = values(other)
    Trainer().fit(model, guide, everyone(model, guide), data(), Budget(1, 4))
    assert same(before, values(other))
    assert not same(before, values(model))
