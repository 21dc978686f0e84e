"""Sums through shared memory are those of gloo, to the bit, in all processes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed

from jensen.core import shared_memory
from jensen.core.errors import LostProcess
from jensen.core.processes import Processes
from jensen.core.random import stream
from jensen.core.shared_memory import WORTH, SharedSums
from tests.several import together

SIZES = (300, 20, 10, 301, 300, 700, 20, 300)  # rows of the larger tensor, of 64 numbers: below and above WORTH
SUMMED = [64 * (4 + 8) * n >= WORTH for n in SIZES]


def tensors(rank: int, rows: int) -> list[Tensor]:
    """Tensors of two types and several shapes, one of them in another order in memory, one empty."""
    noise = stream(rows, f"of {rank}")
    first = torch.randn(rows, 64, generator=noise)
    second = torch.randn(64, rows, dtype=torch.float64, generator=noise).t()
    return [first, second, torch.randn((), generator=noise), torch.zeros(0, 3), torch.randn(3, 5, generator=noise)]


def by_gloo(some: Sequence[Tensor]) -> list[Tensor]:
    copies = [t.contiguous().clone() for t in some]
    for tensor in copies:
        distributed.all_reduce(tensor)
    return copies


def in_order(rows: int, size: int) -> list[Tensor]:
    totals = tensors(0, rows)
    for rank in range(1, size):
        totals = [total + other for total, other in zip(totals, tensors(rank, rows), strict=True)]
    return totals


def same(some: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    return all(a.equal(b) and a.dtype == b.dtype for a, b in zip(some, others, strict=True))


def _sums(processes: Processes) -> dict[str, Any]:
    sums = SharedSums(processes.rank, processes.size, processes.sum_)
    done, equal = [], []
    for rows in SIZES:
        mine = tensors(processes.rank, rows)
        expected = by_gloo(mine)
        done.append(sums.sum_all(mine))
        equal.append(same(mine, expected if done[-1] else tensors(processes.rank, rows)))
    leaf = torch.full((WORTH,), 2.0, requires_grad=True)
    carrying = leaf * (processes.rank + 1)
    sums.sum_all([carrying])
    carrying.sum().backward()
    files = [os.readlink(f) for f in Path("/proc/self/fd").iterdir() if f.is_symlink()]
    return {
        "done": done,
        "equal": equal,
        "carrying": carrying.detach()[:2].clone(),
        "gradient": None if leaf.grad is None else float(leaf.grad.abs().sum()),
        "open": [name for name in files if "jensen" in name],
        "refused": sums.refused,
    }


def test_sums_are_those_of_gloo_whatever_the_sizes():
    assert SUMMED == [True, False, False, True, True, True, False, True]
    for answer in together(_sums):
        assert answer["done"] == SUMMED
        assert all(answer["equal"])
        assert answer["carrying"].tolist() == [6.0, 6.0]
        assert not answer["gradient"]  # replaced, as by the copy of a sum
        assert answer["open"] == ["/memfd:jensen (deleted)"]  # the smaller ones before are closed
        assert not answer["refused"]


def _ordered(processes: Processes) -> list[bool]:
    sums = SharedSums(processes.rank, processes.size, processes.sum_)
    answers = []
    for rows in (300, 301, 300, 299):
        mine = tensors(processes.rank, rows)
        answers.append(sums.sum_all(mine) and same(mine, in_order(rows, processes.size)))
    return answers


@pytest.mark.parametrize("many", [2, 4])
def test_several_processes_sum_in_their_order_each_all_or_a_part(monkeypatch, many):
    monkeypatch.setattr(shared_memory, "MANY", many)
    assert together(_ordered, size=3) == [[True] * 4] * 3


def _refused(processes: Processes) -> list[bool]:
    sums = SharedSums(processes.rank, processes.size, processes.sum_)
    shared = Processes(processes.rank, processes.size, shared=sums)
    mine = tensors(processes.rank, 300)
    expected = by_gloo(mine)
    shared.sum_all(mine)
    return [sums.refused, sums.sum_all(mine), same(mine, expected)]


def refuse(*_: object) -> None:
    raise PermissionError


@pytest.mark.parametrize("what", ["none", "small", "one", "another"])
def test_what_one_process_cannot_have_all_sum_by_gloo(monkeypatch, tmp_path, what):
    if what == "none":
        monkeypatch.setattr(shared_memory, "_memory_file", refuse)
        monkeypatch.setattr(shared_memory, "FOLDER", f"{tmp_path}/missing")
    elif what == "small":
        monkeypatch.setattr(os, "posix_fallocate", refuse)
    elif what == "one":
        mapped = shared_memory._mapped

        def only_process_0(path: str, identity: Sequence[int], size: int) -> Tensor | None:
            return mapped(path, identity, size) if f"/{os.getpid()}/" in path else None  # whose file it is

        monkeypatch.setattr(shared_memory, "_mapped", only_process_0)
    else:
        identity = shared_memory._identity
        monkeypatch.setattr(shared_memory, "_identity", lambda file: [*identity(file)[:1], os.getpid()])
    assert together(_refused) == [[True, False, True]] * 2


def test_a_removed_file_stands_in_for_memory_without_a_name(monkeypatch):
    monkeypatch.setattr(shared_memory, "_memory_file", refuse)
    assert together(_ordered) == [[True] * 4] * 2
    assert not list(Path(shared_memory.FOLDER).glob("jensen-*"))


def test_more_than_a_share_of_the_memory_is_not_taken(monkeypatch):
    monkeypatch.setattr(shared_memory, "available_memory", lambda: 1000)
    assert shared_memory._made(501) is None
    file = shared_memory._made(500)
    assert file is not None
    assert os.fstat(file).st_size == 500
    os.close(file)


def _lose(processes: Processes) -> str:
    shared = Processes(processes.rank, processes.size, shared=SharedSums(processes.rank, 2, processes.sum_))
    mine = tensors(processes.rank, 300)
    shared.sum_all(mine)
    if processes.rank == 1:
        os._exit(0)
    try:
        shared.sum_all(mine)
    except LostProcess as error:
        return f"{error}"
    return "answered"


def test_a_process_that_ends_is_noticed():
    assert "another process has ended" in together(_lose, answering=1)[0]


def _differ(processes: Processes) -> str:
    sums = SharedSums(processes.rank, processes.size, processes.sum_)
    sums.sum_all([torch.ones(WORTH, 2)])
    shape = (WORTH, 2) if processes.rank else (2, WORTH)
    try:
        sums.sum_all([torch.ones(shape)])
    except LostProcess as error:
        return f"{error}"
    return "answered"


def test_other_tensors_than_those_of_the_others_are_refused_in_all():
    for answer in together(_differ):
        assert "exchanges other tensors" in answer
