"""The state of a training on the disk: kept while it runs, and found again by what resumes it."""

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

from ..core.errors import CorruptRunError, UsageError
from ..core.version import __version__
from ..training import EpochEnded, Keeper, Snapshot
from .commits import Damage, commit, commits, free_bytes, newest, read_commit
from .files import parsed, write_atomic
from .migrations import FORMAT
from .run_folder import CHECKPOINTS, STATE, checked_spec
from .safetensors_writer import Packed
from .schemas import line_of

__all__ = ["STATE", "StateKeeper", "behind", "check_space", "found_state"]

TENSORS, FACTS, LINES = "training.safetensors", "training.json", "metrics.jsonl"
STATES = 3  # on the disk at once, at most
SHARE = 0.01  # of the time that training takes, at most


Unbounded = Literal["inf", "-inf", "nan"]  # as words, for which JSON has no number


class _Training(msgspec.Struct, forbid_unknown_fields=True):
    """What a snapshot says beside tensors: what `Fit.snapshot` writes, and what earlier versions left out."""

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


class _Facts(msgspec.Struct, forbid_unknown_fields=True):
    """What a state holds beside tensors. Between formats 1 and 2 only the specification has changed."""

    format: int
    jensen: str
    spec: dict[str, Any]
    training: dict[str, Any]


