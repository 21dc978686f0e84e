"""Listeners that write the events of a training: metrics and weights in the run folder, and TensorBoard."""

from __future__ import annotations

import dataclasses
import importlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..core.errors import CorruptRunError, UsageError
from ..training import EpochEnded, Event, Recovered, Started, Stopped
from .checkpoints import checkpoint_epochs, file_name
from .entries import make_folder
from .files import append, content_of, write_atomic
from .metrics import chained, lines_in
from .run_folder import METRICS
from .weights import write_weights

__all__ = ["Recorder", "TensorBoard", "measures"]

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
        self.waiting: list[dict[str, Any]] = []
        self.digest: str | None = None  # of the last line in the file, once that was read
        self.notice, self.warned = notice, False

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
        try:
            lines = [line for line, _, _ in lines_in(content_of(path), path)]
        except CorruptRunError:  # left to the readers of the file
            return
        kept = [line for line in lines if line["event"] != "epoch" or line["epoch"] < epoch]
        if len(kept) < len(lines):
            content, digest = chained(kept)
            write_atomic(path, content)
            self.digest = digest

    def _line(self, content: dict[str, Any]) -> None:
        self.waiting.append(content)

    def flush(self) -> None:
        """Write the lines that wait.

        Raises:
            UsageError: the disk is full, or cannot be written.
            CorruptRunError: the file holds what was not written there.
        """
        if self.waiting:
            content, digest = chained(self.waiting, self._digest())
            append(self.folder / METRICS, content)
            self.waiting, self.digest = [], digest

    def _digest(self) -> str:
        """Return the digest of the last line in the file, which a resumed training has begun."""
        if self.digest is None:
            path = self.folder / METRICS
            digests = [digest for _, digest, _ in lines_in(content_of(path), path)]
            self.digest = digests[-1] if digests else ""
        return self.digest

    @contextmanager
    def _tolerated(self) -> Iterator[None]:
        """A scope in which write failures are tolerated, and warned of once."""
        try:
            yield
        except UsageError as error:
            if not self.warned:
                self.notice(f"{error.what}; training continues, and tries again")
            self.warned = True


def _plain(event: EpochEnded | Stopped) -> dict[str, Any]:
    return {k: v for k, v in dataclasses.asdict(event).items() if k != "seconds_left"}


def measures(epoch: Mapping[str, Any]) -> dict[str, float]:
    """Return the measures of an epoch that are known, such as bound/train and bound/valid."""
    named = [(f"{name}/{part}", v) for part in ("train", "valid") for name, v in (epoch[part] or {}).items()]
    return {name: value for name, value in named if value is not None}


class TensorBoard:
    """A listener that writes the measures of every epoch for TensorBoard.

    Args:
        folder: of its event files.

    Raises:
        UsageError: tensorboard is not installed.
        CorruptRunError: the folder is a link.
    """

    def __init__(self, folder: Path) -> None:
        self.check()
        from torch.utils.tensorboard import SummaryWriter

        make_folder(folder)
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
            for name, value in measures(dataclasses.asdict(event)).items():
                self.writer.add_scalar(name, value, event.step)
            self.writer.add_scalar("learning_rate", event.learning_rate, event.step)
        if isinstance(event, Stopped):
            self.writer.close()
