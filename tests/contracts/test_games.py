"""Terms with a critic, and families that only sample, against what every objective and family promises."""

from __future__ import annotations

import json

import pytest
import torch

from jensen.core.batch import Batch
from jensen.core.errors import NotNormalised, UsageError
from jensen.core.parts import build, spec_of
from jensen.core.random import stream
from jensen.estimators.enumeration import Enumerate
from jensen.estimators.quadrature import Quadrature
from jensen.estimators.reparameterized import Pathwise
from jensen.estimators.score import Score
from jensen.families import Implicit
from jensen.guides import Amortized, Deterministic
from jensen.models.draw import Draw, weigh
from jensen.objectives import TermKind
from tests.contracts.members import ALL_GUIDES, GAMES, MODELS, SAMPLERS

X = torch.tensor([[0, 1, 1], [1, 0, 1], [0, 0, 0], [1, 1, 1], [1, 0, 0]], dtype=torch.float64)
GUIDES = [g for g, names in ALL_GUIDES if "network" in names and isinstance(g, Amortized | Deterministic)][:2]
EACH = pytest.mark.parametrize("objective", GAMES, ids=str)


def draws() -> list[Draw]:
    """Return draws of points with and without a density, and of a rule's nodes."""
    monte_carlo = [Pathwise(3).draw(MODELS["network"], g, Batch(X), stream(0, "noise")) for g in GUIDES]
    return [*monte_carlo, Quadrature(5).draw(MODELS["network"], GUIDES[0], Batch(X), stream(0, "noise"))]


@EACH
def test_a_term_of_a_game_is_a_number_for_every_datum(objective):
    """[B], finite, the same with and without gradients; alone, where it says that it looks at each datum alone."""
    for draw in draws():
        value = objective(draw)
        assert value.shape == (5,)
        assert torch.isfinite(value).all()
        with torch.no_grad():
            torch.testing.assert_close(objective(draw), value.detach(), rtol=1e-12, atol=1e-12)
        if objective.kind is not TermKind.PER_DATUM:
            continue
        one, guide = Batch(X[2:3]), GUIDES[1] if draw.mass else GUIDES[0]
        measure = None if draw.measure is None else draw.log_measure[:, 2:3]
        alone = weigh(MODELS["network"], guide(one), draw.z[:, 2:3], one, measure, mass=draw.mass)
        torch.testing.assert_close(objective(alone), value[2:3], rtol=1e-9, atol=1e-9)


@EACH
def test_a_term_of_a_game_needs_no_density(objective):
    assert not objective.needs_density
    assert not objective.needs_likelihood
    assert Pathwise().suits(objective)
    assert Enumerate().suits(objective) == Score(2).suits(objective) == (objective.kind is TermKind.PER_DATUM)


@EACH
def test_a_term_of_a_game_is_written_down_with_its_critic(objective):
    again = build(json.loads(json.dumps(spec_of(objective))))[0]
    assert type(again) is type(objective)
    assert str(again) == str(objective)
    own, theirs = (dict(o.critic.named_parameters()) for o in (objective, again))
    assert {k: p.shape for k, p in own.items()} == {k: p.shape for k, p in theirs.items()}


def test_a_score_gradient_of_a_game_is_that_of_the_path():
    """The gradient is of the mean over 800 points by the guide, within six errors (of seven degrees of freedom)."""
    guide, objective = GUIDES[0], GAMES[7]  # LogRatio
    parameters = list(guide.parameters())

    def gradients(estimator, n: int) -> torch.Tensor:
        gradients = []
        for i in range(n):
            draw = estimator.draw(MODELS["network"], guide, Batch(X), stream(i, "noise"))
            grads = torch.autograd.grad(estimator.surrogate(objective, draw).mean(), parameters)
            gradients.append(torch.cat([g.flatten() for g in grads]))
        return torch.stack(gradients)

    path, score = gradients(Pathwise(100), 8), gradients(Score(100), 8)
    error = ((path.var(0) + score.var(0)) / 8).sqrt()
    assert ((path.mean(0) - score.mean(0)).abs() <= 6 * error + 1e-12).all()


@pytest.mark.parametrize("family", SAMPLERS, ids=str)
def test_a_sampler_samples_and_never_scores(family):
    params = torch.randn(4, family.size, dtype=torch.float64, generator=stream(0, "params"))
    d = family(params)
    assert d.batch_shape == (4,)
    assert d.event_shape == (family.dim,)
    assert torch.equal(d.sample((2,)), d.mean.expand(2, -1, -1))
    assert not family.has_density
    with pytest.raises(NotNormalised, match="no density") as error:
        family.log_prob(params, torch.zeros(4, 3))
    assert error.value.remedy
    assert build(spec_of(family))[0] == family
    mean = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    torch.testing.assert_close(family(family.start(mean)).mean, mean)
    assert torch.isfinite(family(torch.full((3,), 1e30)).mean).all()


def test_a_range_is_kept():
    family = Implicit(2, -1.0, 3.0)
    ends = family(torch.tensor([[-1e3, 1e3], [0.0, 0.0]])).mean
    assert torch.equal(ends, torch.tensor([[-1.0, 3.0], [1.0, 1.0]]))
    for low, high in ((0.0, None), (None, 1.0), (1.0, 1.0), (2.0, 1.0)):
        with pytest.raises(UsageError, match=f"^low must be below high, and both finite, got {low} and {high}"):
            Implicit(2, low, high)
