"""Resume the trainings of a group: those that were interrupted, and those that were never begun."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ..core.errors import CorruptRunError, DataError, UsageError
from ..storage.group_record import MemberRecord, read_group
from ..storage.metrics import lines_of
from ..storage.run_folder import METRICS, SPEC, STATE, WEIGHTS
from ..storage.run_lock import locked
from ..storage.specification import read_spec
from ..training import Event
from .group import RunGroup, ended, open_group, said_once, tracked
from .group_summary import write_summary
from .resume import AS_BEFORE, resume
from .run import Run
from .train import train

__all__ = ["resume_group"]

ENDED = ("finished", "early stopping", "converged")  # the reasons with which a training has reached its end


def resume_group(
    folder: str | Path,
    *,
    data: Any = None,
    labels: Any = None,
    test: Any = None,
    test_labels: Any = None,
    epochs: int | None = None,
    patience: int | Literal["auto", "as before"] | None = AS_BEFORE,
    listeners: Sequence[Callable[[Event], None]] = (),
    should_stop: Callable[[], bool] = lambda: False,
    notice: Callable[[str], None] = lambda text: None,
    phase: Callable[[str], None] = lambda text: None,
) -> RunGroup:
    """Go on with the members of a group that have not been trained to the end; or with all, where that has moved.

    Args:
        folder: of the group.
        data, labels, test, test_labels: what it was trained on, where that was in memory, or where it is now.
        epochs, patience: as for `jensen.resume`; with either, members that have finished are resumed too.
        listeners: called with every event.
        should_stop: asked between steps.
        notice: called with what the user should know.
        phase: called with the member that is trained next.

    Raises:
        UsageError: it is no group, or there is nothing left to do.
        CorruptRunError: no state of a member is whole, or the record is damaged.
        DataError: the data are gone, or have changed.
        InterruptedRun: training was stopped again.
    """
    path = open_group(folder).path
    given = {"data": data, "labels": labels, "test": test, "test_labels": test_labels}
    given = {name: value for name, value in given.items() if value is not None}
    changed = ({} if epochs is None else {"epochs": epochs}) | ({} if patience == AS_BEFORE else {"patience": patience})
    notice = said_once(notice)
    how = {"listeners": listeners, "should_stop": should_stop, "notice": notice}
    with locked(path):
        group = RunGroup(path, read_group(path))
        group.record["command"] |= changed  # for those that are left when this is stopped
        for member in _left(group, changed, notice):
            if should_stop():
                break
            place = path / member["name"]
            with tracked(group, member["name"], phase):
                if (place / STATE).is_dir() and (place / SPEC).exists():
                    go_on = partial(resume, place, **given, **_others(group, member, changed), **how)
                else:
                    command = {**group.record["command"], **member["options"], **given, **changed}
                    go_on = partial(_train_member, place, command, **how)
                group.opened[member["name"]] = go_on()
            if member["state"] == "interrupted":
                break
        write_summary(group.path, group.record)
    return ended(group)


def _left(group: RunGroup, changed: dict[str, Any], notice: Callable[[str], None]) -> list[Any]:
    """Return the records of the members that are to be trained, after setting the states of those that have ended.

    Raises:
        UsageError: there are none.
    """
    for member in group.record["members"]:
        ended = _ended(group.path / member["name"])
        if ended is not None:  # also one after which the group was killed at once
            member["state"] = "waiting" if _goes_on(group, member, ended, changed) else "finished"
    for name, error in group.failed.items():
        notice(f"{name} failed, and is left as it is: {error}")
    left = [member for member in group.record["members"] if member["state"] not in ("failed", "finished")]
    if not left:
        raise UsageError(f"no member of {group.path} is left to be trained", "Train all of them beyond: --epochs N.")
    return left


def _ended(folder: Path) -> dict[str, Any] | None:
    """Return the last line of a member whose run is there, and was trained to the end; None of others."""
    if not (folder / SPEC).exists() or not (folder / WEIGHTS).exists():
        return None
    with suppress(CorruptRunError):
        lines = list(lines_of(folder / METRICS))
        if lines and lines[-1]["event"] == "stopped" and lines[-1]["reason"] in ENDED:
            return lines[-1]
    return None


def _goes_on(group: RunGroup, member: MemberRecord, ended: dict[str, Any], changed: dict[str, Any]) -> bool:
    """Return whether a member that has ended is to be trained further, now or since an earlier change."""
    others = _others(group, member, changed)
    if ended["epoch"] < others.get("epochs", 0):
        return True
    return ended["reason"] == "early stopping" and "patience" in others


def _others(group: RunGroup, member: MemberRecord, changed: dict[str, Any]) -> dict[str, Any]:
    """Return the epochs and the patience that a member is to have now, where its run was made with others."""
    choices = read_spec(group.path / member["name"])["choices"]
    wanted = {**group.record["command"], **member["options"], **changed}
    epochs, patience = wanted.get("epochs"), wanted.get("patience", "auto")
    others: dict[str, Any] = {}
    if epochs is not None and epochs > choices["epochs"]:
        others["epochs"] = epochs
    if patience not in ("auto", choices.get("patience")) or "patience" in changed:
        others["patience"] = patience
    return others


def _train_member(place: Path, command: dict[str, Any], **how: Any) -> Run:
    """Train a member from its start.

    Raises:
        DataError: the data were in memory, and are not given again.
    """
    if command["data"] is None:
        raise DataError(
            f"{place.parent} is trained on data in memory, which are not kept",
            "Give them: --data FILE (in Python, jensen.resume_group(GROUP, data=...)).",
        )
    options = {name: value for name, value in command.items() if name != "data"}
    return train(command["data"], out=place, force=place.exists(), recorded=options.keys(), **how, **options)
