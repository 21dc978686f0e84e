"""The summary of a group of runs: the bound of every member, with mean and spread over the seeds of each setting."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ..core.errors import UsageError
from ..storage.files import write_atomic, write_json
from ..storage.group_record import GroupRecord, MemberRecord
from ..storage.metrics import lines_of
from ..storage.run_folder import METRICS, SUMMARY, SUMMARY_TABLE
from ..storage.specification import read_spec
from .players import weighted_points

__all__ = ["GroupSummary", "MemberSummary", "SettingSummary", "Spread", "summarise", "write_summary"]

SEED, SPLIT_SEED = "seed", "split_seed"


@dataclass(frozen=True)
class Spread:
    """Mean and spread of a number over the members of a setting.

    Attributes:
        n: number of members.
        mean: over them.
        deviation: standard deviation over members; None of one alone.
        stderr: standard error of the mean over members; None of one alone.
    """

    n: int
    mean: float
    deviation: float | None
    stderr: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of some values.

        Example:
            >>> Spread.of([1.0, 3.0])
            Spread(n=2, mean=2.0, deviation=1.4142135623730951, stderr=1.0)
        """
        deviation = statistics.stdev(values) if len(values) > 1 else None
        error = None if deviation is None else deviation / math.sqrt(len(values))
        return cls(len(values), statistics.fmean(values), deviation, error)


@dataclass(frozen=True)
class MemberSummary:
    """One member, with the measures of the epoch whose weights it has, in nats per datum.

    Attributes:
        name: of its folder.
        setting: the part of the name that its seeds share.
        options: in which it differs from the others.
        seed: of the training.
        state: how far it has come.
        epoch: the last one.
        best_epoch: the epoch of the highest validation bound; None without validation rows.
        valid, train: the bound, or the objective where there is no bound; on training rows it was measured while the
            weights moved. None where it was not measured, or is not finite.
        is_bound: whether these are bounds.
        error: why it failed.
    """

    name: str
    setting: str
    options: dict[str, Any]
    seed: int | None
    state: str
    epoch: int | None = None
    best_epoch: int | None = None
    valid: float | None = None
    train: float | None = None
    is_bound: bool = True
    error: str | None = None


@dataclass(frozen=True)
class SettingSummary:
    """The members of one combination of swept values, which differ in their seed alone.

    Attributes:
        name: of the setting; "" where nothing is swept.
        options: the values.
        valid, train: mean and spread over the members that were trained to the end; None where there is no number.
    """

    name: str
    options: dict[str, Any]
    valid: Spread | None
    train: Spread | None


