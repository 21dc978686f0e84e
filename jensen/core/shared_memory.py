"""Sums of CPU tensors over the processes of one machine, through memory that all of them see.

Each process writes its tensors into a slot of its own, waits for the others by a tiny exchange, and sums the slots in
the order of the processes: the same bits in all of them. There are two sets of slots, used in turn, so that one
exchange suffices: a process that has passed it knows that the others no longer read the set before, which is the next
to be written.

The memory is a file without a name, which ends with the last process that has it open, however that process ends.
"""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch import Tensor

from .errors import LostProcess
from .memory import available_memory

__all__ = ["SharedSums"]

WORTH = 65536  # bytes from which shared memory is faster than an exchange by sockets
ALIGNED = 64  # bytes, of which every tensor begins at a multiple
SETS = 2
MANY = 4  # with more processes than these each sums a part, at the cost of a second tiny exchange
GROWTH = 1.5  # at least, so that slowly growing sizes do not ask for new memory each time
SHARE = 0.5  # of the available memory, at most
LAYOUTS = 32  # whose places are kept
NAMED = 2**62  # numbers of files are exchanged modulo this, as integers of 64 bits
FOLDER = "/dev/shm"  # in memory as well, but often limited to 64 MB in a container

Slots = list[list[Tensor]]  # [process][tensor]


