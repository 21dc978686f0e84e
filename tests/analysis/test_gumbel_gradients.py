"""The workbench of gradients on a relaxation: its bias is told, whether or not its states can be summed."""

from __future__ import annotations

import torch

from jensen.analysis import gradients
from jensen.analysis.gradients import compare_gradients
from jensen.core.batch import Batch
from jensen.core.random import drawing_from, stream
from jensen.estimators.reparameterized import Pathwise
from jensen.estimators.score import Score
from jensen.families import Bernoulli, OneHots
from jensen.guides import Amortized
from jensen.models.conditionals import Given, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from tests.identities.models import scrambled

X = torch.tensor([[0, 1, 1, 0], [1, 0, 1, 1], [0, 0, 0, 1], [1, 1, 1, 1]], dtype=torch.float64)


def found() -> gradients.GradientComparison:
    relaxed = OneHots(2, 3, temperature=0.7)
    with drawing_from(stream(0, "relaxed")):
        model = LatentVariableModel(Unconditional(OneHots(2, 3)), Given(MLP(6, 4, (5,)), Bernoulli(4)))
        guide = Amortized(Given(MLP(4, relaxed.size, (5,)), relaxed))
    pair = scrambled(model, "relaxed model"), scrambled(guide, "relaxed guide")
    return compare_gradients(*pair, Batch(X), repeats=48)


def test_the_bias_of_a_relaxation_is_told_without_a_sum_over_states(monkeypatch):
    """The reference is then the score function's: both say the same of the path, within 4 standard errors."""
    exact = found()
    assert exact.reference == "Enumerate(), without noise"
    monkeypatch.setattr(gradients, "_candidates", lambda objective, points: [Pathwise(), Score(2)])
    scored = found()
    assert scored.reference == "the mean of 192 draws of Score(k=32)"
    for told in (exact, scored):
        path = told.measured[0]
        assert (path.estimator, path.biased) == ("Pathwise(k=1)", True)
        assert abs(path.guide.bias) > 4 * path.guide.bias_stderr
        assert told.recommended != "Pathwise(k=1)"
    ours, theirs = exact.measured[0].guide, scored.measured[0].guide
    assert abs(ours.bias - theirs.bias) < 4 * (ours.bias_stderr**2 + theirs.bias_stderr**2) ** 0.5
    assert not next(m for m in scored.measured if m.estimator == "Score(k=2)").biased
