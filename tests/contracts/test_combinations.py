"""Random combinations across the axes: each trains, or is refused before the loop with an error that names a remedy.

Thirty are drawn from the lists of members, by a seed that a failure names, of which some twelve train;
JENSEN_COMBINATIONS="7 200" takes another seed and another number of them.
"""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from jensen.core.batch import Rows
from jensen.core.errors import JensenError, UsageError
from jensen.core.modules import joined
from jensen.core.parts import build, spec_of
from jensen.core.random import drawing_from, stream
from jensen.estimators.base import GradientEstimator
from jensen.estimators.enumeration import Enumerate
from jensen.estimators.reparameterized import Pathwise
from jensen.evaluate import Enumerated, Importance
from jensen.evaluate import Exact as ExactEvidence
from jensen.evaluate import Quadrature as Integral
from jensen.evaluate.exact import number_of_states
from jensen.evaluate.quadrature import integrable
from jensen.families import Categorical
from jensen.guides import Exact
from jensen.models.conditionals import Conditional, Given
from jensen.models.guide import Guide
from jensen.models.model import LatentVariableModel
from jensen.models.posteriors import has_posterior
from jensen.nets import MLP
from jensen.objectives import CustomObjective, ImportanceWeighted, Objective
from jensen.recipes import BuiltModel
from jensen.runs.spec import _sentence
from jensen.storage.weights import read_weights, write_weights
from jensen.training import Budget, Optimizer, Player, Trainer
from tests.contracts.members import (
    ALL_COUPLED,
    ALL_ESTIMATORS,
    ALL_FAMILIES,
    ALL_GUIDES,
    ALL_OBJECTIVES,
    MODELS,
)
from tests.contracts.supports import innermost, inside

SEED, NUMBER = map(int, os.environ.get("JENSEN_COMBINATIONS", "0 30").split())
N = 9  # as many as a table of one guide per datum has rows
K = 64


@dataclass(frozen=True)
class Combination:
    """One choice along each axis."""

    model: LatentVariableModel
    guide: Guide
    estimator: GradientEstimator
    objective: Objective

    def player(self) -> Player:
        own = dict.fromkeys([*self.model.parameters(), *self.guide.parameters()])
        return Player(self.objective, list(own), self.estimator, Optimizer("Adam", 1e-3))

    def sentence(self) -> str:
        return _sentence(BuiltModel(self.model, self.guide, [self.player()]))


def fresh(*parts) -> list:
    """Copies of parts that are shared by all tests, with new weights; what they share they still share."""
    custom = {p.name: p.f for p in parts if isinstance(p, CustomObjective)}
    with drawing_from(stream(SEED, "fresh")):
        return build(json.loads(json.dumps(spec_of(*parts))), custom)


def likelihoods(latent: int) -> list[Conditional]:
    """Every family as a likelihood, and those of the listed models that take as many latent features."""
    nets = [Given(MLP(latent, f.size - f.shared, (4,)), f) for f in ALL_FAMILIES if latent]
    return [*nets, *(m.likelihood for m in MODELS.values() if m.latent == latent)]


def combined(seed: int, number: int) -> Combination:
    """A random combination; most agree on the number of latent features, or that would hide what else is wrong."""
    rng = random.Random(f"{seed}:{number}")
    prior = rng.choice([m.prior for m in MODELS.values()])
    latent = prior.family.dim if rng.random() < 0.9 else rng.choice([2, 4])
    likelihood = rng.choice(likelihoods(latent))
    served = {name for name, m in MODELS.items() if m.latent == prior.family.dim}
    guides = [g for g, names in ALL_GUIDES if served & set(names)] if rng.random() < 0.9 else [g for g, _ in ALL_GUIDES]
    model, guide = LatentVariableModel(prior, likelihood), rng.choice(guides)
    if isinstance(guide, Exact) and rng.random() < 0.8:  # of another model
        others = [g for g in guides if not isinstance(g, Exact)]
        guide = Exact(model) if has_posterior(prior, likelihood) else rng.choice(others or guides)
    objective = rng.choice([*ALL_OBJECTIVES, *ALL_COUPLED])
    suitable = [e for e in ALL_ESTIMATORS if all(e.suits(term) for _, term in objective.terms)]
    estimator = rng.choice(suitable if rng.random() < 0.8 else ALL_ESTIMATORS)
    if rng.random() < 0.6:  # most guides can be drawn from in one or two ways
        estimator = Enumerate() if number_of_states(model) else Pathwise(4)
    parts = fresh(model, guide, estimator, objective)
    return Combination(parts[0].double(), parts[1].double(), *parts[2:])