@dataclass(frozen=True)
class GroupSummary:
    """The numbers of a group, in nats per datum, in the data's own units.

    Attributes:
        members: all of them, in their order.
        settings: each combination of swept values.
        notes: limits of what the numbers say.
        same_rows: whether all members have the same training and validation rows.
    """

    members: tuple[MemberSummary, ...]
    settings: tuple[SettingSummary, ...]
    notes: tuple[str, ...]
    same_rows: bool = True

    @property
    def part(self) -> Literal["valid", "train"]:
        """The rows whose numbers count: those of validation, or of training where there are none."""
        return "valid" if any(member.valid is not None for member in self.members) else "train"

    @property
    def best(self) -> str:
        """The name of the member with the highest bound on validation rows, or on training rows without any.

        Raises:
            UsageError: no member has one, or they are not numbers of the same rows and kind.
        """
        done = [member for member in self.members if getattr(member, self.part) is not None]
        if not done:
            raise UsageError("no member of the group has a number yet", "Train them to the end: jensen resume OUT.")
        if not self.same_rows or not all(member.is_bound for member in done):
            why = "no bounds" if self.same_rows else "of different rows"
            raise UsageError(f"the numbers of the members are {why}, so none is the best", "Use jensen compare.")
        return max(done, key=lambda member: getattr(member, self.part)).name

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of every number."""
        return {
            "members": [asdict(member) for member in self.members],
            "settings": [asdict(setting) for setting in self.settings],
            "notes": list(self.notes),
            "units": "nats per datum",
        }


def summarise(folder: Path, record: GroupRecord) -> GroupSummary:
    """Return the summary of a group, from the records of its members; no weights are read.

    Args:
        folder: of the group.
        record: of the group.

    Raises:
        CorruptRunError: the record of a member is damaged.
    """
    specs = {m["name"]: read_spec(folder / m["name"]) for m in record["members"] if m["state"] == "finished"}
    members = tuple(_member(folder / m["name"], m, specs.get(m["name"]), record) for m in record["members"])
    splits = {(s["split"]["seed"], tuple(sorted(s["split"]["sizes"].items()))) for s in specs.values()}
    data = {(s["data"]["sha256"], repr(s["command"].get("test"))) for s in specs.values()}
    same_rows = len(splits) <= 1 and len(data) <= 1
    points = {weighted_points(spec) for spec in specs.values()}
    return GroupSummary(members, _settings(members), tuple(_notes(members, splits, same_rows, points)), same_rows)


def _member(folder: Path, member: MemberRecord, spec: dict[str, Any] | None, record: GroupRecord) -> MemberSummary:
    """Return the numbers of a member."""
    options = {k: v for k, v in member["options"].items() if k != SEED}
    seed = member["options"].get(SEED, record["command"].get(SEED))
    plain = MemberSummary(member["name"], member["setting"], options, seed, member["state"], error=member["error"])
    if spec is None:
        return plain
    lines = list(lines_of(folder / METRICS))
    epochs = [line for line in lines if line["event"] == "epoch"]
    stopped = lines[-1]
    kept = next(line for line in epochs if line["epoch"] == stopped["kept_epoch"])
    is_bound = any(line["train"]["bound"] is not None for line in epochs)  # one that is not finite is null
    valid, train = (_value(kept[part], is_bound) for part in ("valid", "train"))
    best = max((line["epoch"] for line in epochs if line.get("is_best")), default=None)
    return MemberSummary(
        plain.name, plain.setting, options, seed, plain.state, stopped["epoch"], best, valid, train, is_bound
    )


def _value(measures: dict[str, Any] | None, is_bound: bool) -> float | None:
    """Return the bound, or the objective; None where it was not measured, or is not finite."""
    value = None if measures is None else measures["bound" if is_bound else "objective"]
    return value if value is not None and math.isfinite(value) else None


def _settings(members: Sequence[MemberSummary]) -> tuple[SettingSummary, ...]:
    """Return the spread of each setting, over its members that were trained to the end."""
    settings: dict[str, list[MemberSummary]] = {}
    for member in members:
        settings.setdefault(member.setting, []).append(member)
    return tuple(
        SettingSummary(name, some[0].options, _spread([m.valid for m in some]), _spread([m.train for m in some]))
        for name, some in settings.items()
    )


def _spread(values: Sequence[float | None]) -> Spread | None:
    numbers = [value for value in values if value is not None]
    return Spread.of(numbers) if numbers else None


def _notes(members: Sequence[MemberSummary], splits: set[Any], same_rows: bool, points: set[int]) -> list[str]:
    """Return what limits a comparison of these numbers."""
    notes: list[str] = []
    if not same_rows:
        notes.append("members have other rows than each other: their bounds differ by these too")
    elif len({member.seed for member in members}) > 1 and splits:
        seed = min(split[0] for split in splits)
        notes.append(
            f"all members have the same training and validation rows (--split-seed {seed}): the spread over seeds is"
            " that of initial weights, order and noise"
        )
    if len(points) > 1:
        notes.append("bounds of different numbers of points are not comparable: use jensen compare")
    left = [f"{member.name} ({member.state})" for member in members if member.state != "finished"]
    if left:
        notes.append(f"not in the means: {', '.join(left)}")
    return notes


def write_summary(folder: Path, record: GroupRecord) -> None:
    """Write summary.json and summary.csv into the folder of a group.

    Raises:
        UsageError: the disk is full or cannot be written.
    """
    summary = summarise(folder, record)
    write_json(folder / SUMMARY, summary.to_dict())
    names = list(dict.fromkeys(name for member in summary.members for name in member.options))
    columns = ("name", "setting", "seed", "state", "epoch", "best_epoch", "valid", "train")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*columns[:2], *names, *columns[2:]])
    for member in summary.members:
        own = [member.options.get(name) for name in names]
        writer.writerow([member.name, member.setting, *own, *(getattr(member, c) for c in columns[2:])])
    write_atomic(folder / SUMMARY_TABLE, text.getvalue().encode())
