"""What listens to training and writes the run folder; nothing else does."""

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
from .checkpoints import file_name, moments
from .files import append
from .run_folder import write_atomic
from .schemas import line_of
from .weights import write_weights

__all__ = ["Recorder", "TensorBoard"]

SECONDS_BETWEEN_WRITES = 20.0
SHARE = 0.01  # of the time that training takes, at most


class Recorder:
    """Appends a line to metrics.jsonl for every epoch, and keeps model.safetensors fresh, so that a run that is stopped
    at any moment can be read.

    Args:
        folder: the run's.
        module: model and guide.
        nodes: what the weights are tied to.
        checkpoints: how many weights along training to keep beside the last.
        always: epochs after which weights are kept too, unless none are.
        notice: told what the user should know.

    A disk that is full or read-only does not end a training: lines wait until they can be written, weights are tried
    again, and the user is told once. What is written last must be written.
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
        self.checkpoints, self.moments, self.always = checkpoints, (), always if checkpoints else ()
        self.written, self.cost = 0.0, 0.0
        self.waiting, self.notice, self.told = b"", notice, False

    def __call__(self, event: Event) -> None:
        match event:
            case Started(epochs=epochs):
                self.moments = (*moments(epochs, self.checkpoints), *self.always)
                self.write(None)
            case EpochEnded():
                self._line({"event": "epoch", **_plain(event)})
                with self._going_on():
                    self.flush()
                if event.epoch in self.moments:
                    with self._going_on():
                        write_weights(self.folder, self.module, self.nodes, None, file_name(event.epoch))
                if time.monotonic() - self.written > max(SECONDS_BETWEEN_WRITES, self.cost / SHARE):
                    with self._going_on():
                        self.write(None)
            case Recovered():
                with self._going_on():
                    self._take_back(event.epoch)
                self._line({"event": "recovered", **dataclasses.asdict(event)})
                with self._going_on():  # the state that has it behind it is on the disk already
                    self.flush()
            case Stopped():
                self._line({"event": "stopped", **_plain(event)})
                with self._going_on():  # what it was stopped by must not be lost in what the disk says of it
                    self.flush()
            case _:
                pass

    def write(self, averaged: Mapping[str, Tensor] | None) -> None:
        """Write the present weights, and all lines that wait.

        Raises:
            UsageError: the disk is full, or cannot be written.
        """
        began = time.monotonic()
        self.flush()
        write_weights(self.folder, self.module, self.nodes, averaged)
        self.written = time.monotonic()
        self.cost = self.written - began

    def _take_back(self, epoch: int) -> None:
        """Take back the lines of this epoch and of later ones: they will be made again, differently."""
        self.flush()
        path = self.folder / "metrics.jsonl"
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
            append(self.folder / "metrics.jsonl", self.waiting)
        self.waiting = b""

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Training outlasts a disk that takes nothing; it is told once."""
        try:
            yield
        except UsageError as error:
            if not self.told:
                self.notice(f"{error.what}; training goes on, and tries again")
            self.told = True


def _is_void(line: bytes, epoch: int) -> bool:
    """Whether a line is of this epoch or of a later one; one that cannot be read is left to who reads the file."""
    try:
        found = line_of(line)
    except msgspec.DecodeError:
        return False
    return found["event"] == "epoch" and found["epoch"] >= epoch


def _plain(event: EpochEnded | Stopped) -> dict[str, Any]:
    return {k: v for k, v in dataclasses.asdict(event).items() if k != "seconds_left"}


class TensorBoard:
    """Writes the measures of every epoch for TensorBoard.

    Args:
        folder: where its event files go.

    Raises:
        UsageError: tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self.check()
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder))

    @staticmethod
    def check() -> None:
        """Refuse before anything is written if tensorboard is not installed."""
        try:
            importlib.import_module("torch.utils.tensorboard")  # an extra: most people do without
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
