"""Evaluations that several processes divide: every number is that of one process, to the bit."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import torch

from jensen.core.batch import Rows
from jensen.core.divided import divided
from jensen.core.processes import ALONE, Processes
from jensen.evaluate import (
    Annealed,
    Enumerated,
    Importance,
    Quadrature,
    Schedule,
    annealed,
    exact,
    importance,
    quadrature,
)
from jensen.evaluate.importance_plan import fitting_points
from jensen.families import Categorical, Gaussian
from jensen.models.model import LatentVariableModel
from tests.identities.models import amortized, curved_model, mixture_model, simulated
from tests.several import together

N, AT_ONCE = 11, 4  # rows, and how many of them at once: three pieces, of which the last one is smaller


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(importance, "NUMBERS", AT_ONCE * importance.widest(curved_model()))
    monkeypatch.setattr(annealed, "POINTS", AT_ONCE * 3)
    monkeypatch.setattr(quadrature, "ROWS", AT_ONCE)
    monkeypatch.setattr(exact, "ROWS", AT_ONCE)


def noisy(model: LatentVariableModel) -> Rows:
    """Rows that are prepared with noise, from the stream of their points."""
    x = simulated(model, N).x
    return Rows(x, lambda rows, noise: rows + 0.01 * torch.rand(rows.shape, dtype=rows.dtype, generator=noise))


def evaluations(processes: Processes) -> list[dict[str, Any]]:
    """Return what the methods that divide their rows find."""
    curved, mixture, guide = curved_model(), mixture_model(), amortized(3, Gaussian(1))
    data = noisy(curved)
    with divided(processes):
        found = [
            Importance(30)(curved, guide, data),
            Annealed(4, 2, 3)(curved, guide, data),
            Quadrature()(curved, guide, data),
            Enumerated()(mixture, amortized(2, Categorical(3)), noisy(mixture)),
        ]
    return [asdict(one) | {"kind": str(one.kind), "seconds": 0.0} for one in found]


def same(mine: Any, one: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return mine.dtype == one.dtype and torch.equal(mine.nan_to_num(-7.0), one.nan_to_num(-7.0))
    return mine == one


def test_every_number_is_that_of_one_process(small_pieces):
    expected = evaluations(ALONE)
    for answer in together(evaluations, 2):
        for mine, one in zip(answer, expected, strict=True):
            assert mine.keys() == one.keys()
            assert [name for name in one if not same(mine[name], one[name])] == []


def _decided(processes: Processes) -> list[Any]:
    """Return what two processes decide whose clocks differ: one has time, the other has none."""
    z = torch.zeros(1, 1, dtype=torch.float64)
    model, schedule = curved_model(), Schedule(1e6 if processes.is_first else 1e-9)
    with divided(processes):
        k, speed = fitting_points(model, amortized(3, Gaussian(1)), noisy(model), schedule)
        return [k, speed.row, speed.point, schedule.completes(lambda: model.likelihood.params(z), model)]


def test_the_first_process_decides_by_its_clock():
    first, second = together(_decided, 2)
    assert first == second
    assert first[0] == Importance.k
    assert first[-1] is True  # together nothing is given up
