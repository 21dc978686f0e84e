"""Classes that are known of some data: clamped guides, their bounds by hand, and the classifier's own term."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jensen.core.batch import Batch
from jensen.core.errors import CompositionError
from jensen.core.random import drawing_from, stream
from jensen.distributions import Clamped
from jensen.estimators.by_group import ByGroup
from jensen.estimators.enumeration import Enumerate
from jensen.estimators.reparameterized import Pathwise
from jensen.families import Bernoulli, Categorical, Gaussian, Grouped
from jensen.guides import Amortized, Labelled, Structured
from jensen.models.conditionals import Given, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from jensen.objectives import Classification, Distortion, Elbo, ImportanceWeighted, Rate
from tests.identities.models import close, scrambled

ONE = torch.eye(3, dtype=torch.float64)
X = torch.tensor([[0, 1, 1, 0], [1, 0, 1, 1], [0, 0, 0, 1]], dtype=torch.float64)
KNOWN = torch.stack([ONE[2], torch.zeros(3).double(), ONE[0]])


def pair() -> tuple[LatentVariableModel, Structured]:
    """Three classes and two real features; x is four bits."""
    with drawing_from(stream(0, "labelled")):
        latent = Unconditional(Grouped((Categorical(3), Gaussian(2))), learn=True)
        model = LatentVariableModel(latent, Given(MLP(5, 4, (4,)), Bernoulli(4)))
        first = Labelled(Given(MLP(4, 3, (4,)), Categorical(3)))
        guide = Structured(first, Given(MLP(5 + 3, 4, (4,)), Gaussian(2)), MLP(4, 5, (4,)))
    return scrambled(model, "labelled model"), scrambled(guide, "labelled guide")


HOW = ByGroup((Enumerate(), Pathwise(3)))


def test_a_bound_by_hand():
    """A known class gives log p(x, y, z) - log q(z | x, y), an unknown one its mean over q(y | x) and the entropy."""
    model, guide = pair()
    draw = HOW.draw(model, guide, Batch(X, context=KNOWN), stream(0, "points"))
    value = Elbo()(draw)
    log_q_y = guide.first.logits(X)
    for i in range(3):
        total = torch.zeros(()).double()
        share = KNOWN[i] if KNOWN[i].any() else log_q_y[i].exp()
        for y in range(3):
            # the points of this class, among all combinations
            mine = [z for z in draw.z[:, i] if z[y] == 1]
            assert len(mine) == 3
            x = X[i : i + 1]
            features_and_class = torch.cat([guide.features(x), ONE[y][None]], -1)
            each = []
            for z in mine:
                log_lik = model.likelihood(z[None]).log_prob(x)
                log_q = guide.then(features_and_class).log_prob(z[None, 3:])
                each.append(log_lik + model.prior.log_prob(z[None]) - log_q)
            inner = torch.cat(each).mean()
            if share[y] > 0:
                total = total + share[y] * (inner - (0 if KNOWN[i].any() else log_q_y[i, y]))
        close(value[i], total)


def test_one_state_is_scored_for_all_data_and_each_datum_at_all_states():
    """[C, 1, C] states against a batch [3, C], as in the matrix of all densities."""
    _, guide = pair()
    q = guide.first(Batch(X, context=KNOWN))
    assert torch.equal(q.log_prob(ONE[:, None]), q.logits.T)


def test_labels_that_nobody_knows_leave_the_bound_as_it_is():
    model, guide = pair()
    plain = Elbo()(HOW.draw(model, guide, Batch(X), stream(0, "points")))
    blank = Elbo()(HOW.draw(model, guide, Batch(X, context=torch.zeros(3, 3).double()), stream(0, "points")))
    assert torch.equal(plain, blank)


def test_an_enumerated_evidence_is_that_of_x_whatever_is_known():
    """The guide cancels in a sum over all states, and known classes with it: log p(x), not log p(x, y)."""
    model, guide = pair()
    free, labelled = (
        ImportanceWeighted()(HOW.draw(model, guide, Batch(X, context=known), stream(0, "points")))
        for known in (None, ONE)
    )
    close(labelled, free)


def test_the_classifiers_term():
    """log q(y | x) of what is known, and gradients for the classifier alone."""
    model, guide = pair()
    draw = HOW.draw(model, guide, Batch(X, context=KNOWN), stream(0, "points"))
    log_q = guide.first.logits(X)
    value = Classification()(draw)
    close(value, torch.stack([log_q[0, 2], torch.zeros(()).double(), log_q[2, 0]]))
    value.sum().backward()
    assert all(p.grad is None for p in model.parameters())
    assert all((p.grad is not None) == name.startswith("first") for name, p in guide.named_parameters())


def test_a_known_class_does_not_train_the_classifier_through_the_bound():
    """And nothing that is ruled out leaves a NaN: the bound has its gradient without the term."""
    model, guide = pair()
    aim = -Distortion() - Rate()
    draw = HOW.draw(model, guide, Batch(X[:1], context=KNOWN[:1]), stream(0, "points"))
    aim(draw).sum().backward()
    for name, p in guide.named_parameters():
        if name.startswith("first"):
            assert p.grad is None or not p.grad.any()
        else:
            assert torch.isfinite(p.grad).all()
            assert p.grad.any()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_gradients_of_a_mixed_batch_are_those_of_its_rows():
    """A row of known class beside others changes nothing of theirs: the bound by the states of the class alone."""
    _, guide = pair()
    lonely = LatentVariableModel(
        Unconditional(Categorical(3), learn=True), Given(MLP(3, 4, (4,)), Bernoulli(4))
    ).double()

    def gradient(rows: slice) -> Tensor:
        guide.zero_grad()
        batch = Batch(X[rows], context=KNOWN[rows])
        (Elbo() + 2 * Classification())(Enumerate().draw(lonely, guide.first, batch)).sum().backward()
        return torch.cat([p.grad.flatten() for p in guide.first.parameters()])

    whole = gradient(slice(None))
    assert torch.isfinite(whole).all()
    close(whole, gradient(slice(0, 1)) + gradient(slice(1, 2)) + gradient(slice(2, 3)))


def test_clamped():
    logits = torch.randn(2, 3, generator=stream(0, "logits")).double()
    q = Clamped(logits, torch.stack([ONE[1], torch.zeros(3).double()]))
    close(q.probs[0], ONE[1])
    close(q.probs[1], torch.softmax(logits[1], -1))
    assert q.log_prob(ONE[0].expand(2, -1))[0] == -torch.inf
    close(q.log_prob(ONE[1].expand(2, -1))[0], 0.0)
    assert (q.sample((20,))[:, 0] == ONE[1]).all()
    again = q.expand((4, 2))
    assert again.batch_shape == (4, 2)
    close(again.probs[2], q.probs)


def test_what_has_no_classes_is_refused():
    with pytest.raises(CompositionError, match="Categorical"):
        Labelled(Given(MLP(4, 6, (4,)), Gaussian(3)))
    model = LatentVariableModel(Unconditional(Gaussian(2)), Given(MLP(2, 4, (4,)), Bernoulli(4))).double()
    guide = Amortized(Given(MLP(4, 4, (4,)), Gaussian(2))).double()
    with pytest.raises(CompositionError, match="Labelled"):
        Classification()(Pathwise().draw(model, guide, Batch(X), stream(0, "points")))
