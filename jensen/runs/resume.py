"""Resume a training that was stopped, killed or finished: bit-identical to an uninterrupted run."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from ..core.errors import CorruptRunError, DataError, UsageError
from ..core.parts import with_defaults
from ..core.processes import ALONE, Processes
from ..core.records import differences
from ..data import is_in_memory
from ..storage.run_folder import SPEC
from ..storage.run_lock import locked
from ..storage.specification import read_spec
from ..storage.training_state import completed_epochs, read_newest_state
from ..storage.weights import FREE_OPTIONS
from ..training import EpochEnded, Event, Snapshot
from .interrupts import interruptible
from .places import labels_at, located
from .players import are_in_words
from .process_choices import refuse_other_number, with_processes
from .relocation import given_again
from .run import Run
from .train import Job, Sources, recorded_recipe, sorted_options

__all__ = ["AS_BEFORE", "resume"]

Parts = Mapping[str, Callable[..., Any]] | None

# what must be as it was: paths and versions may differ, and the number of epochs if another is asked for
DATA = ("sha256", "n", "missing", "schema", "classes", "conditions")
FREE = ("threads", "patience", "patience_changed")  # which change no step: patience only decides when to stop
FREE += ("processes", "own_noise", "launch", "regrouped")  # which `refuse_other_number` looks at
AS_BEFORE: Literal["as before"] = "as before"
ROUNDING = 1e-5  # of a scale: single precision, summed over many rows in another order


def resume(
    folder: str | Path,
    *,
    data: Any = None,
    labels: Any = None,
    test: Any = None,
    test_labels: Any = None,
    parts: Mapping[str, Callable[..., Any]] | None = None,
    epochs: int | None = None,
    patience: int | Literal["auto", "as before"] | None = AS_BEFORE,
    listeners: Sequence[Callable[[Event], None]] = (),
    should_stop: Callable[[], bool] = lambda: False,
    notice: Callable[[str], None] = lambda text: None,
    processes: Processes = ALONE,
    regroup: bool = False,
) -> Run:
    """Resume a training that was stopped or killed; the result is bit-identical to an uninterrupted run.

    That holds for the same versions, machine and number of threads; differences in them are noticed. With more
    `epochs`, schedules of learning rates and weights are stretched from here on.

    Args:
        folder: the run's.
        data, labels, test, test_labels: what it was trained on, where that was in memory, or where it is now.
        parts: of the user's own, as for `load`.
        epochs: passes over the data in all, those that were made included; by default as before.
        patience: as for `train`; None goes on with a training that patience ended. By default as before.
        listeners: called with every event.
        should_stop: asked between steps.
        notice: called with what the user should know.
        processes: that train together, as many as before; `regroup` permits others, and records it.

    Returns:
        The run, opened.

    Raises:
        UsageError: there is nothing left to do, or the number of processes is another.
        CorruptRunError: no state of it is whole, or its specification was changed since.
        DataError: the data are gone, or have changed.
        InterruptedRun: `should_stop` said so, or Ctrl-C was pressed; the run is readable and can be resumed.
    """
    path = Path(folder)
    spec = read_spec(path)
    refuse_other_number(path, spec, processes, regroup)
    notice = notice if processes.is_first else lambda text: None
    with processes.in_first(lambda: locked(path)):
        kept, was = read_newest_state(path, notice)
        _refuse(was, spec, f"{path / SPEC} is not what its last state was trained by")
        given = _at_new_places(spec, _folders_again(path, spec, Sources(data, labels, test, test_labels)))
        job = _job(path, spec, given, parts, _changed(epochs, patience), processes)
        _refuse_ended(path, kept, job.budget.epochs, spec["choices"]["epochs"], patience != AS_BEFORE)
        spec = _continued(job, spec, _prepared(job, spec, notice), given, epochs, patience, processes)
        with interruptible(should_stop, listeners) as (stop, heard):
            start = _with_threads(kept, spec), _completed_epochs(path, kept, notice, processes)
            job.run(heard, stop, notice, start, spec)
    job.settle()
    processes.barrier()
    return job.opened()


def _continued(
    job: Job,
    spec: dict[str, Any],
    made: dict[str, Any],
    given: Sources,
    epochs: int | None,
    patience: int | Literal["auto", "as before"] | None,
    processes: Processes,
) -> dict[str, Any]:
    """Return the specification of a training that goes on: with its data at new places, and more epochs, if any."""
    moved = spec if given.data is None else _moved(spec, made)
    return with_processes(_updated(moved, made, epochs, patience), spec, processes, job.own_noise)


def _completed_epochs(
    path: Path, kept: Snapshot, notice: Callable[[str], None], processes: Processes
) -> list[EpochEnded]:
    """Return the events of the epochs that are complete, once all processes have read what is about to change."""
    processes.barrier()
    return completed_epochs(path, kept, notice) if processes.is_first else []


def _prepared(job: Job, spec: dict[str, Any], notice: Callable[[str], None]) -> dict[str, Any]:
    """Prepare a training to go on with, and return its specification, which must be that of the run.

    Raises:
        CorruptRunError: showing what is different.
        DataError: the data have changed.
    """
    job.prepare(notice)
    job.check_space(again=True)
    made = job.spec()
    _refuse_other_data(spec, made)
    known = {k: made["command"].get(k) for k in spec["command"]}  # options that are younger are left out
    again = {**made, "command": known | {"init_from": spec["command"].get("init_from")}}  # weights are the state's
    _refuse(spec, again, f"{job.folder} would not be trained as it was", computed=True)
    _tell(spec, made, notice)
    return made


def _changed(epochs: int | None, patience: int | str | None) -> dict[str, Any]:
    """Return the options of `train` that are others than before."""
    options: dict[str, Any] = {} if epochs is None else {"epochs": epochs}
    return options if patience == AS_BEFORE else {**options, "patience": patience}


def _refuse_ended(path: Path, kept: Snapshot, epochs: int, before: int, patient: bool) -> None:
    """Refuse to go on with a training that has ended, unless it is to be longer than before, or more patient.

    Raises:
        UsageError: it has made all its epochs, or ended before.
    """
    done, reason = kept.facts["epoch"] - 1, kept.facts["ended"]
    early = reason == "early stopping" and done < epochs
    if done < epochs and (not reason or epochs != before or (early and patient)):
        return
    if early:
        since = f"the validation bound had not risen since epoch {kept.facts['best_epoch']}"
        raise UsageError(f"{path} stopped at epoch {done} of {epochs}: {since}", "Go on to the end: --patience none.")
    what = f"{path} has made {done} epochs already ({reason or 'interrupted'})"
    raise UsageError(what, f"Train beyond them: --epochs {2 * max(done, 1)}.")


def _at_new_places(spec: dict[str, Any], given: Sources) -> Sources:
    """Return the sources with files read from their new places, which must hold the data of the run.

    Raises:
        DataError: they hold others.
    """
    new = [place for place in (given.data, given.test) if place is not None and not is_in_memory(place)]
    if not new:
        return given
    data, test = given_again(spec, given)
    return Sources(given.data if data is None else data, test=given.test if test is None else test)


def _folders_again(path: Path, spec: dict[str, Any], given: Sources) -> Sources:
    """Return the sources with folders of images by their places: their files may be in another order than the rows."""
    tested = spec["split"]["test"]
    data, test = (_folder(path, record) for record in (spec["data"], tested))
    return replace(
        given, data=data if given.data is None else given.data, test=test if given.test is None else given.test
    )


def _folder(path: Path, record: dict[str, Any] | None) -> str | None:
    """Return where a folder of images lies; None of other data, and where it is not found."""
    if record is None or not record["location"]:
        return None
    places = (path.resolve() / (record.get("beside") or record["location"]), Path(record["location"]))
    return next((os.path.normpath(place) for place in places if place.is_dir()), None)


def _moved(spec: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    """Return the specification with the places of the files that were given to go on with."""
    data, split, was = spec["data"], spec["split"], spec["data"]["location"]
    if made["data"]["readable"]:
        now = made["data"]["location"]
        where = {k: made["data"][k] for k in ("location", "beside", "readable")}
        data = {**data, **where, "labels_from": labels_at(data["labels_from"], was, now)}
    tested, again = split["test"], made["split"]["test"]
    if tested is not None and again is not None and again["location"]:
        old, new = tested["location"], again["location"]
        moved = {k: labels_at(tested[k], old, new) for k in ("labels_from", "own_labels")}
        split = {**split, "test": {**tested, "location": new, "beside": again["beside"], **moved}}
    return {**spec, "data": data, "split": split}


def _updated(
    spec: dict[str, Any], made: dict[str, Any], epochs: int | None, patience: int | str | None
) -> dict[str, Any]:
    """Return the specification to go on with: with trees of its players, and more epochs if they were asked for."""
    if are_in_words(spec):
        spec = {**spec, "players": made["players"]}
    kept = _patience_kept(spec, made, patience)
    longer = made["choices"]["epochs"] != spec["choices"]["epochs"]
    own = (made if longer else spec)["choices"]
    choices = {k: v for k, v in own.items() if k != "patience_changed" and (longer or k != "patience")} | kept
    choices["threads"] = spec["choices"]["threads"]  # those of the first step
    if not longer:
        return {**spec, "choices": choices}
    command = {**spec["command"], "epochs": made["choices"]["epochs"]}
    return {**spec, **{k: made[k] for k in ("players", "sentence")}, "choices": choices, "command": command}


def _patience_kept(spec: dict[str, Any], made: dict[str, Any], patience: int | str | None) -> dict[str, Any]:
    """Return the choices about patience to go on with; a change is marked, since the command stays as it was."""
    before = spec["choices"]
    if patience == AS_BEFORE:
        names = ("patience", "patience_changed")
        same = before["epochs"] == made["choices"]["epochs"]  # an earlier version recorded none
        return {k: before[k] for k in names if k in before} if same or before.get("patience_changed") else {}
    changed = {"patience_changed": True} if patience != "auto" else {}
    return {"patience": made["choices"]["patience"], **changed}


def _threads(spec: dict[str, Any]) -> int | Literal["auto"]:
    """Return the threads that the training was asked for; earlier versions kept the number that they began with."""
    return spec["command"].get("threads", spec["choices"]["threads"])


def _with_threads(kept: Snapshot, spec: dict[str, Any]) -> Snapshot:
    """Return the state with its number of threads, which is in the specification where the state has none."""
    if kept.facts.get("threads"):
        return kept
    number = spec["choices"]["threads"]
    return replace(kept, facts={**kept.facts, "threads": {"now": number, "chosen": number}})


def _job(
    path: Path, spec: dict[str, Any], given: Sources, parts: Parts, changed: dict[str, Any], processes: Processes
) -> Job:
    """Return the training that the specification records, with these options changed."""
    tested = spec["split"]["test"]
    if given.data is None and not spec["data"].get("readable"):
        raise DataError(
            f"{path} was trained on data in memory, which are not kept",
            "Give them: --data FILE (in Python, jensen.resume(RUN, data=...)).",
        )
    if given.test is None and tested is not None and not tested["location"]:
        raise DataError(
            f"{path} had test rows in memory, which are not kept",
            "Give them: --test FILE (in Python, jensen.resume(RUN, test=...)).",
        )
    if given.data is None:
        located(path, spec["data"], labels=None, size=spec["data"]["resize"], missing=bool(spec["data"]["missing"]))
    recipe, sources, command = recorded_recipe(spec, path, parts)
    if given.data is not None:
        sources = replace(given, known=sources.known)
    elif given != Sources(None):
        sources = replace(given, data=sources.data, known=sources.known)
    reading, training, rest = sorted_options(command | {"init_from": None, "threads": _threads(spec)} | changed)
    return Job(sources, recipe, reading, training, recipe.checked(rest), path, processes)


def _essence(spec: dict[str, Any], longer: bool, in_words: bool) -> dict[str, Any]:
    """Return what decides about the weights; without what follows from the number of epochs, if that is another.

    Objectives and estimators follow from the command, the data and the number of epochs.

    Args:
        spec: a specification.
        longer: whether the number of epochs is another.
        in_words: whether players are compared by their words alone, as an earlier format recorded them.
    """
    choices = {k: v for k, v in spec["choices"].items() if k not in FREE and not (longer and k == "epochs")}
    tested = spec["split"]["test"]
    split = spec["split"] | {"test": None if tested is None else {k: tested[k] for k in ("sha256", "n")}}
    essence = {
        "model": with_defaults(spec["model"]),
        "data": {k: spec["data"].get(k) for k in DATA},
        "split": split,
        "preparation": spec["preparation"],
        "choices": choices,
        "command": {k: v for k, v in spec["command"].items() if k not in {*FREE_OPTIONS, *FREE} and v is not None},
    }
    if longer:
        return essence
    players = [{k: v for k, v in player.items() if k != "parts" or not in_words} for player in spec["players"]]
    players = with_defaults(players)
    return {**essence, "players": players}


def _refuse(old: dict[str, Any], new: dict[str, Any], what: str, computed: bool = False) -> None:
    """Refuse to resume another training than the one that was begun; it may be longer.

    Args:
        old: the specification as it was.
        new: the specification as it is.
        what: begins the message.
        computed: `new` was computed from the data, perhaps on another processor: the last digits of scales may differ.

    Raises:
        CorruptRunError: showing the difference.
    """
    longer = old["choices"]["epochs"] != new["choices"]["epochs"]
    in_words = are_in_words(old) or are_in_words(new)
    changes = list(differences(_essence(old, longer, in_words), _essence(new, longer, in_words)))
    if computed:
        changes = [change for change in changes if not _only_rounded(*change)]
    if changes:
        shown = "; ".join(f"{where}: {_short(a)} became {_short(b)}" for where, a, b in changes[:3])
        more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
        raise CorruptRunError(f"{what}: {shown}{more}", "Restore it, or train a new run with jensen train --spec.")


def _only_rounded(where: str, a: Any, b: Any) -> bool:
    """True for a number that follows from the data, of which processors round the last digits differently."""
    follows = not where.startswith(("command", "choices"))
    return follows and isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=ROUNDING)


def _refuse_other_data(spec: dict[str, Any], made: dict[str, Any]) -> None:
    """Refuse to resume on other data than training began with, and name the file.

    Raises:
        DataError: they have changed.
    """
    tested = spec["split"]["test"], made["split"]["test"]
    for was, now in ((spec["data"], made["data"]), tested):
        if was is not None and now is not None and was["sha256"] != now["sha256"]:
            where = now["location"] if was is not spec["data"] or made["data"]["readable"] else "the array"
            raise DataError(
                f"{where} has changed since the run was trained",
                "Give it back its content, or train a new run on it: jensen train DATA --spec RUN/spec.json --out NEW.",
            )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _tell(old: dict[str, Any], new: dict[str, Any], notice: Callable[[str], None]) -> None:
    """Notice what may change the last bits."""
    changes = list(differences(old, new))
    if any(a != b and _only_rounded(where, a, b) for where, a, b in changes if where.startswith(("model", "prep"))):
        notice(
            "this processor rounds otherwise than the one it was trained on: the weights may differ in their last bits"
        )
    for where, a, b in changes:
        if where.startswith(("jensen", "versions")):
            notice(f"{where} was {a} and is {b}: the weights may differ in their last bits")
