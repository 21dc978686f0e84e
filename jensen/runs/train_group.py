"""Train the members of a group: those of one shape together, and the others one after another."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import UsageError
from ..core.wording import plural
from ..data import EMBEDDED, is_in_memory
from ..recipes.likelihoods import in_own_units
from ..storage.group_record import GroupRecord, check_group_target, read_group, write_group
from ..storage.run_folder import is_group
from ..storage.run_lock import check_target, locked, writing
from ..training import Event
from ..training.lockstep import partition
from .calls import ModelParts, check_job, default_folder, make_job, option_names
from .group import RunGroup, done, ended, said_once, tracked
from .group_summary import write_summary
from .interrupts import interruptible
from .job import Job
from .members import Member, check_names, expand
from .train_stack import train_stack
from .training_data import Sources, TrainingData

__all__ = ["train_group"]

PLACES = ("data", "test", "labels", "test_labels", "init_from")  # options that may name a file


def train_group(
    data: Any,
    parts: ModelParts,
    *,
    out: str | Path | None,
    seeds: int | None,
    sweep: Mapping[str, Sequence[Any]] | None,
    options: dict[str, Any],
    force: bool,
    recorded: Collection[str],
    listeners: Sequence[Callable[[Event], None]],
    should_stop: Callable[[], bool],
    notice: Callable[[str], None],
    phase: Callable[[str], None],
) -> RunGroup:
    """Train the members of a group; see `jensen.runs.train.train` for the arguments.

    A member whose numbers stop being finite is recorded as failed, and the others are trained.

    Raises:
        JensenError: of any member, before anything is written where that can be known.
        InterruptedRun: training was stopped; `jensen resume` goes on with all members.
    """
    notice = said_once(notice)
    members, folder, jobs = _jobs(data, parts, out, seeds, sweep, options)
    check_group_target(folder, force)
    for job in jobs:
        check_target(job.folder, force)
    _prepare(jobs, recorded, notice)
    _tell_left(folder, members, notice)
    record = _record(members, jobs[0])
    with locked(folder), interruptible(should_stop, listeners) as (stop, heard):
        write_group(folder, record)
        group = RunGroup(folder, record)
        stacks, others = _stacks(group, jobs, notice)
        for places in stacks:
            phase(f"{len(places)} together, {done(group)} of {len(jobs)} done")
            train_stack(group, [(members[i].name, jobs[i]) for i in places], force, heard, stop, notice)
        for place in others:
            if stop():
                break
            with tracked(group, members[place].name, phase), writing(jobs[place].folder, force):
                jobs[place].run(heard, stop, notice)
                jobs[place].settle()
                group.opened[members[place].name] = jobs[place].opened()
        write_summary(group.path, group.record)
        return ended(group)


def _jobs(
    data: Any,
    parts: ModelParts,
    out: str | Path | None,
    seeds: int | None,
    sweep: Mapping[str, Sequence[Any]] | None,
    options: dict[str, Any],
) -> tuple[list[Member], Path, list[Job]]:
    """Return the members, the folder of the group, and the training of each.

    Raises:
        UsageError: an option that cannot work, or a model of the user's own.
    """
    if parts.model is not None:
        raise UsageError(
            "a model of your own is trained in place, and cannot be trained several times at once",
            "Call train once per seed, each time with a model made anew; or write a recipe: jensen.recipe.",
        )
    recipe = parts.chosen(None)
    check_names(sweep or (), option_names(recipe), recipe.name)
    members = expand(seeds, sweep, options)
    folder = default_folder(Sources(data).name, recipe.name) if out is None else Path(out)
    return members, folder, [make_job(data, parts, folder / m.name, {**options, **m.options}) for m in members]


def _prepare(jobs: Sequence[Job], recorded: Collection[str], notice: Callable[[str], None]) -> None:
    """Read the data, once for all members that prepare them alike, make all models, and check everything."""
    prepared: list[tuple[Any, TrainingData]] = []
    for job in jobs:
        key = _data_key(job)
        job.prepare(notice, next((data for known, data in prepared if known == key), None))
        if all(known != key for known, _ in prepared):
            prepared.append((key, job.training_data))
        check_job(job, recorded, notice)


def _data_key(job: Job) -> Any:
    """Return what decides about the prepared data of a member beside its sources, which all members share."""
    own_seed = job.recipe.labels == "partial"  # which hides labels by it
    reading = job.reading if own_seed else replace(job.reading, seed=0)
    likelihood = str(job.options.get("likelihood"))
    return reading, in_own_units(likelihood), likelihood == "columns", job.device, job.dtype


def _record(members: Sequence[Member], job: Job) -> GroupRecord:
    """Return the record of a group before its first member, whose training this is, is begun."""
    swept = {name for member in members for name in member.options}
    command = {name: _located(name, value) for name, value in job.command().items() if name not in swept}
    if is_in_memory(job.sources.data):
        command["data"] = None
    own = [{name: _located(name, value) for name, value in member.options.items()} for member in members]
    return {
        "command": command,
        "members": [
            {"name": m.name, "setting": m.setting, "options": options, "state": "waiting", "error": None}
            for m, options in zip(members, own, strict=True)
        ],
        "how": "not begun",
    }


def _located(name: str, value: Any) -> Any:
    """Return the path of a file that there is as an absolute one, so that it is found from elsewhere too."""
    if name not in PLACES or value is None or value in EMBEDDED:
        return value
    return str(Path(value).resolve()) if Path(value).exists() else str(value)


def _tell_left(folder: Path, members: Sequence[Member], notice: Callable[[str], None]) -> None:
    """Notice the members of an earlier group that none of the new members replaces."""
    if is_group(folder):
        names = {member.name for member in members}
        left = [m["name"] for m in read_group(folder)["members"] if m["name"] not in names]
        left = [name for name in left if (folder / name).exists()]
        if left:
            are = (
                "are of the earlier group, and stay as they are"
                if len(left) > 1
                else "is of the earlier group, and stays as it is"
            )
            notice(f"{', '.join(left)} in {folder} {are}; the record of the group no longer names them")


def _stacks(
    group: RunGroup, jobs: Sequence[Job], notice: Callable[[str], None]
) -> tuple[tuple[tuple[int, ...], ...], list[int]]:
    """Return the places of the members that are trained together, and of those that are trained in turn."""
    parts = partition([job.loop(job.trainer) for job in jobs])
    group.record["how"] = "together" if parts.together else "in turn"
    if parts.reasons:
        why = next(iter(parts.reasons.values()))
        group.record["how"] += f"; {plural(len(parts.reasons), 'member')} in turn: {why}"
        if len(jobs) > 1 and parts.worth_saying:
            notice(f"{plural(len(parts.reasons), 'member')} of {len(jobs)} trained in turn, one after another: {why}")
    write_group(group.path, group.record)
    return parts.together, sorted(parts.reasons)
