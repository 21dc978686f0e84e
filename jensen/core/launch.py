"""The processes that torchrun has started together: their number, and the place of this one among them."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Launch"]

NEEDED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Launch:
    """One of several processes that torchrun has started together.

    Attributes:
        rank: the place of this process, from 0; process 0 writes and prints.
        size: the number of processes.
        local_rank: the place of this process among those of its machine.
        local_size: the number of processes of its machine.
        restarts: how often torchrun has started these processes anew.
        id: the same for every restart of the processes by one torchrun, and by any with the same --rdzv-id.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    restarts: int
    id: str

    @staticmethod
    def read(environment: Mapping[str, str] = os.environ) -> Launch | None:
        """Return what the environment says; None of a process that is alone.

        Example:
            >>> Launch.read({"RANK": "0"}) is None
            True
        """
        values = [environment.get(name, "") for name in NEEDED]
        if not all(values) or not all(value.isdigit() for value in values[:4]) or int(values[1]) < 2:
            return None
        given = environment.get("TORCHELASTIC_RUN_ID", "none")
        own = f"{socket.gethostname()} {os.getppid()}"  # torchrun is the parent of the processes of its machine
        rank, size, local_rank, local_size = map(int, values[:4])
        restarts = environment.get("TORCHELASTIC_RESTART_COUNT", "0")
        again = int(restarts) if restarts.isdigit() else 0
        return Launch(rank, size, local_rank, local_size, again, own if given == "none" else given)
