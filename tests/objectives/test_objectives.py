"""The algebra of objectives: sums, multiples, ramps, and what they say of themselves."""

from __future__ import annotations

import pytest
import torch

from jensen.core.errors import UsageError
from jensen.core.random import stream
from jensen.estimators.reparameterized import Pathwise
from jensen.families import Gaussian
from jensen.objectives import (
    CustomObjective,
    Distortion,
    Elbo,
    ImportanceWeighted,
    Ramp,
    Rate,
    Sum,
    TermKind,
    rate_weight,
)
from tests.identities.models import amortized, close, linear_model, simulated


@pytest.fixture(scope="module")
def draw():
    model = linear_model(2)
    with torch.no_grad():
        return Pathwise(3).draw(model, amortized(5, Gaussian(2)), simulated(model, 4), stream(0, "noise"))


def test_sums_and_multiples_are_those_of_the_values(draw):
    a, b, c = Elbo(), Rate(), Distortion()
    close((a + b)(draw), a(draw) + b(draw))
    close((a - b)(draw), a(draw) - b(draw))
    close((-a)(draw), -a(draw))
    close((3 * a)(draw), 3 * a(draw))
    close((a * 3)(draw), 3 * a(draw))
    close((2 * (a - 3 * (b + c)))(draw), 2 * a(draw) - 6 * b(draw) - 6 * c(draw))


def test_a_sum_is_flat():
    assert (2 * (Elbo() - 3 * (Rate() + Distortion()))).terms == ((2, Elbo()), (-6, Rate()), (-6, Distortion()))
    assert isinstance(-Elbo(), Sum)


def test_a_ramp_changes_the_value_in_place(draw):
    ramp = Ramp(2.0, 10, 1.0)
    objective = Elbo() + ramp * Rate()
    weight = objective.terms[1][0]
    for step, beta in ((0, 1.0), (5, 1.5), (10, 2.0), (99, 2.0)):
        weight.advance(step)
        close(objective(draw), Elbo()(draw) + beta * Rate()(draw))


def test_a_ramp_of_no_steps_is_at_its_target():
    ramp = Ramp(2.0, 0)
    assert float(ramp.value) == 2
    ramp.advance(0)
    assert float(ramp.value) == 2


def test_a_ramp_is_scaled_but_not_ramped():
    assert (3 * (Ramp(2.0, 10, 1.0) * Rate())).terms == ((Ramp(6.0, 10, 3.0), Rate()),)
    assert (Ramp(2.0, 10) * (3 * Rate())).terms == ((Ramp(6.0, 10, 0.0), Rate()),)
    assert (-(Ramp(2.0, 10) * Rate())).terms == ((Ramp(-2.0, 10, -0.0), Rate()),)
    with pytest.raises(UsageError, match="Fold them into one"):
        Ramp(1.0, 5) * (Ramp(2.0, 10) * Rate())


def test_an_objective_is_its_own_record():
    assert str(Elbo()) == "Elbo"
    assert str(Elbo(4.0)) == "Elbo(beta=4)"
    assert str(-Distortion() - 4 * Rate()) == "-Distortion - 4 Rate"
    assert str(Elbo() + 0.5 * ImportanceWeighted()) == "Elbo + 0.5 ImportanceWeighted"
    assert str(-Distortion() + Ramp(-1.0, 100) * Rate()) == "-Distortion - (0 to 1 in 100 steps) Rate"
    assert str(-2 * CustomObjective(lambda d: d.log_lik[0], "mine")) == "-2 mine"


def test_rate_weight_is_the_effective_beta():
    assert rate_weight(Elbo()) == rate_weight(ImportanceWeighted()) == rate_weight(2 * Elbo()) == 1
    assert rate_weight(Elbo(4.0)) == rate_weight(-Distortion() - 4 * Rate()) == 4
    assert rate_weight(Elbo() - 0.5 * Rate()) == 1.5
    assert rate_weight(-Distortion()) == 0
    assert rate_weight(-1 * Rate()) is None
    objective = -Distortion() + -1 * (Ramp(2.0, 4) * Rate())
    assert rate_weight(objective) == 0
    objective.terms[1][0].advance(2)
    assert rate_weight(objective) == 1


def test_kinds():
    assert Elbo().kind is Rate().kind is Distortion().kind is TermKind.PER_DATUM
    assert ImportanceWeighted().kind is TermKind.IMPORTANCE_WEIGHTED
    assert CustomObjective(lambda d: d.log_lik[0], "a").kind is TermKind.PER_DATUM
    assert CustomObjective(lambda d: d.log_lik[0], "b", coupled=True).kind is TermKind.COUPLED
    assert not Distortion().needs_density
    assert Elbo().needs_density
    assert not CustomObjective(lambda d: d.log_lik[0], "c", reads_density=False).needs_density


def test_a_weight_of_zero_on_the_rate_leaves_the_distortion(draw):
    close(Elbo(0.0)(draw), -Distortion()(draw))