@dataclass
class SharedSums:
    """Sums tensors over the processes of a machine; collective, like every exchange.

    Args:
        rank: the place of this process.
        size: the number of processes, all on this machine.
        sum_: sums a small CPU tensor over all processes, in place, and returns it; by sockets, which notice a process
            that has ended.

    Attributes:
        refused: True once a process could not have the memory; it is not asked for again.
        capacity: bytes of a slot.
        memory: all slots, [SETS * size * capacity] bytes.
        turn: the set that was used last.
        places: the slots of each set, for each layout of tensors.
    """

    rank: int
    size: int
    sum_: Callable[[Tensor], Tensor]
    refused: bool = field(default=False, init=False)
    capacity: int = field(default=0, init=False)
    memory: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.uint8), init=False, repr=False)
    turn: int = field(default=0, init=False)
    places: dict[tuple[tuple[torch.dtype, torch.Size], ...], list[Slots]] = field(
        default_factory=dict, init=False, repr=False
    )

    def sum_all(self, tensors: Sequence[Tensor]) -> bool:
        """Sum tensors over all processes, in place, and return whether that was done: the same in all of them.

        Few bytes, tensors on other devices, and what a process has no memory for are left as they are.
        """
        if self.refused or any(t.device.type != "cpu" for t in tensors):
            return False
        *starts, needed = accumulate((-(-t.nbytes // ALIGNED) * ALIGNED for t in tensors), initial=0)
        if needed < WORTH or not self._has(needed):
            return False
        layout = tuple((t.dtype, t.shape) for t in tensors)
        slots = self._slots(layout, tensors, starts)
        for slot, tensor in zip(slots[self.rank], tensors, strict=True):
            slot.copy_(tensor.detach())
        self._meet(zlib.crc32(repr(layout).encode()) & 0xFFFFFF)
        if self.size > MANY:
            self._sum_part(slots)
            slots = slots[:1]
        for tensor, (first, *others) in zip(tensors, zip(*slots, strict=True), strict=True):
            _sum_into(tensor, first, others)
        return True

    def _sum_part(self, slots: Slots) -> None:
        """Sum this process's part of all slots into the first one, and wait for the parts of the others."""
        for first, *others in zip(*slots, strict=True):
            n = first.numel()
            part = slice(self.rank * n // self.size, (self.rank + 1) * n // self.size)
            for other in others:
                first.view(-1)[part].add_(other.view(-1)[part])
        self._wait()

    def _wait(self) -> None:
        self.sum_(torch.zeros(1))

    def _meet(self, number: int) -> None:
        """Wait for the others, and make sure that all of them have tensors of this layout, by its number.

        Raises:
            LostProcess: another process exchanges other tensors, as after a failure within a step.
        """
        total, squares = self.sum_(torch.tensor([number, number**2], dtype=torch.float64)).tolist()
        if (total, squares) != (self.size * number, self.size * number**2):
            raise LostProcess(
                "another process exchanges other tensors than this one",
                "Look at the errors above this one; torchrun --max-restarts starts all processes again.",
            )

    def _slots(
        self, layout: tuple[tuple[torch.dtype, torch.Size], ...], tensors: Sequence[Tensor], starts: Sequence[int]
    ) -> Slots:
        """Return the slots of the set whose turn it is, for tensors that start at these bytes of each."""
        if layout not in self.places:
            if len(self.places) == LAYOUTS:
                self.places.clear()
            slots = self.memory.view(SETS, self.size, self.capacity)
            self.places[layout] = [
                [
                    [row[i : i + t.nbytes].view(t.dtype).view(t.shape) for i, t in zip(starts, tensors, strict=True)]
                    for row in rows
                ]
                for rows in slots
            ]
        self.turn = (self.turn + 1) % SETS
        return self.places[layout][self.turn]

    def _has(self, needed: int) -> bool:
        """Return whether all processes have slots of so many bytes; ask for larger ones where these are too small."""
        if needed > self.capacity:
            capacity = max(needed, int(GROWTH * self.capacity) // ALIGNED * ALIGNED)
            self.places.clear()
            memory = self._opened(SETS * self.size * capacity)
            self.refused = memory is None
            if memory is not None:
                self.memory, self.capacity = memory, capacity
        return not self.refused

    def _opened(self, size: int) -> Tensor | None:
        """Return memory that process 0 makes and all open; None in all of them where one cannot."""
        file = _made(size) if self.rank == 0 else None
        try:
            where = [0] * 4 if file is None else [os.getpid(), file, *_identity(file)]
            pid, number, *identity = self.sum_(torch.tensor(where)).tolist()
            memory = _mapped(f"/proc/{pid}/fd/{number}", identity, size) if pid else None
            missing = self.sum_(torch.tensor([float(memory is None)])).item()
        finally:
            if file is not None:
                os.close(file)
        return None if missing else memory


def _sum_into(tensor: Tensor, first: Tensor, others: Sequence[Tensor]) -> None:
    """Write a sum into a tensor, which may carry gradients: it is replaced, as by a copy."""
    if tensor.requires_grad:
        tensor.copy_(sum(others, first))
    elif others:
        torch.add(first, others[0], out=tensor)
        for other in others[1:]:
            tensor.add_(other)
    else:
        tensor.copy_(first)


def _made(size: int) -> int | None:
    """Return an open file without a name, of so many bytes of memory that are this process's; None if there is none."""
    if size > SHARE * available_memory():
        return None
    for make in (_memory_file, _removed_file):
        try:
            file = make()
        except (AttributeError, OSError):  # Python knows no such call where it was built for an older C library
            continue
        try:
            os.posix_fallocate(file, 0, size)  # else a write would end the process where the memory is used up
        except OSError:
            os.close(file)
            continue
        return file
    return None


def _memory_file() -> int:
    return os.memfd_create("jensen")


def _removed_file() -> int:
    path = f"{FOLDER}/jensen-{os.getpid()}"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.unlink(path)  # the others open it by its number
    return file


def _identity(file: int) -> list[int]:
    """Return the device and the number of an open file: a process's number may mean another one in a container."""
    status = os.fstat(file)
    return [status.st_dev % NAMED, status.st_ino % NAMED]


def _mapped(path: str, identity: Sequence[int], size: int) -> Tensor | None:
    """Return the bytes [size] of a file that is shared; None where it cannot be opened or is another."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if _identity(file) != list(identity):
            return None
        return torch.frombuffer(mmap.mmap(file, size), dtype=torch.uint8)
    except (OSError, ValueError):
        return None
    finally:
        os.close(file)
