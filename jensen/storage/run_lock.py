"""A run folder is written by one training at a time, and an old run is lost only to a new one that can stand for it.

With `force` the old run's files wait in `.replaced` until the new run has ended or has a state to resume from. They
get there, and back, by way of `.moving`, so that whenever a training is killed each run is whole in one place, or its
files are in two that say so.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..core.errors import CorruptRunError, InterruptedRun, RunExistsError, UsageError
from .commits import Damage, newest
from .locks import hold, release
from .run_folder import CHECKPOINTS, EVALUATIONS, FORENSICS, REPLACED, STATE, WRITTEN
from .schemas import lines_of

__all__ = ["claim", "holding", "replaced", "writing"]

LOCK, MOVING = ".lock", ".moving"
TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{8}")  # see `jensen.storage.files.write_atomic`
OF_TRAINING = ("model.safetensors", "metrics.jsonl", FORENSICS, "spec.json")  # what no other command writes
ABANDONED = 3600.0  # seconds after which no other command is still writing a file


def claim(folder: Path, force: bool) -> None:
    """Make sure that a run can be written here, before any work; nothing is overwritten without `force`.

    A run that a killed training had moved aside, and put nothing in the place of, is brought back.

    Raises:
        RunExistsError: there is something already.
        UsageError: the folder cannot be made or written.
    """
    if folder.exists() and not folder.is_dir():
        raise RunExistsError(f"{folder} is a file", "Give --out the name of a folder.")
    if _is_half_moved(folder):
        with holding(folder):
            pass
    _check(folder, force)
    place = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(f"{place} cannot be written to", "Give --out a folder of your own.")


def _check(folder: Path, force: bool) -> None:
    if not folder.is_dir():
        return
    if all(path.name in (LOCK, REPLACED) or _half_written(path) for path in folder.iterdir()):
        return
    if not (folder / "spec.json").exists():
        raise RunExistsError(f"{folder} holds files that are not a run's", "Give --out another name.")
    if not force:
        aside = replaced(folder)
        waits = "" if aside is None else f", and the one that it was to replace in {aside}"
        raise RunExistsError(
            f"{folder} holds a run already{waits}", "Give --out another name, or replace it with --force."
        )


def replaced(folder: Path) -> Path | None:
    """Where the run waits that a training here was to replace, and did not come far enough to; None without one."""
    aside = folder / REPLACED
    return aside if (aside / "spec.json").exists() else None


@contextmanager
def writing(folder: Path, force: bool) -> Iterator[None]:
    """Hold the folder while a run is written into it; an earlier run's files wait aside, and return if this one fails.

    Raises:
        RunExistsError: another training holds it, or has filled it meanwhile.
        UsageError: the folder cannot be made or written.
    """
    with holding(folder):
        claim(folder, force)
        had_one = _put_aside(folder)
        try:
            yield
        except InterruptedRun as error:  # what there is of the new run can be read
            aside = None if _stands(folder) else replaced(folder)
            if aside is None:
                raise
            raise InterruptedRun(
                f"{error.what}, but holds no state to resume from; the run that it was to replace is in {aside}",
                f"Look at either with jensen evaluate, or train again: --force replaces {folder} alone.",
            ) from error
        except BaseException as error:
            if had_one and not (isinstance(error, KeyboardInterrupt) and _stands(folder)):
                _bring_back(folder)
            raise


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Be the one training that writes into this folder, which is made if need be.

    What killed ones left behind is put in order: files written in part go, a run that was on its way aside returns, and
    one that waits there goes as soon as the new one stands.

    Raises:
        RunExistsError: another training holds it.
        UsageError: the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = hold(folder / LOCK)
    except RunExistsError:
        raise  # it is an OSError too
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written ({error.strerror})", "Give --out a folder of your own."
        ) from error
    try:
        _sweep(folder)
        _settle(folder)
        try:
            yield
        finally:
            with suppress(OSError):  # the next to hold it tries again
                _settle(folder)
    finally:
        release(folder / LOCK, held)


def _sweep(folder: Path) -> None:
    """Remove files whose writing never ended: a training's, since it holds the folder, and old ones of any command."""
    for place in (folder, folder / CHECKPOINTS, folder / EVALUATIONS):
        for path in place.iterdir() if place.is_dir() else ():
            name = _half_written(path)
            with suppress(OSError):
                ours = name in OF_TRAINING or place.name == CHECKPOINTS
                if name and (ours or time.time() - path.stat().st_mtime > ABANDONED):
                    path.unlink()


def _half_written(path: Path) -> str | None:
    """The name that a file of a run would have had, if its writing had ended; None of any other."""
    found = TEMPORARY.fullmatch(path.name)
    known = found is not None and (found[1] in WRITTEN or path.parent.name in (CHECKPOINTS, EVALUATIONS))
    return found[1] if found is not None and known and path.is_file() else None


def _stands(folder: Path) -> bool:
    """Whether a run is worth an earlier one: its training came to an end, or can be gone on with."""
    if not (folder / "spec.json").exists() or not (folder / "model.safetensors").exists():
        return False
    with suppress(CorruptRunError, OSError):
        lines = list(lines_of(folder / "metrics.jsonl"))
        if lines and lines[-1]["event"] == "stopped" and lines[-1]["reason"] not in ("failed", "interrupted"):
            return True
    return any(not isinstance(found, Damage) for _, found in newest(folder / STATE))


def _is_half_moved(folder: Path) -> bool:
    """Whether a training was killed while it moved a run aside or back, or before it wrote the first of its own."""
    return (folder / MOVING).is_dir() or (replaced(folder) is not None and not (folder / "spec.json").exists())


def _settle(folder: Path) -> None:
    """Bring back a run of which nothing has taken the place; drop one that has been replaced."""
    if _is_half_moved(folder):
        _bring_back(folder)
    elif (folder / REPLACED).is_dir() and _stands(folder):
        shutil.rmtree(folder / REPLACED, ignore_errors=True)


def _files(folder: Path) -> list[Path]:
    names = (*WRITTEN, STATE, CHECKPOINTS, EVALUATIONS, "tensorboard")
    return [folder / name for name in names if (folder / name).exists()]


def _remove(paths: list[Path]) -> None:
    for path in paths:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _put_aside(folder: Path) -> bool:
    """Move an earlier run's files out of the way; says whether any wait there.

    Where a run waits already, what is here never ended and goes: otherwise it would have been dropped.
    """
    aside, moving, found = folder / REPLACED, folder / MOVING, _files(folder)
    if replaced(folder) is not None:
        _remove(found)
        return True
    shutil.rmtree(aside, ignore_errors=True)
    if found:
        moving.mkdir()
        for path in found:
            path.rename(moving / path.name)
        moving.rename(aside)
    return bool(found)


def _bring_back(folder: Path) -> None:
    """Move the run that waits aside, or that was being moved, back to its place."""
    aside, moving = folder / REPLACED, folder / MOVING
    if not moving.is_dir():
        _remove([path for path in _files(folder) if path.name != FORENSICS])  # what was wrong with the run that failed
        aside.rename(moving)
    for path in moving.iterdir():
        path.replace(folder / path.name)
    moving.rmdir()
