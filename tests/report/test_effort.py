"""The effort of a report is counted, not timed: multiplications of layers as they run, against formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import jensen
from jensen.report.effort import CONVOLUTION, PER_VALUE, Effort, Work, affordable, work_of
from jensen.report.facts import gather, some

TRAIN = {"epochs": 1, "checkpoints": 0}


def made(folder, x, **options):
    np.save(folder / "x.npy", x)
    run = jensen.train(folder / "x.npy", out=folder / "run", **TRAIN, **options)
    return run, work_of(run.model, run.guide, run.part("test").rows)


def test_a_perceptron(tmp_path):
    """inputs x outputs of each layer: 3-30-20-2*6 for a point, 6-20-30-2*3 for a row."""
    x = np.random.default_rng(0).normal(size=(60, 6))
    _, work = made(tmp_path, x, latent=3, hidden=(20, 30))
    assert work.row == 6 * 20 + 20 * 30 + 30 * 6
    assert work.point == 3 * 30 + 30 * 20 + 20 * 12 + PER_VALUE * 6


def test_a_mixture_is_a_table(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 4))
    _, work = made(tmp_path, x, recipe="ppca", latent=2)
    assert work.point >= PER_VALUE * 4


def test_convolutions_count_every_place(tmp_path):
    """More than their weights, which are used at many places of an image."""
    x = (255 * np.random.default_rng(0).random((60, 16, 16))).astype(np.uint8)
    run, work = made(tmp_path, x, latent=2, net="conv", width=8)
    weights = sum(p.numel() for p in run.model.likelihood.parameters())
    assert work.point - PER_VALUE * 256 > 3 * weights
    layers = [m for m in run.guide.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    sizes = {}
    hooks = [m.register_forward_hook(lambda m, _, y: sizes.update({m: y[0].numel()})) for m in layers]
    run.guide(run.part("test").rows.take(torch.arange(1)))
    for hook in hooks:
        hook.remove()
    cost = {torch.nn.Linear: 1.0, torch.nn.Conv2d: CONVOLUTION}
    assert work.row == sum(cost[type(m)] * m.weight[0].numel() * n for m, n in sizes.items())


@pytest.mark.parametrize("n", [5, 180, 5000])
@pytest.mark.parametrize("budget", [1e6, 1e9, 1e12])
def test_the_budget_is_kept_where_the_least_effort_allows(budget, n):
    work, most, least = Work(1e4, 1e5), Effort(1000, 1000), Effort(50, 20)
    effort = affordable(budget, work, n, most, least)
    assert 1 <= effort.rows <= min(n, most.rows)
    assert least.points <= effort.points <= most.points
    spent = effort.rows * (work.row + effort.points * work.point)
    assert spent <= max(budget, min(n, least.rows) * (work.row + least.points * work.point))


def test_some_of_many():
    assert some(500, 2000, "row") == "500 of 2,000 rows"
    assert some(41, 41, "row") == "41 rows"


@pytest.mark.usefixtures("unrendered")
def test_a_quick_report_spends_less(run, monkeypatch):
    from jensen.report import facts

    monkeypatch.setattr(facts, "EVALUATING", 1e6)
    monkeypatch.setattr(facts, "stored_evaluation", lambda run: None)
    whole, quick = gather(run, True), gather(run, True, quick=True)
    assert quick.evaluation["k"] <= whole.evaluation["k"]
    assert quick.diagnosis is None
    assert quick.along is None
    assert whole.diagnosis is not None
