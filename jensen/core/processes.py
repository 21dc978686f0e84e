"""Several processes that work on one model, as torchrun starts them: their number, and what they exchange.

Every method is collective unless it says otherwise: all processes call it at the same place, with tensors of the same
shapes. A single process exchanges nothing.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from . import errors
from .errors import JensenError, LostProcess, UsageError
from .launch import Launch
from .shared_memory import SharedSums
from .shares import Share

__all__ = ["ALONE", "Processes", "joined"]

SHOWN = 160  # characters of what the library says of a failed exchange
TIMEOUT = datetime.timedelta(minutes=30)  # of one exchange: process 0 may write a large file in the meantime


@dataclass(frozen=True)
class Processes:
    """The processes of a computation, and the place of this one among them.

    Args:
        rank: the place of this process, from 0.
        size: the number of processes.
        launch: what torchrun says about them; None of a single process.
        shared: sums through the memory of the machine, where all processes are on one.

    Example:
        >>> Processes().is_alone, Processes(1, 2).share(5)
        (True, Share(start=2, stop=5, of=5, counts=True))
    """

    rank: int = 0
    size: int = 1
    launch: Launch | None = None
    shared: SharedSums | None = field(default=None, compare=False, repr=False)

    @property
    def is_alone(self) -> bool:
        """True of a single process."""
        return self.size == 1

    @property
    def is_first(self) -> bool:
        """True of the process that writes and prints."""
        return self.rank == 0

    def share(self, n: int) -> Share:
        """Return the rows of a batch of n that this process computes; shares differ by one row at most (local)."""
        start, stop = self.rank * n // self.size, (self.rank + 1) * n // self.size
        if start < stop:
            return Share(start, stop, n, sum_all=self.sum_all)
        return Share(min(start, n - 1), min(start, n - 1) + 1, n, counts=False, sum_all=self.sum_all)

    def sum_(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over all processes, in place, and return it: the same bits in all of them."""
        return tensor if self.is_alone else _summed(tensor)

    def sum_all(self, tensors: Sequence[Tensor]) -> None:
        """Sum tensors over all processes, in place: through shared memory, or by one exchange for each type of number.

        The bits are the same in all processes.
        """
        if self.is_alone or (self.shared is not None and self.shared.sum_all(tensors)):
            return
        for dtype in dict.fromkeys(t.dtype for t in tensors):
            some = [t for t in tensors if t.dtype == dtype]
            flat = self.sum_(torch.cat([t.reshape(-1) for t in some]))
            for tensor, total in zip(some, flat.split([t.numel() for t in some]), strict=True):
                tensor.copy_(total.view_as(tensor))

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Return for each flag whether it is true in any process."""
        if self.is_alone:
            return flags
        return tuple(bool(x) for x in self.sum_(torch.tensor(flags, dtype=torch.float32)).tolist())

    def broadcast_all(self, tensors: Sequence[Tensor], source: int = 0) -> None:
        """Copy the tensors of one process, by default the first, over those of all others, in place."""
        for tensor in () if self.is_alone else tensors:
            with _exchange():
                distributed.broadcast(tensor, source)

    def broadcast_object(self, value: Any) -> Any:
        """Return the value of process 0, as JSON has it."""
        if self.is_alone:
            return value
        content = json.dumps(value if self.is_first else None).encode()
        size = torch.tensor([len(content)])
        self.broadcast_all([size])
        data = torch.zeros(int(size), dtype=torch.uint8)
        if self.is_first:
            data.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        self.broadcast_all([data])
        return json.loads(bytes(data.tolist()))

    def gather(self, part: Tensor) -> Tensor | None:
        """Return in process 0 the rows of all processes one after another, and None elsewhere.

        Args:
            part: [n, ...] the rows of this process, on the CPU; n may differ.
        """
        if self.is_alone:
            return part
        with _exchange():
            if not self.is_first:
                distributed.send(torch.tensor([len(part)]), 0)
                distributed.send(part.contiguous(), 0)
                return None
            parts = [part]
            for other in range(1, self.size):
                n = torch.zeros(1, dtype=torch.long)
                distributed.recv(n, other)
                rows = part.new_zeros(int(n), *part.shape[1:])
                distributed.recv(rows, other)
                parts.append(rows)
            return torch.cat(parts)

    def barrier(self) -> None:
        """Wait until all processes are here."""
        self.sum_(torch.zeros(1))

    def raise_together(self, error: JensenError | None) -> None:
        """Raise an error of process 0 in all processes; do nothing where it has none.

        Raises:
            JensenError: the error, of the same kind everywhere.
        """
        message = self.broadcast_object(None if error is None else [type(error).__name__, error.what, error.remedy])
        if error is not None and self.is_first:
            raise error
        if message is not None:
            raise getattr(errors, message[0], JensenError)(*message[1:])

    def do_first(self, action: Callable[[], object]) -> None:
        """Do something in process 0 alone; an error is raised in all processes.

        Raises:
            JensenError: of the action.
        """
        error = None
        if self.is_first:
            try:
                action()
            except JensenError as caught:
                error = caught
        self.raise_together(error)

    @contextmanager
    def in_first(self, scope: Callable[[], AbstractContextManager[Any]]) -> Iterator[None]:
        """A scope that process 0 enters and leaves alone; an error on entering is raised in all processes.

        Raises:
            JensenError: of entering.
        """
        if self.is_alone:
            with scope():
                yield
            return
        with ExitStack() as stack:
            self.do_first(lambda: stack.enter_context(scope()))
            yield


ALONE = Processes()


@contextmanager
def _exchange() -> Iterator[None]:
    """A scope in which the failure of an exchange is that of another process.

    Raises:
        LostProcess: it does not answer.
    """
    try:
        yield
    except RuntimeError as error:
        said = " ".join(str(error).split())[:SHOWN] or type(error).__name__
        raise LostProcess(
            f"another process has ended, or does not answer ({said})",
            "torchrun --max-restarts starts all of them again, from the last training state.",
        ) from error


def _summed(tensor: Tensor) -> Tensor:
    """Sum a tensor over all processes, in place, and return it.

    Raises:
        LostProcess: another does not answer.
    """
    with _exchange():
        distributed.all_reduce(tensor)
    return tensor


def _together(rank: int, size: int, launch: Launch | None) -> Processes:
    """Return the processes of a group; those of one machine share memory."""
    of_one_machine = launch is not None and launch.local_size == launch.size == size
    return Processes(rank, size, launch, SharedSums(rank, size, _summed) if of_one_machine else None)


@contextmanager
def joined() -> Iterator[Processes]:
    """A scope in which this process works with the others that torchrun has started; alone without torchrun.

    CPU tensors are exchanged by gloo, on one machine through shared memory where they are large; CUDA tensors by NCCL.
    "cuda" is then the device of the process's local rank.
    A group of processes that exists already is used, and left as it is.

    Raises:
        UsageError: a machine has more processes than GPUs, and there are GPUs.
        LostProcess: the others cannot be reached.
    """
    launch = Launch.read()
    if distributed.is_available() and distributed.is_initialized():
        yield _together(distributed.get_rank(), distributed.get_world_size(), launch)
        return
    if launch is None:
        yield ALONE
        return
    backend = "gloo"
    if torch.cuda.is_available():
        devices = torch.cuda.device_count()
        if launch.local_size > devices:
            raise UsageError(
                f"{launch.local_size} processes would share {devices} GPU{'s' if devices > 1 else ''}",
                f"Start one for each: --nproc-per-node {devices}; or hide the GPUs: CUDA_VISIBLE_DEVICES=.",
            )
        torch.cuda.set_device(launch.local_rank)
        backend = "cpu:gloo,cuda:nccl"
    with _exchange():
        store, _, _ = next(rendezvous("env://", launch.rank, launch.size, timeout=TIMEOUT))
        if launch.local_size == launch.size:
            # torchrun keeps its store over restarts, with the addresses of the processes before; several machines do
            # not count restarts alike (docs/scale.md)
            store = PrefixStore(f"attempt {launch.restarts}", store)
        distributed.init_process_group(backend, timeout=TIMEOUT, rank=launch.rank, world_size=launch.size, store=store)
    try:
        yield _together(launch.rank, launch.size, launch)
    finally:
        distributed.destroy_process_group()
