"""Groups of runs: trainings of one recipe that differ in their seed, or in the values of some options.

Every member is an ordinary run in a folder of its own, equal to the run that is trained alone with its options; the
folder of the group holds them, a record of how far each has come, and a summary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..core.commands import command_line
from ..core.errors import InterruptedRun, NumericalError, UsageError
from ..core.shown import Shown
from ..core.wording import plural
from ..storage.group_record import GroupRecord, State, read_group, write_group
from ..storage.run_folder import is_group
from .group_summary import GroupSummary, summarise
from .run import Run, load

__all__ = ["RunGroup", "done", "ended", "member_folders", "open_group", "said_once", "set_state", "tracked"]


@dataclass(frozen=True)
class RunGroup(Shown):
    """The runs of a group.

    Attributes:
        path: its folder.
        record: its members, and how far each has come.
        opened: runs that are open already, by the name of the member.
    """

    path: Path
    record: GroupRecord
    opened: dict[str, Run] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The names of all members, in their order."""
        return [member["name"] for member in self.record["members"]]

    @property
    def failed(self) -> dict[str, str]:
        """The reasons why members failed, by name."""
        return {m["name"]: m["error"] or "" for m in self.record["members"] if m["state"] == "failed"}

    @property
    def settings(self) -> dict[str, list[str]]:
        """The names of the members of each combination of swept values; of "" where nothing is swept."""
        settings: dict[str, list[str]] = {}
        for member in self.record["members"]:
            settings.setdefault(member["setting"], []).append(member["name"])
        return settings

    @property
    def runs(self) -> list[Run]:
        """The runs of all members that have been trained to the end, opened.

        Raises:
            CorruptRunError: one is damaged.
        """
        return [self.run(member["name"]) for member in self.record["members"] if member["state"] == "finished"]

    def run(self, name: str) -> Run:
        """Return the run of a member, opened.

        Raises:
            UsageError: there is no such member, or no run of it yet.
        """
        if name not in self.names:
            raise UsageError(f"{self.path} has no member {name}", f"It has {', '.join(self.names[:8])}.")
        if name not in self.opened:
            self.opened[name] = load(self.path / name)
        return self.opened[name]

    def __repr__(self) -> str:
        return f"RunGroup({str(self.path)!r}: {done(self)} of {plural(len(self.names), 'member')} done)"

    def summary(self) -> GroupSummary:
        """Return the bounds of all members, with mean and spread over the seeds of each setting.

        Raises:
            UsageError: no member has been trained.
        """
        return summarise(self.path, self.record)

    def best(self) -> Run:
        """Return the run with the highest bound on validation rows, or on training rows where there are none.

        Raises:
            UsageError: no member has been trained, or their numbers are no bounds on the same rows.
        """
        return self.run(self.summary().best)


def open_group(folder: str | Path) -> RunGroup:
    """Open the folder of a group.

    Raises:
        UsageError: it holds no group.
        CorruptRunError: its record is damaged.
    """
    folder = Path(folder)
    if not is_group(folder):
        raise UsageError(f"{folder} is not a group of runs", "Train one: jensen train DATA --seeds 8 --out OUT.")
    return RunGroup(folder, read_group(folder))


def member_folders(name: Path) -> list[Path]:
    """Return the runs that a name stands for: those of a group, or of one setting of it, as OUT/beta-0.5; or itself.

    Raises:
        UsageError: the group has several settings, or a member that was not trained to the end.
        CorruptRunError: the record of the group is damaged.
    """
    folder = name if is_group(name) else name.parent
    if (name.exists() and not is_group(name)) or not is_group(folder):
        return [name]
    group = open_group(folder)
    if folder != name and name.name not in group.settings:
        raise UsageError(f"{folder} has no member or setting {name.name}", f"It has {_some(group)}.")
    if folder == name and len(group.settings) > 1:
        raise UsageError(
            f"{folder} holds several settings: {_some(group)}", f"Name one: {folder / min(group.settings)}."
        )
    chosen = group.settings[name.name if folder != name else next(iter(group.settings))]
    undone = [m["name"] for m in group.record["members"] if m["name"] in chosen and m["state"] != "finished"]
    if undone:
        remedy = f"Go on with {command_line('resume', folder)}, or name runs: a,b,c."
        raise UsageError(
            f"{', '.join(undone)} of {folder} {'were' if undone[1:] else 'was'} not trained to the end", remedy
        )
    return [folder / member for member in chosen]


def _some(group: RunGroup) -> str:
    """Return the names of its settings, at most eight."""
    names = list(group.settings)
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


# --- for whoever trains the members ---


def said_once(notice: Callable[[str], None]) -> Callable[[str], None]:
    """Return a function that notices each text once, however many members have it."""
    said: set[str] = set()

    def once(text: str) -> None:
        if text not in said:
            said.add(text)
            notice(text)

    return once


def done(group: RunGroup) -> int:
    """Return how many members have been trained to the end."""
    return sum(member["state"] == "finished" for member in group.record["members"])


@contextmanager
def tracked(group: RunGroup, name: str, phase: Callable[[str], None]) -> Iterator[None]:
    """Record that a member is trained within the scope, and how that ended; one that failed is left behind."""
    phase(f"{name}, {done(group)} of {len(group.names)} done")
    set_state(group, name, "training")
    try:
        yield
    except InterruptedRun:
        set_state(group, name, "interrupted")
    except NumericalError as error:
        set_state(group, name, "failed", str(error))
    else:
        set_state(group, name, "finished")


def set_state(group: RunGroup, name: str, state: State, error: str | None = None) -> None:
    """Write the state of a member into the record."""
    member = next(member for member in group.record["members"] if member["name"] == name)
    member["state"], member["error"] = state, error
    write_group(group.path, group.record)


def ended(group: RunGroup) -> RunGroup:
    """Return a group whose members have all been trained, or have failed.

    Raises:
        InterruptedRun: some wait, or were interrupted.
    """
    states = [member["state"] for member in group.record["members"]]
    done = sum(state in ("finished", "failed") for state in states)
    if done == len(states):
        return group
    what = f"training stopped with {done} of {plural(len(states), 'member')} done; those are readable runs"
    raise InterruptedRun(what, f"Go on with {command_line('resume', group.path)}.", lambda: group)
