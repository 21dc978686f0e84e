"""A run folder is written by one training at a time, and an old run is lost only to a new one that came to its end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InterruptedRun, RunExistsError, UsageError
from .locks import hold, release
from .runfiles import CHECKPOINTS, EVALUATIONS, FORENSICS, STATE, WRITTEN

__all__ = ["claim", "holding", "writing"]

LOCK, REPLACED = ".lock", ".replaced"


def claim(folder: Path, force: bool) -> None:
    """Make sure that a run can be written here, before any work; nothing is overwritten without `force`.

    Raises:
        RunExistsError: there is something already.
        UsageError: the folder cannot be made or written.
    """
    if folder.exists() and not folder.is_dir():
        raise RunExistsError(f"{folder} is a file", "Give --out the name of a folder.")
    if folder.is_dir() and any(path.name not in (LOCK, REPLACED) for path in folder.iterdir()):
        if not (folder / "spec.json").exists():
            raise RunExistsError(f"{folder} holds files that are not a run's", "Give --out another name.")
        if not force:
            raise RunExistsError(
                f"{folder} holds a run already", "Give --out another name, or replace it with --force."
            )
    place = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(f"{place} cannot be written to", "Give --out a folder of your own.")


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
        except (InterruptedRun, KeyboardInterrupt):
            shutil.rmtree(folder / REPLACED, ignore_errors=True)  # what there is of the new run can be read
            raise
        except BaseException:
            if had_one:
                _bring_back(folder)
            raise
        shutil.rmtree(folder / REPLACED, ignore_errors=True)


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Be the one training that writes into this folder, which is made if need be.

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
        yield
    finally:
        release(folder / LOCK, held)


def _files(folder: Path) -> list[Path]:
    names = (*WRITTEN, STATE, CHECKPOINTS, EVALUATIONS, "tensorboard")
    return [folder / name for name in names if (folder / name).exists()]


def _put_aside(folder: Path) -> bool:
    """Move an earlier run's files out of the way; says whether there were any."""
    aside = folder / REPLACED
    shutil.rmtree(aside, ignore_errors=True)
    found = _files(folder)
    if found:
        aside.mkdir()
        for path in found:
            path.rename(aside / path.name)
    return bool(found)


def _bring_back(folder: Path) -> None:
    for path in _files(folder):
        if path.name != FORENSICS:  # what was wrong with the run that failed
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (folder / REPLACED).iterdir():
        path.rename(folder / path.name)
    (folder / REPLACED).rmdir()
