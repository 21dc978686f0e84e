"""Training states on the disk: kept while training runs, and read when it is resumed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from ..core.commands import command_line
from ..core.errors import CorruptRunError, UsageError
from ..core.threads import ThreadRecord
from ..core.version import __version__
from ..data.regular_files import open_regular
from ..training import EpochEnded, Keeper, Snapshot
from ..training.state import RecoveryRecord
from .commits import Damage, commit, commits, free_bytes, newest, read_commit
from .files import content_of, parsed, write_atomic
from .metrics import lines_in
from .migrations import FORMAT
from .run_folder import CHECKPOINTS, METRICS, SPEC, STATE, WEIGHTS
from .safetensors_writer import Packed
from .specification import checked_spec

__all__ = ["TrainingStateKeeper", "check_space", "completed_epochs", "read_newest_state"]

TENSORS, FACTS = "training.safetensors", "training.json"
STATES = 3  # on the disk at once, at most
SHARE = 0.01  # of the time that training takes, at most

Unbounded = Literal["inf", "-inf", "nan"]  # words for numbers that JSON has no notation for


class _Training(msgspec.Struct, forbid_unknown_fields=True):
    """The facts of a snapshot, as `TrainingState.snapshot` writes them; earlier versions had no optional ones."""

    epoch: Annotated[int, msgspec.Meta(ge=1)]
    index: Annotated[int, msgspec.Meta(ge=0)]
    step: Annotated[int, msgspec.Meta(ge=0)]
    seconds: float
    ended: str | None
    previous: float | Unbounded | None
    best: float | Unbounded | None
    best_epoch: int
    averaged: int
    tally: list[float | bool | Unbounded]
    optimizers: list[Any]
    first: Any = None
    recovered: Any = None
    threads: ThreadRecord | None = None


class _Facts(msgspec.Struct, forbid_unknown_fields=True):
    """The file training.json; between its formats only the specification has changed."""

    format: int
    jensen: str
    spec: dict[str, Any]
    training: dict[str, Any]


class TrainingStateKeeper(Keeper):
    """Commits snapshots to the run folder: every so many seconds, less often if that took more than 1 % of them.

    Write failures are tolerated, and warned of once: the next snapshot is tried again. The last snapshot of a training
    must be written: where it cannot be, the weights are written first, and then `check_last` raises.

    Args:
        folder: the run's.
        spec: the specification, kept with each state; a training that resumes from it must have the same.
        every: seconds between commits; 0 commits after every step.
        notice: called with a sentence for the user.
        before: called before each commit, to write what must be on the disk before a state, such as lines of metrics.

    Attributes:
        lost: the error of the last snapshot, if it could not be kept.
    """

    def __init__(
        self,
        folder: Path,
        spec: dict[str, Any],
        every: float,
        notice: Callable[[str], None],
        before: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder, self.spec, self.every, self.notice, self.before = folder, spec, every, notice, before
        self.ended, self.cost, self.failed = time.monotonic(), 0.0, False
        self.lost: UsageError | None = None

    def due(self) -> bool:
        wait = max(self.every, self.cost / SHARE) if self.every else 0.0
        return time.monotonic() - self.ended >= wait

    def keep(self, snapshot: Snapshot, *, last: bool = False) -> None:
        start = time.monotonic()
        facts = {"format": FORMAT, "jensen": __version__, "spec": self.spec, "training": snapshot.facts}
        try:
            self.before()
            metrics = self.folder / METRICS
            _flush(metrics)  # the epochs before a state must be on the disk before it
            files = {TENSORS: Packed(snapshot.tensors), FACTS: msgspec.json.encode(facts)}
            files |= {METRICS: content_of(metrics)} if metrics.exists() else {}  # a copy, in case of damage
            commit(self.folder / STATE, files)
        except (UsageError, OSError) as error:
            error = error if isinstance(error, UsageError) else _unflushed(self.folder, error)
            self.lost = error if last else None
            if not self.failed and not last:
                self.notice(f"{error.what}; training continues, and tries again")
            self.failed = True
        self.ended = time.monotonic()
        self.cost = self.ended - start

    def check_last(self) -> None:
        """Check that the last snapshot was kept; to be called when everything else is on the disk.

        Raises:
            UsageError: it could not be written.
        """
        if self.lost is not None:
            again = command_line("resume", self.folder)
            raise UsageError(
                f"{self.lost.what}; the weights are written, but the last training state is not",
                f"Use the weights, or free space there and resume from the state before it: {again}.",
            ) from self.lost

    def earlier(self) -> list[Snapshot]:
        """Return the intact states in the folder that have this specification."""
        snapshots = []
        for path in commits(self.folder / STATE):
            with suppress(CorruptRunError):
                snapshot, spec = _read(path, read_commit(path))
                snapshots += [snapshot] if msgspec.json.encode(spec) == msgspec.json.encode(self.spec) else []
        return snapshots


def _unflushed(folder: Path, error: OSError) -> UsageError:
    return UsageError(f"{folder / METRICS} cannot be written ({error.strerror})", "Free space there.")


def check_space(folder: Path, state: int, weights: int, checkpoints: int = 0, again: bool = False) -> None:
    """Check, before a run, that the disk has room for everything that it writes.

    Args:
        folder: the run's.
        state: bytes of a training state, of which there are three while the third is written; 0 if none are kept.
        weights: bytes of model.safetensors, of which there are two while it is replaced.
        checkpoints: bytes of all checkpoints.
        again: True if the folder holds this run already: its files count as free, since they are replaced.

    Raises:
        UsageError: there is not enough room.
    """
    needed = STATES * state + 2 * weights + checkpoints
    files = (folder / WEIGHTS, folder / STATE, folder / CHECKPOINTS) if again else ()
    held, free = sum(map(_size, files)), free_bytes(folder)
    if free + held < needed:
        has = f", {held:,} in the run," if held else ""
        raise UsageError(
            f"{folder} has {free:,} bytes free{has} and the run needs about {needed:,}",
            "Free space, or give --out another disk.",
        )


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    paths = path.rglob("*") if path.is_dir() else (path,)
    return sum(p.stat().st_size for p in paths if p.is_file())


def _flush(path: Path) -> None:
    if path.exists():
        with open(open_regular(path), "rb") as file:
            os.fsync(file.fileno())


def read_newest_state(
    folder: Path, notice: Callable[[str], None] = lambda text: None
) -> tuple[Snapshot, dict[str, Any]]:
    """Read the newest intact training state of a run, and the specification that it was kept with.

    Args:
        folder: the run's.
        notice: called with a sentence for every damaged state.

    Raises:
        CorruptRunError: there is none, or the newest intact one is of a later version.
    """
    damaged: list[Damage] = []
    again = f"Train again: jensen train --spec {folder / SPEC} --out NEW."
    for path, files in newest(folder / STATE):
        for damage in damaged[-1:]:
            notice(f"{damage.what}: the training state before it is used")
        if not isinstance(files, Damage):
            return _read(path, files)
        damaged.append(files)
    if damaged:
        raise CorruptRunError(f"no training state of {folder} is intact ({damaged[0].what})", again)
    raise CorruptRunError(
        f"{folder} holds no training state: it was stopped before the first, configured to keep none, or made by an "
        "older jensen",
        again,
    )


def _read(path: Path, files: dict[str, bytes]) -> tuple[Snapshot, dict[str, Any]]:
    try:
        tensors = load_tensors(files[TENSORS])
        facts = parsed(files[FACTS], dict[str, Any])
    except (KeyError, SafetensorError, msgspec.DecodeError) as error:
        raise CorruptRunError(
            f"{path} is not a training state ({error})", "Remove it: the state before it is used."
        ) from error
    try:
        record = msgspec.convert(facts, _Facts)
        msgspec.convert(record.training, _Training)
    except msgspec.ValidationError as error:  # not damage, since all digests are right
        raise CorruptRunError(
            f"{path} holds what this jensen does not know ({error})",
            f"It was written by jensen {facts.get('jensen', '?')}: use that version.",
        ) from error
    if not 1 <= record.format <= FORMAT:
        raise CorruptRunError(
            f"{path} has format {record.format}, and this jensen reads formats 1 to {FORMAT}",
            f"It was written by jensen {record.jensen}: use that version.",
        )
    return Snapshot(tensors, record.training), checked_spec(record.spec, path)


def completed_epochs(
    folder: Path, snapshot: Snapshot, notice: Callable[[str], None] = lambda text: None
) -> list[EpochEnded]:
    """Return the events of the epochs that are complete in a state, and remove later lines from metrics.jsonl.

    Lines that are damaged or missing are restored from the newest intact state.

    Args:
        folder: the run's.
        snapshot: from which training is resumed.
        notice: called with a sentence if lines are restored.

    Raises:
        CorruptRunError: lines are missing there too, as in states of earlier versions.
    """
    try:
        return _completed_epochs(folder, snapshot)
    except CorruptRunError as damage:
        files = next((files for _, files in newest(folder / STATE) if not isinstance(files, Damage)), {})
        if METRICS not in files:
            raise
        write_atomic(folder / METRICS, files[METRICS])
        notice(f"{damage.what}: it is restored from the last training state")
        return _completed_epochs(folder, snapshot)


def _completed_epochs(folder: Path, snapshot: Snapshot) -> list[EpochEnded]:
    path, done = folder / METRICS, snapshot.facts["epoch"] - 1
    content, events, end = content_of(path), [], 0
    left = {"epoch": done, "recovered": RecoveryRecord.of(snapshot.facts).count}
    for event, _, after in lines_in(content, path) if any(left.values()) else ():
        if not left.get(event["event"]):
            break
        left[event["event"]] -= 1
        if event["event"] == "epoch":
            events.append(_epoch_ended(event, path))
        end = after
        if not any(left.values()):
            break
    if [e.epoch for e in events] != list(range(1, done + 1)):
        raise CorruptRunError(f"{path} lacks epochs that are complete in the training state", "Restore it from a copy.")
    kept = content[:end].rstrip() + b"\n" if end else b""
    if kept != content or (content and path.stat().st_nlink > 1):  # a file of two names is not changed in place
        write_atomic(path, kept)
    return events


def _epoch_ended(event: dict[str, Any], path: Path) -> EpochEnded:
    try:
        return msgspec.convert({**event, "seconds_left": 0.0}, EpochEnded)
    except msgspec.ValidationError as error:
        raise CorruptRunError(f"{path} is damaged ({error})", "Restore it from a copy.") from error
