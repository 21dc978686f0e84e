"""Listeners that write the events of a training: metrics and weights in the run folder, and TensorBoard."""

from __future__ import annotations

import dataclasses
import importlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor, nn

from ..core.errors import UsageError
from ..training import EpochEnded, Event, Recovered, Started, Stopped
from .checkpoints import checkpoint_epochs, file_name
from .files import append, write_atomic
from .run_folder import METRICS
from .schemas import line_of
from .weights import write_weights

__all__ = ["Recorder", "TensorBoard"]

SECONDS_BETWEEN_WRITES = 20.0
SHARE = 0.01  # of the time that training takes, at most


class Recorder:
    """Appends a line to metrics.jsonl for every epoch, and updates model.safetensors, so that a run is always readable.

    Write failures are tolerated, and warned of once: lines wait until they can be written, and weights are tried again.
    Only the last write must succeed.

    Args:
        folder: the run's.
        module: model and guide.
        nodes: that the weights belong to, see `tie`.
        checkpoints: the number of checkpoints to keep along training.
        always: epochs after which a checkpoint is kept too, if any are.
        notice: called with a sentence for the user.
    """

    def __init__(
        self,
        folder: Path,
        module: nn.Module,
        nodes: Any,
        checkpoints: int = 0,
        always: tuple[int, ...] = (),
        notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.folder, self.module, self.nodes = folder, module, nodes
        self.checkpoints, self.epochs, self.always = checkpoints, (), always if checkpoints else ()
        self.written, self.cost = 0.0, 0.0
        self.waiting, self.notice, self.warned = b"", notice, False

    def __call__(self, event: Event) -> None:
        match event:
            case Started(epochs=epochs):
                self.epochs = (*checkpoint_epochs(epochs, self.checkpoints), *self.always)
                self.write(None)
            case EpochEnded():
                self._line({"event": "epoch", **_plain(event)})
                with self._tolerated():
                    self.flush()
                if event.epoch in self.epochs:
                    with self._tolerated():
                        write_weights(self.folder, self.module, self.nodes, None, file_name(event.epoch))
                if time.monotonic() - self.written > max(SECONDS_BETWEEN_WRITES, self.cost / SHARE):
                    with self._tolerated():
                        self.write(None)
            case Recovered():
                with self._tolerated():
                    self._remove_lines(event.epoch)
                self._line({"event": "recovered", **dataclasses.asdict(event)})
                with self._tolerated():  # the training state after the recovery is on the disk already
                    self.flush()
            case Stopped():
                self._line({"event": "stopped", **_plain(event)})
                with self._tolerated():  # a failure here must not hide the reason why training ended
                    self.flush()
            case _:
                pass

    def write(self, averaged: Mapping[str, Tensor] | None) -> None:
        """Write the present weights, the averaged ones if there are any, and all lines that wait.

        Raises:
            UsageError: the disk is full, or cannot be written.
        """
        start = time.monotonic()
        self.flush()
        write_weights(self.folder, self.module, self.nodes, averaged)
        self.written = time.monotonic()
        self.cost = self.written - start

    def _remove_lines(self, epoch: int) -> None:
        """Remove the lines of this epoch and of later ones, which a recovery has made void."""
        self.flush()
        path = self.folder / METRICS
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        kept = [line for line in lines if not _is_void(line, epoch)]
        if len(kept) < len(lines):
            write_atomic(path, b"".join(kept))

    def _line(self, content: dict[str, Any]) -> None:
        self.waiting += msgspec.json.encode(content) + b"\n"

    def flush(self) -> None:
        """Write the lines that wait.

        Raises:
            UsageError: the disk is full, or cannot be written.
        """
        if self.waiting:
            append(self.folder / METRICS, self.waiting)
        self.waiting = b""

    @contextmanager
    def _tolerated(self) -> Iterator[None]:
        """A scope in which write failures are tolerated, and warned of once."""
        try:
            yield
        except UsageError as error:
            if not self.warned:
                self.notice(f"{error.what}; training continues, and tries again")
            self.warned = True


def _is_void(line: bytes, epoch: int) -> bool:
    """Return whether a line is of this epoch or of a later one; a damaged one is left to the readers of the file."""
    try:
        content = line_of(line)
    except msgspec.DecodeError:
        return False
    return content["event"] == "epoch" and content["epoch"] >= epoch


def _plain(event: EpochEnded | Stopped) -> dict[str, Any]:
    return {k: v for k, v in dataclasses.asdict(event).items() if k != "seconds_left"}


class TensorBoard:
    """A listener that writes the measures of every epoch for TensorBoard.

    Args:
        folder: of its event files.

    Raises:
        UsageError: tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self.check()
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder))

    @staticmethod
    def check() -> None:
        """Check that tensorboard is installed, before anything is written.

        Raises:
            UsageError: it is not.
        """
        try:
            importlib.import_module("torch.utils.tensorboard")  # an optional dependency
        except ImportError as error:
            raise UsageError("tensorboard is not installed", "pip install 'jensen[tensorboard]'") from error

    def __call__(self, event: Event) -> None:
        if isinstance(event, EpochEnded):
            for part, measures in (("train", event.train), ("valid", event.valid)):
                for name, value in (dataclasses.asdict(measures) if measures else {}).items():
                    if value is not None:
                        self.writer.add_scalar(f"{name}/{part}", value, event.step)
            self.writer.add_scalar("learning_rate", event.learning_rate, event.step)
        if isinstance(event, Stopped):
            self.writer.close()