def rows_for(model: LatentVariableModel) -> Rows:
    """A few rows in the support of the likelihood."""
    family, noise = model.likelihood.family, stream(SEED, "rows")
    if isinstance(innermost(family), Categorical):
        return Rows(torch.eye(family.dim, dtype=torch.float64)[torch.randint(family.dim, (N,), generator=noise)])
    bits = torch.bernoulli(torch.full((N, family.dim), 0.4, dtype=torch.float64), generator=noise)
    return Rows(inside(family, bits))


def outcome(parts: Combination, data: Rows) -> JensenError | None:
    """Train for a few steps; the refusal, if there is one, came before the loop, and nothing had changed."""
    module, events = joined(parts.model, parts.guide), []
    before = {k: v.clone() for k, v in module.state_dict().items()}
    trainer = Trainer(seed=1, listeners=[events.append])
    refusal = None
    try:
        trainer.fit(parts.model, parts.guide, [parts.player()], data, Budget(3, 4), data)
    except UsageError as error:
        refusal = error
    if refusal is None:
        assert len(events) > 2
        assert all(v.isfinite().all() for v in module.state_dict().values())
        return None
    assert events == [], f"{refusal} came from within the loop"
    assert refusal.remedy
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    return refusal


def exact(model: LatentVariableModel, guide: Guide, data: Rows) -> tuple[float, float] | None:
    """The mean evidence and its error in nats; None where it is not known."""
    if has_posterior(model.prior, model.likelihood):
        return ExactEvidence()(model, Exact(model), data).mean, 1e-9
    if number_of_states(model) is not None:
        return Enumerated()(model, guide, data).mean, 1e-9
    if not integrable(model):
        return None
    integral = Integral()(model, guide, data)
    return integral.mean, integral.error


def check_bound(parts: Combination, data: Rows) -> bool:
    """The bound of K points is no more than four standard errors above the evidence; whether that could be seen."""
    model, guide = parts.model, parts.guide
    evidence = exact(model, guide, data)
    batch, noise = data.take(torch.arange(N)), stream(4, "bound")
    means = torch.stack([ImportanceWeighted()(Pathwise(K).draw(model, guide, batch, noise)).mean() for _ in range(24)])
    assert means.isfinite().all()
    if evidence is None:
        return False
    margin = 4 * float(means.std()) / len(means) ** 0.5 + evidence[1] + 1e-6
    assert float(means.mean()) <= evidence[0] + margin
    if isinstance(parts.estimator, Enumerate):  # every state, so that it is the evidence itself
        whole = ImportanceWeighted()(parts.estimator.draw(model, guide, batch)).mean()
        assert abs(float(whole) - evidence[0]) < 1e-6
    return True


def check_again(parts: Combination, data: Rows, folder: Path) -> None:
    """A combination that is recorded and rebuilt has the same sentence, and gives the same numbers."""
    nodes = json.loads(json.dumps(spec_of(parts.model, parts.guide)))
    write_weights(folder, joined(parts.model, parts.guide), nodes, None)
    again = Combination(*fresh(parts.model, parts.guide, parts.estimator, parts.objective))
    assert again.sentence() == parts.sentence()
    assert spec_of(again.model, again.guide) == nodes
    again.model.double()
    again.guide.double()
    read_weights(folder, joined(again.model, again.guide), nodes)
    for each in (parts, again):
        each.model.eval()
        each.guide.eval()
    batch = data.take(torch.arange(N))
    with torch.no_grad():
        draws = [Pathwise(2).draw(p.model, p.guide, batch, stream(3, "again")) for p in (parts, again)]
        assert torch.equal(draws[0].log_lik, draws[1].log_lik)
        if parts.guide.has_density:
            nats = [Importance(8)(p.model, p.guide, data, 5).nats for p in (parts, again)]
            assert torch.equal(*nats)


@pytest.mark.parametrize("number", range(NUMBER))
@pytest.mark.sampled(10)
def test_a_combination_trains_or_is_refused(number, tmp_path):
    parts = combined(SEED, number)
    combination = f"combination {number} of seed {SEED}: {parts.sentence()}"
    print(combination)
    data = rows_for(parts.model)
    refusal = outcome(parts, data)
    if refusal is not None:
        print(f"refused: {refusal}")
        return
    with torch.no_grad():
        seen = parts.guide.has_density and check_bound(parts, data)
    print("trained" + (", and its bound is below the evidence" if seen else ""))
    check_again(parts, data, tmp_path)