class StateKeeper(Keeper):
    """Commits snapshots to the run folder: every so many seconds, less often where that would cost a hundredth of them.

    A disk that is full or read-only costs nothing but the checkpoint: training goes on, it is told once, and tried
    again. The last snapshot of a training must be written: where it cannot be, the weights are written first, and then
    `settle` raises.

    Args:
        folder: the run's.
        spec: what the training was asked for, kept with each state: what resumes it must be asked for the same.
        every: seconds between commits; 0 commits after every step.
        notice: told what the user should know.
        first: called before each; what must be on the disk before a state is, such as lines of epochs behind it.

    Attributes:
        lost: why the last snapshot could not be kept.
    """

    def __init__(
        self,
        folder: Path,
        spec: dict[str, Any],
        every: float,
        notice: Callable[[str], None],
        first: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder, self.spec, self.every, self.notice, self.first = folder, spec, every, notice, first
        self.ended, self.cost, self.failed = time.monotonic(), 0.0, False
        self.lost: UsageError | None = None

    def due(self) -> bool:
        wait = max(self.every, self.cost / SHARE) if self.every else 0.0
        return time.monotonic() - self.ended >= wait

    def keep(self, snapshot: Snapshot, *, last: bool = False) -> None:
        began = time.monotonic()
        facts = {"format": FORMAT, "jensen": __version__, "spec": self.spec, "training": snapshot.facts}
        try:
            self.first()
            lines = self.folder / LINES
            _flush(lines)  # the epochs that a state has behind it are there before it is
            files = {TENSORS: Packed(snapshot.tensors), FACTS: msgspec.json.encode(facts)}
            files |= {LINES: lines.read_bytes()} if lines.exists() else {}  # in case they are damaged there
            commit(self.folder / STATE, files)
        except (UsageError, OSError) as error:
            error = error if isinstance(error, UsageError) else _unflushed(self.folder, error)
            self.lost = error if last else None
            if not self.failed and not last:
                self.notice(f"{error.what}; training goes on, and tries again")
            self.failed = True
        self.ended = time.monotonic()
        self.cost = self.ended - began

    def settle(self) -> None:
        """Say that the last snapshot could not be kept; to be called when all else is on the disk.

        Raises:
            UsageError: it could not.
        """
        if self.lost is not None:
            again = f"jensen resume {self.folder}"
            raise UsageError(
                f"{self.lost.what}; the weights are written, but no state to train on from",
                f"Use the weights, or free space there and train on from the state before: {again}.",
            ) from self.lost

    def earlier(self) -> list[Snapshot]:
        """The whole states in the folder that were made under this specification."""
        found = []
        for path in commits(self.folder / STATE):
            with suppress(CorruptRunError):
                kept, spec = _read(path, read_commit(path))
                found += [kept] if msgspec.json.encode(spec) == msgspec.json.encode(self.spec) else []
        return found


def _unflushed(folder: Path, error: OSError) -> UsageError:
    return UsageError(f"{folder / 'metrics.jsonl'} cannot be written ({error.strerror})", "Free space there.")


def check_space(folder: Path, state: int, weights: int, along: int = 0, again: bool = False) -> None:
    """Refuse, before the run, a disk that cannot hold what it will write.

    Args:
        folder: the run's.
        state: bytes of each state, of which there are three while the third is written; 0 if none are kept.
        weights: of model.safetensors, of which there are two while it is replaced.
        along: of all weights that are kept along training.
        again: whether the folder holds this run already, whose files count as space: they are replaced.

    Raises:
        UsageError: it cannot.
    """
    needed = STATES * state + 2 * weights + along
    files = (folder / "model.safetensors", folder / STATE, folder / CHECKPOINTS) if again else ()
    held, free = sum(map(_size, files)), free_bytes(folder)
    if free + held < needed:
        has = f", {held:,} in the run," if held else ""
        raise UsageError(
            f"{folder} has {free:,} bytes free{has} and the run's checkpoints need about {needed:,}",
            "Free space, or give --out another disk.",
        )


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    found = path.rglob("*") if path.is_dir() else (path,)
    return sum(p.stat().st_size for p in found if p.is_file())


def _flush(path: Path) -> None:
    if path.exists():
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def found_state(folder: Path, notice: Callable[[str], None] = lambda text: None) -> tuple[Snapshot, dict[str, Any]]:
    """The newest whole state of a run, and the specification that it was made under; damaged ones are told of.

    Raises:
        CorruptRunError: there is none, or the newest whole one is of a later version.
    """
    damaged: list[Damage] = []
    again = f"Train again: jensen train --spec {folder / 'spec.json'} --out NEW."
    for path, files in newest(folder / STATE):
        for damage in damaged[-1:]:
            notice(f"{damage.what}: going back to the checkpoint before it")
        if not isinstance(files, Damage):
            return _read(path, files)
        damaged.append(files)
    if damaged:
        raise CorruptRunError(f"no checkpoint of {folder} is whole ({damaged[0].what})", again)
    raise CorruptRunError(
        f"{folder} holds no state to resume from: it was stopped before the first, told to keep none, or "
        "made by an older jensen",
        again,
    )


def _read(path: Path, files: dict[str, bytes]) -> tuple[Snapshot, dict[str, Any]]:
    try:
        tensors = load_tensors(files[TENSORS])
        facts = parsed(files[FACTS], dict[str, Any])
    except (KeyError, SafetensorError, msgspec.DecodeError) as error:
        raise CorruptRunError(
            f"{path} is no state of a training ({error})", "Remove it: the state before it is used."
        ) from error
    try:
        said = msgspec.convert(facts, _Facts)
        msgspec.convert(said.training, _Training)
    except msgspec.ValidationError as error:  # digests are right, so that it is no damage
        raise CorruptRunError(
            f"{path} holds what this jensen does not know ({error})",
            f"It was written by jensen {facts.get('jensen', '?')}: use that version.",
        ) from error
    if not 1 <= said.format <= FORMAT:
        raise CorruptRunError(
            f"{path} has format {said.format}, and this jensen reads formats 1 to {FORMAT}",
            f"It was written by jensen {said.jensen}: use that version.",
        )
    return Snapshot(tensors, said.training), checked_spec(said.spec, path)


def behind(folder: Path, snapshot: Snapshot, notice: Callable[[str], None] = lambda text: None) -> list[EpochEnded]:
    """The events of the epochs that a state has behind it; later lines of metrics.jsonl are cut off.

    Lines that are damaged or missing are restored from the newest whole state, and that is told.

    Raises:
        CorruptRunError: lines are missing there too, as in states of earlier versions.
    """
    try:
        return _behind(folder, snapshot)
    except CorruptRunError as damage:
        whole = next((files for _, files in newest(folder / STATE) if not isinstance(files, Damage)), {})
        if LINES not in whole:
            raise
        write_atomic(folder / LINES, whole[LINES])
        notice(f"{damage.what}: it is restored from the last state")
        return _behind(folder, snapshot)


def _behind(folder: Path, snapshot: Snapshot) -> list[EpochEnded]:
    path, done = folder / LINES, snapshot.facts["epoch"] - 1
    lines, events = path.read_bytes().splitlines(keepends=True) if path.exists() else [], []
    left, whole = {"epoch": done, "recovered": (snapshot.facts.get("recovered") or {}).get("count", 0)}, 0
    for line in lines:
        if not any(left.values()):
            break
        try:
            event = line_of(line)
            if not left.get(event["event"]):
                break
            left[event["event"]] -= 1
            if event["event"] == "epoch":
                events.append(msgspec.convert({**event, "seconds_left": 0.0}, EpochEnded))
        except msgspec.DecodeError as error:
            raise CorruptRunError(f"{path} is damaged ({error})", "Restore it from a copy.") from error
        whole += 1
    if [e.epoch for e in events] != list(range(1, done + 1)):
        raise CorruptRunError(f"{path} lacks epochs that the state has behind it", "Restore it from a copy.")
    if len(lines) > whole:
        with open(path, "r+b") as file:
            file.truncate(sum(map(len, lines[:whole])))
            file.flush()
            os.fsync(file.fileno())
    return events
