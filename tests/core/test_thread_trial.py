"""Trials by a clock that the work itself moves on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from jensen.core import thread_trial
from jensen.core.thread_trial import BLOCKS, MOST, ThreadTrial, try_threads, undisturbed_threads


class Machine:
    """Work that takes a given time with each number of threads, and its clock.

    Args:
        seconds: of a call, by number of threads and time.
    """

    def __init__(self, seconds: Callable[[int, float], float]) -> None:
        self.seconds, self.now, self.calls = seconds, 0.0, []

    def work(self) -> None:
        n = torch.get_num_threads()
        self.now += self.seconds(n, self.now)
        self.calls.append(n)

    def clock(self) -> float:
        return self.now


def trial_of(seconds: Callable[[int, float], float], numbers=(1, 2, 4), calls=10_000) -> tuple[ThreadTrial, Machine]:
    machine = Machine(seconds)
    return try_threads(machine.work, numbers, calls, machine.clock), machine


def test_the_fastest_is_best_and_the_callers_number_restored():
    before = torch.get_num_threads()
    trial, machine = trial_of(lambda n, now: 0.008 / (n + 1))
    assert trial.best() == 4
    assert torch.get_num_threads() == before
    assert {n: len(times) for n, times in trial.blocks.items()} == dict.fromkeys((4, 2, 1), BLOCKS)
    assert set(machine.calls) == {1, 2, 4}


def test_the_number_is_restored_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        try_threads(lambda: 1 // 0, (before + 1, before + 2), 100)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("gain", "best"), [(0.96, 1), (0.94, 2)])
def test_fewer_threads_are_taken_where_more_are_hardly_faster(gain, best):
    trial, _ = trial_of(lambda n, now: 0.001 if n == 1 else 0.001 * gain, numbers=(1, 2))
    assert trial.best() == best


def test_a_moment_of_disturbance_decides_nothing():
    """All work takes ten times as long for a fifth of the trial, whoever is measured then."""
    for start in (0.0, 0.01, 0.02, 0.03):
        trial, _ = trial_of(lambda n, now, at=start: (0.004 / n) * (10 if at <= now < at + 0.01 else 1))
        assert trial.best() == 4


def test_another_process_counts_although_a_block_now_and_then_meets_none():
    trial, _ = trial_of(lambda n, now: 0.001 if n == 1 else (0.0006 if now < 0.005 else 0.02), numbers=(1, 2))
    assert trial.best() == 1
    assert trial.is_disturbed(1)
    quiet, _ = trial_of(lambda n, now: 0.001 if n == 1 else 0.0012, numbers=(1, 2))
    assert not quiet.is_disturbed(1)


def test_what_is_hopeless_is_left_out_after_two_blocks():
    _, machine = trial_of(lambda n, now: 0.001 if n == 4 else 0.02)
    assert [machine.calls.count(n) for n in (1, 2, 4)] == [2, 2, 5 * BLOCKS]


@pytest.mark.parametrize(
    ("seconds", "calls", "longest"),
    [
        (0.001, 1, 0.07),  # a training of one step: a moment
        (0.1, 60, 0.3),  # a twentieth of six seconds
        (0.1, 10**6, MOST),
        (30.0, 10**6, 30.0),  # one step is longer than a trial may take: the most threads
    ],
)
def test_it_takes_no_longer_than_the_training_deserves(seconds, calls, longest):
    trial, machine = trial_of(lambda n, now: seconds, calls=calls)
    assert machine.now <= longest + 1e-6
    assert trial.best() == (4 if seconds == 30.0 else 1)


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [({1: [1.0], 4: [0.4]}, 4), ({1: [1.0], 4: [1.4]}, 4), ({1: [1.0], 4: [1.6]}, 1), ({1: [1.0], 4: [20.0]}, 1)],
)
def test_evaluation_keeps_the_number_unless_it_is_slowed_down(blocks, expected, monkeypatch):
    monkeypatch.setattr(thread_trial, "planned_threads", lambda asked, device: 4)
    monkeypatch.setattr(thread_trial, "try_threads", lambda work, numbers, calls: ThreadTrial(blocks))
    before = torch.get_num_threads()
    with undisturbed_threads(torch.device("cpu")):
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("device", "most"), [("cpu", 1), ("meta", 4)])
def test_where_there_is_no_choice_nothing_is_tried(device, most, monkeypatch):
    monkeypatch.setattr(thread_trial, "planned_threads", lambda asked, device: most)
    tried = []
    monkeypatch.setattr(thread_trial, "try_threads", lambda *a: tried.append(a))
    before = torch.get_num_threads()
    with undisturbed_threads(torch.device(device)):
        assert torch.get_num_threads() == (1 if device == "cpu" else before)
    assert tried == []
