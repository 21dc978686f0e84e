"""The number of threads that there can be, and the caller's number after a scope."""

from __future__ import annotations

import pytest
import torch

from jensen.core import threads
from jensen.core.threads import planned_threads, restored_threads, thread_numbers

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("most", "numbers"),
    [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (4, [1, 2, 4]), (6, [1, 2, 4, 6]), (64, [1, 2, 4, 8, 16, 32, 64])],
)
def test_powers_of_two_up_to_the_largest(most, numbers):
    assert thread_numbers(most) == numbers


def fail_with(number: int) -> None:
    with restored_threads():
        torch.set_num_threads(number)
        assert torch.get_num_threads() == number
        raise ZeroDivisionError


def test_the_callers_number_is_restored_after_errors_too():
    before = torch.get_num_threads()
    with restored_threads():
        torch.set_num_threads(before + 2)
        with pytest.raises(ZeroDivisionError):
            fail_with(before + 3)
        assert torch.get_num_threads() == before + 2
    assert torch.get_num_threads() == before


@pytest.fixture
def eight(monkeypatch):
    """A machine with eight processors."""
    monkeypatch.setattr(threads, "processors", lambda: 8)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)


@pytest.mark.parametrize(
    ("asked", "own", "local", "expected"),
    [
        ("auto", 8, None, 8),
        ("auto", 16, None, 8),
        ("auto", 3, None, 3),  # OMP_NUM_THREADS, or torch.set_num_threads
        ("auto", 8, "2", 4),  # two processes of torchrun
        ("auto", 1, "2", 1),  # with the one thread that torchrun gives each
        ("auto", 8, "16", 1),
        (2, 1, None, 2),
        (16, 1, None, 8),
    ],
)
def test_planned(asked, own, local, expected, eight, monkeypatch):
    monkeypatch.setattr(threads.torch, "get_num_threads", lambda: own)
    if local is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", local)
    assert planned_threads(asked, CPU) == expected


def test_an_accelerator_leaves_the_number_alone(eight, monkeypatch):
    monkeypatch.setattr(threads.torch, "get_num_threads", lambda: 16)
    assert planned_threads("auto", torch.device("meta")) == 16
