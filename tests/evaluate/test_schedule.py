"""A budget of time on a clock of one's own: what fits, what was left out, and progress that never falls."""

from __future__ import annotations

import pytest

from jensen.evaluate import Schedule
from tests.evaluate.instance import instance


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_fits_has_a_tenth_to_spare():
    clock = Clock()
    schedule = Schedule(11.0, clock=clock)
    assert schedule.fits(10.0)
    assert not schedule.fits(10.01)
    clock.now += 5.5
    assert (schedule.spent, schedule.left) == (5.5, 5.5)
    assert schedule.fits(5.0)
    clock.now += 100
    assert schedule.left == 0.0
    assert not schedule.fits(0.1)


def test_without_a_budget_everything_fits():
    schedule = Schedule()
    assert schedule.fits(1e9)
    assert schedule.left == float("inf")


def test_progress_is_that_of_the_whole_and_never_falls():
    clock, done = Clock(), []
    schedule = Schedule(10.0, done.append, clock=clock)
    clock.now += 5
    schedule.progress(0.9)
    schedule.begin("a long one", 15.0)  # the whole is 20 s now
    clock.now += 10
    schedule.progress(0.1)
    clock.now += 100
    schedule.progress(0.2)
    assert done == [0.5, 0.5, 0.75, 1.0]


def test_without_a_budget_progress_is_that_of_the_phase():
    done = []
    schedule = Schedule(watch=done.append)
    schedule.begin("one")
    schedule.progress(0.7)
    schedule.begin("two")
    assert done == [0.0, 0.7, 0.0]


def test_what_was_left_out_is_told_once_with_a_budget_that_has_room():
    clock = Clock()
    schedule = Schedule(10.0, clock=clock)
    assert schedule.sentence is None
    clock.now += 4
    schedule.leave_out("gaps", 5.0)
    schedule.leave_out("gaps", 7.0)
    assert schedule.sentence == "left out for lack of time: gaps (about 5 s); --budget 12 has room for them"
    schedule.leave_out("training rows", 25.0, 100.0)
    # 4 s are spent, 5.5 s and 100 s must be left; with that budget the number may take a third of it
    # a quarter more is slack
    assert schedule.sentence.endswith("training rows (about 25 s); --budget 200 has room for them")


@pytest.mark.parametrize(("late", "is_done"), [(0.0, True), (10.4, True), (10.6, False), (50.0, False)])
def test_what_takes_too_long_is_given_up_at_the_next_look(late, is_done):
    """A twentieth over the budget; every evaluation of a network is a look."""
    given, clock, done = instance(n=8, dim=6, latent=2), Clock(), []
    schedule = Schedule(10.0, clock=clock)

    def work() -> None:
        given.model.likelihood(given.rows.stored[:, :2])
        clock.now += late
        given.model.likelihood(given.rows.stored[:, :2])
        done.append(True)

    assert schedule.completes(work, given.model) is is_done
    assert len(done) == is_done
    assert not any(module._forward_pre_hooks for module in given.model.modules())


def test_other_errors_pass_and_leave_no_hooks():
    given = instance(n=8, dim=6, latent=2)
    with pytest.raises(ZeroDivisionError):
        Schedule(1.0).completes(lambda: 1 / 0, given.model)
    assert not any(module._forward_pre_hooks for module in given.model.modules())
