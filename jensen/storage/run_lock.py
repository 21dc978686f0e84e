"""The lock of a run folder: one training writes at a time, and only a resumable or finished run replaces another.

With `force` the old run's files wait in `.replaced` until the new run has ended or has a training state. They get
there, and back, by way of `.moving`, so that whenever a training is killed each run is whole in one place, or its files
are in two that are known to belong together.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..core.errors import CorruptRunError, InterruptedRun, RunExistsError, UsageError
from .commits import Damage, newest
from .entries import check_entries
from .locks import acquire, release
from .metrics import lines_of
from .run_folder import (
    CHECKPOINTS,
    EVALUATIONS,
    FAULTS,
    LOCK,
    METRICS,
    MOVING,
    REPLACED,
    SPEC,
    STATE,
    TEMPORARY,
    TENSORBOARD,
    TRACKERS,
    WEIGHTS,
    WRITTEN,
    is_written,
)

__all__ = ["check_target", "locked", "replaced_run", "writing"]

OF_TRAINING = (WEIGHTS, METRICS, FAULTS, SPEC)  # files that no other command writes
ABANDONED = 3600.0  # seconds after which no other command is still writing a file


def check_target(folder: Path, force: bool) -> None:
    """Check that a run can be written here, before any work; nothing is overwritten without `force`.

    A run that a killed training had moved aside without writing another is restored.

    Raises:
        RunExistsError: there is something already.
        UsageError: the folder cannot be made or written.
        CorruptRunError: it holds an entry that is neither a regular file nor a folder.
    """
    if folder.exists() and not folder.is_dir():
        raise RunExistsError(f"{folder} is a file", "Give --out the name of a folder.")
    if _is_half_moved(folder):
        with locked(folder):
            pass
    _check_content(folder, force)
    check_entries(folder)
    place = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(f"{place} cannot be written to", "Give --out a folder of your own.")


def _check_content(folder: Path, force: bool) -> None:
    """Refuse a folder that holds other files, or a run that may not be replaced."""
    if not folder.is_dir():
        return
    if all(path.name in (LOCK, REPLACED) or _unfinished_name(path) for path in folder.iterdir()):
        return
    if not (folder / SPEC).exists():
        raise RunExistsError(f"{folder} holds files that are not a run's", "Give --out another name.")
    if not force:
        aside = replaced_run(folder)
        waits = "" if aside is None else f", and the one that it was to replace in {aside}"
        raise RunExistsError(
            f"{folder} holds a run already{waits}", "Give --out another name, or replace it with --force."
        )


def replaced_run(folder: Path) -> Path | None:
    """Return the folder of the run that a training here was to replace, and has not replaced yet; None without one."""
    aside = folder / REPLACED
    return aside if (aside / SPEC).exists() else None


@contextmanager
def writing(folder: Path, force: bool) -> Iterator[None]:
    """Lock a folder while a run is written into it; an earlier run's files wait aside, and return if this one fails.

    Raises:
        RunExistsError: another training holds it, or has filled it in the meantime.
        UsageError: the folder cannot be made or written.
    """
    with locked(folder):
        check_target(folder, force)
        replaces = _move_aside(folder)
        try:
            yield
        except InterruptedRun as error:  # the new run can be read as far as it was written
            aside = None if _is_resumable_or_finished(folder) else replaced_run(folder)
            if aside is None:
                raise
            raise InterruptedRun(
                f"{error.what}, but holds no training state; the run that it was to replace is in {aside}",
                f"Look at either with jensen evaluate, or train again: --force replaces {folder} alone.",
            ) from error
        except BaseException as error:
            if replaces and not (isinstance(error, KeyboardInterrupt) and _is_resumable_or_finished(folder)):
                _restore_replaced(folder)
            raise


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder, which is made if need be, for one training.

    What killed trainings left is resolved: unfinished files are removed, a run that was being moved aside is restored,
    and one that waits there is removed once the new run is resumable or finished.

    Raises:
        RunExistsError: another training holds it.
        UsageError: the folder cannot be made or written.
        CorruptRunError: it holds an entry that is neither a regular file nor a folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_entries(folder)
        handle = acquire(folder / LOCK)
    except RunExistsError:
        raise  # which is an OSError too
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written ({error.strerror})", "Give --out a folder of your own."
        ) from error
    try:
        _remove_unfinished(folder)
        try:
            _resolve_replacement(folder)
        except OSError as error:
            raise CorruptRunError(
                f"{folder} holds an earlier run in {REPLACED} or {MOVING} that cannot be moved ({error})",
                "Move what is there out of the folder.",
            ) from error
        try:
            yield
        finally:
            with suppress(OSError):  # the next process that locks the folder tries again
                _resolve_replacement(folder)
    finally:
        release(folder / LOCK, handle)


def _remove_unfinished(folder: Path) -> None:
    """Remove files that were written in part: a training's, since it has the lock, and old ones of any command."""
    for place in (folder, folder / CHECKPOINTS, folder / EVALUATIONS):
        for path in place.iterdir() if place.is_dir() else ():
            name = _unfinished_name(path)
            with suppress(OSError):
                ours = name in OF_TRAINING or place.name == CHECKPOINTS
                if name and (ours or time.time() - path.stat().st_mtime > ABANDONED):
                    path.unlink()


