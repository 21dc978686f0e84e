"""What processes exchange; a single one exchanges nothing."""

from __future__ import annotations

import os
from contextlib import contextmanager

import pytest
import torch

from jensen.core.errors import LostProcess, RunExistsError, UsageError
from jensen.core.processes import ALONE, Processes, joined
from tests.several import together


def _exchanged(processes: Processes) -> dict[str, object]:
    rank = processes.rank
    mixed = [torch.full((2,), rank + 1.0), torch.full((1, 2), rank + 1.0, dtype=torch.float64)]
    processes.sum_all(mixed)
    copied = torch.full((3,), float(rank))
    processes.broadcast_all([copied])
    gathered = processes.gather(torch.full((rank + 1, 2), float(rank)))
    return {
        "rank": rank,
        "sum": processes.sum_(torch.tensor([1.0, rank])),
        "mixed": mixed,
        "copied": copied,
        "any": list(processes.any(False, rank == 1, True)),
        "object": processes.broadcast_object({"of": rank, "word": "ä" * 300}),
        "gathered": gathered,
        "raised": _raised(processes),
    }


def _raised(processes: Processes) -> list[str]:
    def fail() -> None:
        raise RunExistsError("it is there", "Take another.")

    @contextmanager
    def failing():
        fail()
        yield

    caught = []
    for action in (lambda: processes.do_first(fail), lambda: processes.in_first(failing).__enter__()):
        try:
            action()
        except UsageError as error:
            caught.append(f"{type(error).__name__}: {error}")
    entered = []
    with processes.in_first(lambda: _noted(entered)):
        pass
    return [*caught, *entered]


@contextmanager
def _noted(entered: list[str]):
    entered.append("entered")
    yield
    entered.append("left")


def test_exchange():
    first, second = together(_exchanged)
    assert [first["rank"], second["rank"]] == [0, 1]
    for answer in (first, second):
        assert answer["sum"].tolist() == [2.0, 1.0]
        assert [t.tolist() for t in answer["mixed"]] == [[3.0, 3.0], [[3.0, 3.0]]]
        assert [t.dtype for t in answer["mixed"]] == [torch.float32, torch.float64]
        assert answer["copied"].tolist() == [0.0] * 3
        assert answer["any"] == [False, True, True]
        assert answer["object"] == {"of": 0, "word": "ä" * 300}
        assert answer["raised"][:2] == ["RunExistsError: it is there. Take another."] * 2
    assert first["gathered"].tolist() == [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
    assert second["gathered"] is None
    assert (first["raised"][2:], second["raised"][2:]) == (["entered", "left"], [])


def _lose(processes: Processes) -> str:
    if processes.rank == 1:
        torch.distributed.destroy_process_group()
        os._exit(0)
    try:
        processes.sum_(torch.ones(1 << 16))
    except LostProcess as error:
        return f"{error}"
    return "answered"


def test_a_process_that_ends_is_noticed():
    answer = together(_lose, answering=1)[0]
    assert "another process has ended" in answer
    assert "--max-restarts" in answer


def _of_machines(processes: Processes) -> list[object]:
    answers = [processes.shared is None]
    for local in (1, 2):
        words = {"RANK": processes.rank, "WORLD_SIZE": 2, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": local}
        os.environ |= {name: str(n) for name, n in words.items()} | {"MASTER_ADDR": "here", "MASTER_PORT": "1"}
        with joined() as of_torchrun:
            many = [torch.full((9, 1000), processes.rank + 1.0), torch.full((9000,), 1.0, dtype=torch.float64)]
            of_torchrun.sum_all(many)
            shared = of_torchrun.shared
            answers += [shared is not None, shared is not None and shared.capacity > 0]
            answers += [bool((t == total).all()) for t, total in zip(many, (3.0, 2.0), strict=True)]
    return answers


def test_processes_of_one_machine_share_memory():
    assert together(_of_machines) == [[True, False, False, True, True, True, True, True, True]] * 2


def test_alone_exchanges_nothing():
    tensor = torch.ones(2)
    assert ALONE.sum_(tensor) is tensor
    ALONE.sum_all([tensor])
    ALONE.broadcast_all([tensor])
    ALONE.barrier()
    assert tensor.tolist() == [1.0, 1.0]
    assert ALONE.any(True, False) == (True, False)
    assert ALONE.gather(tensor) is tensor
    assert ALONE.broadcast_object([1]) == [1]
    with pytest.raises(UsageError, match="no"):
        ALONE.raise_together(UsageError("no"))


def test_without_torchrun_a_process_is_alone(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with joined() as processes:
        assert processes == ALONE
