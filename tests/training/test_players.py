"""Players: each changes its own parameters only, in turns, and combinations that mean nothing are refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jensen.core.batch import Rows
from jensen.core.errors import CompositionError
from jensen.estimators.enumeration import Enumerate
from jensen.estimators.quadrature import Quadrature
from jensen.estimators.reparameterized import Pathwise
from jensen.families import Gaussian
from jensen.guides import Deterministic, Exact
from jensen.nets import MLP
from jensen.objectives import CustomObjective, Distortion, Elbo, ImportanceWeighted, Rate
from jensen.training import Budget, MixtureEM, Optimizer, Player, PrincipalComponents, Trainer
from jensen.training.players import check_players
from tests.identities.models import amortized, close, curved_model, linear_model, mixture_model, simulated
from tests.training.test_loop import same, values

SLOW = Optimizer("SGD", 0.02)


def fit(model, guide, players, epochs=3, n=20, **settings):
    rows = Rows(simulated(model, n).x)
    return Trainer(schedule="constant", **settings).fit(model, guide, players, rows, Budget(epochs, n))


@pytest.mark.parametrize("which", ["model", "guide"])
def test_a_player_changes_only_its_own_parameters(which):
    parts = {"model": curved_model(), "guide": amortized(3, Gaussian(1))}
    before = {k: values(m) for k, m in parts.items()}
    fit(**parts, players=[Player(Elbo(), list(parts[which].parameters()), Pathwise(2), SLOW)])
    assert {k for k, m in parts.items() if not same(before[k], values(m))} == {which}


def test_each_of_two_players_maximises_its_own_objective():
    """One alone, or beside another whose parameters do not bear on its objective: the same way."""
    biases = []
    for both in (False, True):
        model, guide = curved_model(), amortized(3, Gaussian(1))
        b = model.likelihood.net.layers[-1].bias
        mine = Player(
            CustomObjective(lambda draw, b=b: -b.square().sum().expand(len(draw.batch)), "pull"), [b], optimizer=SLOW
        )
        other = Player(-1.0 * Rate(), list(guide.parameters()), optimizer=SLOW)
        fit(model, guide, [mine, other] if both else [mine])
        biases.append(b.detach().clone())
    assert torch.equal(*biases)


def test_alternating_ascent_raises_the_bound_every_time():
    """phi, then theta, on a bound without noise and by small steps."""
    model, guide = curved_model(), amortized(3, Gaussian(1))
    phi = Player(Elbo(), list(guide.parameters()), Quadrature(16), SLOW, steps=2)
    theta = Player(Elbo(), list(model.parameters()), Quadrature(16), SLOW)
    bounds = torch.tensor([e.train.bound for e in fit(model, guide, [phi, theta], epochs=30).epochs])
    assert (bounds.diff() > 0).all()
    assert bounds[-1] - bounds[0] > 0.1


def test_a_player_takes_its_steps_each_turn():
    asked = []

    def note(name):
        return CustomObjective(lambda draw: asked.append(name) or draw.log_lik[0], name)

    model, guide = curved_model(), amortized(3, Gaussian(1))
    phi = Player(note("phi"), list(guide.parameters()), optimizer=SLOW, steps=2)
    theta = Player(note("theta"), list(model.parameters()), optimizer=SLOW, steps=3)
    history = fit(model, guide, [phi, theta], epochs=2)
    in_dry_run, asked = asked[:2], asked[2:]
    assert in_dry_run == ["phi", "theta"]
    assert asked == ["phi"] * 2 + ["theta"] * 3 + ["phi"] * 2 + ["theta"] * 3
    assert history.epochs[-1].step == 2


def test_a_later_player_sees_what_an_earlier_one_did():
    model, guide = curved_model(), amortized(3, Gaussian(1))
    b = model.likelihood.net.layers[-1].bias
    start, seen = b.detach().clone(), []
    move = Player(
        CustomObjective(lambda draw: b.sum().expand(len(draw.batch)), "move"), [b], optimizer=Optimizer("SGD", 1.0)
    )
    look = Player(
        CustomObjective(lambda draw: seen.append(b.detach().clone()) or draw.log_guide.sum(-1)[0], "look"),
        list(guide.parameters()),
        optimizer=SLOW,
    )
    fit(model, guide, [move, look], epochs=1)
    close(seen[0], start)  # the dry run
    close(seen[1], start + 1)


def test_a_closed_form_that_reaches_its_optimum_takes_one_epoch():
    model = linear_model(1, 4)
    history = fit(model, Exact(model), [Player(Elbo(), list(model.parameters()), closed=PrincipalComponents())], 50)
    assert (history.stopped.reason, history.stopped.epoch) == ("converged", 1)


def test_em_stops_when_it_no_longer_rises():
    model = mixture_model(2, 2)
    player = Player(ImportanceWeighted(), list(model.parameters()), Enumerate(), closed=MixtureEM())
    history = fit(model, Exact(model), [player], 500, 60)
    rises = torch.tensor([e.train.objective for e in history.epochs], dtype=torch.float64).diff()
    assert history.stopped.reason == "converged"
    assert 2 < history.stopped.epoch < 500
    assert (rises[:-1] >= 1e-8).all()  # the tolerance
    assert rises[-1] < 1e-8


def test_trained_parameters_are_those_that_need_a_gradient_once_each():
    free, fixed = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1), requires_grad=False)
    [only] = Player(Elbo(), [free, fixed, free]).trained
    assert only is free


def point() -> Deterministic:
    return Deterministic(MLP(4, 1, ()).double())


@pytest.mark.parametrize("objective", [Elbo(), Rate(), -Distortion() - 0.1 * Rate(), ImportanceWeighted()], ids=str)
def test_a_point_mass_is_refused_where_a_density_is_read(objective):
    model, guide = linear_model(1, 4), point()
    with pytest.raises(CompositionError, match="point mass") as caught:
        fit(model, guide, [Player(objective, list(model.parameters()))])
    assert caught.value.exit_code == 2


def test_combinations_that_train_nothing_are_refused():
    model = linear_model(1, 4)
    with pytest.raises(CompositionError, match="no player was given"):
        check_players(model, Exact(model), [])
    with pytest.raises(CompositionError, match="no parameters to train"):
        check_players(model, Exact(model), [Player(Elbo(), [model.prior.value])])
    with pytest.raises(CompositionError, match="MixtureEM does not fit"):
        check_players(model, Exact(model), [Player(Elbo(), list(model.parameters()), closed=MixtureEM())])
    coupled = CustomObjective(lambda draw: draw.z.sum((0, 2)), "coupled", coupled=True)
    with pytest.raises(CompositionError, match="wrong gradients for coupled"):
        check_players(model, Exact(model), [Player(coupled, list(model.parameters()), Quadrature(4))])
    check_players(model, point(), [Player(-Distortion(), list(model.parameters()))])
