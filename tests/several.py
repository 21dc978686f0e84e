"""Several processes on this machine, for the tests of what they do together.

They are forked: torch is imported once. Each joins a group by gloo, calls the same function, and returns its result.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from jensen.core.processes import Processes, joined

__all__ = ["forked", "together"]

SECONDS = 120


def _work(rank: int, size: int, folder: str, function: Callable[[Processes], Any], answers: Any) -> None:
    torch.set_num_threads(1)
    try:
        store = distributed.FileStore(f"{folder}/store", size)
        waits = timedelta(seconds=SECONDS)
        distributed.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=waits)
        with joined() as processes:
            result = function(processes)
        torch.save(result, f"{folder}/{rank}")
        answers.put((rank, None))
    except BaseException:
        answers.put((rank, traceback.format_exc()))
    finally:
        answers.close()
        answers.join_thread()
        os._exit(0)


def forked(function: Callable[[], object]) -> int:
    """Return how a fork of this process ends that calls a function: 0, 1 after an error, or minus a signal."""
    process = os.fork()
    if process == 0:
        try:
            torch.set_num_threads(1)
            function()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def together(function: Callable[[Processes], Any], size: int = 2, answering: int | None = None) -> list[Any]:
    """Return what each of several processes returns for a function; tensors and plain values.

    Args:
        function: called in each of them.
        size: the number of processes.
        answering: how many of them, the first ones, return at all; by default all.

    Raises:
        AssertionError: with the traceback, if one of them raises.
    """
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        workers = [context.Process(target=_work, args=(rank, size, folder, function, answers)) for rank in range(size)]
        for worker in workers:
            worker.start()
        try:
            for _ in workers[:answering]:
                rank, error = answers.get(timeout=SECONDS)
                if error is not None:
                    raise AssertionError(f"process {rank}:\n{error}")
            return [torch.load(Path(folder) / str(rank), weights_only=True) for rank in range(size)[:answering]]
        finally:
            for worker in workers:
                worker.kill()
                worker.join()
