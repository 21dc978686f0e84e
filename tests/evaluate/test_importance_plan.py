"""Points per datum in fixed steps: the most that take a third of the time left, by the measured speed."""

from __future__ import annotations

import pytest

from jensen.core.batch import Rows
from jensen.evaluate import Importance, Schedule, importance_plan
from jensen.evaluate.importance_plan import Speed, fitting_points
from tests.evaluate.instance import instance


@pytest.fixture(scope="module")
def given():
    return instance(n=120, dim=12, latent=3)


@pytest.fixture
def machine(monkeypatch):
    """A machine on which a row takes 2 ms, and each of its points a microsecond; the first call takes ten times as
    long."""
    now, calls = [0.0], []
    real = Importance.__call__

    def call(self, model, guide, data, *rest):
        calls.append((len(data), self.k))
        now[0] += len(data) * (2e-3 + self.k * 1e-6) * (10 if len(calls) == 1 else 1)
        return real(self, model, guide, data, *rest)

    monkeypatch.setattr(Importance, "__call__", call)
    return now, calls


def test_the_speed_is_that_of_the_machine(given, machine):
    now, calls = machine
    _, speed = fitting_points(given.model, given.guide, given.rows, Schedule(1e6, clock=lambda: now[0]))
    assert speed.row == pytest.approx(2e-3)
    assert speed.point == pytest.approx(1e-6)
    assert speed.seconds(120, 5000) == pytest.approx(0.24 + 0.6)
    assert len(calls) == 3
    assert sum(rows for rows, _ in calls) <= 3 * 64


@pytest.mark.parametrize(
    ("budget", "k"),
    # the trials take 1.6 s; then 120 rows take 0.84 s with 5000 points, 0.36 s with 1000, 0.252 s with 100
    [(1e6, 5000), (6.0, 5000), (4.0, 1000), (2.8, 100), (2.6, 10), (1e-3, 10)],
)
@pytest.mark.sampled(3)
def test_the_most_that_take_a_third(budget, k, given, machine):
    now, _ = machine
    found, _ = fitting_points(given.model, given.guide, given.rows, Schedule(budget, clock=lambda: now[0]))
    trials = now[0]
    assert found == k, trials


def test_a_single_row_is_timed_as_well(given):
    k, speed = fitting_points(given.model, given.guide, Rows(given.rows.stored[:1]), Schedule(1e6))
    assert k == 5000
    assert min(speed.row, speed.point) >= 0


def test_the_steps_begin_with_the_usual_number():
    assert (Importance().k, 1000, 100, 10) == importance_plan.STEPS
    assert Speed(0.5, 0.25).seconds(2, 4) == 3.0