def _unfinished_name(path: Path) -> str | None:
    """Return the name that a file of a run would have had, if its writing had finished; None for any other file."""
    match = TEMPORARY.fullmatch(path.name)
    if match is None or not path.is_file():
        return None
    return match[1] if is_written(match[1]) or path.parent.name in (CHECKPOINTS, EVALUATIONS) else None


def _is_resumable_or_finished(folder: Path) -> bool:
    """Return whether a run may replace an earlier one: its training has ended, or can be resumed."""
    if not (folder / SPEC).exists() or not (folder / WEIGHTS).exists():
        return False
    with suppress(CorruptRunError, OSError):
        lines = list(lines_of(folder / METRICS))
        if lines and lines[-1]["event"] == "stopped" and lines[-1]["reason"] not in ("failed", "interrupted"):
            return True
    return any(not isinstance(files, Damage) for _, files in newest(folder / STATE))


def _is_half_moved(folder: Path) -> bool:
    """Return whether a training was killed while it moved a run, or before it wrote the first file of its own."""
    return (folder / MOVING).is_dir() or (replaced_run(folder) is not None and not (folder / SPEC).exists())


def _resolve_replacement(folder: Path) -> None:
    """Restore a run that was moved aside without another in its place; remove one that has been replaced."""
    if _is_half_moved(folder):
        _restore_replaced(folder)
    elif (folder / REPLACED).is_dir() and _is_resumable_or_finished(folder):
        shutil.rmtree(folder / REPLACED, ignore_errors=True)


def _files(folder: Path) -> list[Path]:
    """Return the files and folders of the run in a folder."""
    names = (*WRITTEN, STATE, CHECKPOINTS, EVALUATIONS, TENSORBOARD, TRACKERS)
    others = [p.name for p in sorted(folder.glob("*.*")) if is_written(p.name) and p.name not in names]  # results
    return [folder / name for name in (*others, *names) if (folder / name).exists()]


def _remove(paths: list[Path]) -> None:
    for path in paths:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _move_aside(folder: Path) -> bool:
    """Move an earlier run's files aside, and return whether a run waits there.

    Where one waits already, the files here are those of a run that neither ended nor can be resumed, and are removed.
    """
    aside, moving, files = folder / REPLACED, folder / MOVING, _files(folder)
    if replaced_run(folder) is not None:
        _remove(files)
        return True
    shutil.rmtree(aside, ignore_errors=True)
    if files:
        moving.mkdir()
        for path in files:
            path.rename(moving / path.name)
        moving.rename(aside)
    return bool(files)


def _restore_replaced(folder: Path) -> None:
    """Move the run that waits aside, or that was being moved, back to its place."""
    aside, moving = folder / REPLACED, folder / MOVING
    if not moving.is_dir():
        _remove([path for path in _files(folder) if path.name != FAULTS])  # which says why the new run failed
        aside.rename(moving)
    for path in moving.iterdir():
        path.replace(folder / path.name)
    moving.rmdir()
