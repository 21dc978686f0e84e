"""Verification: an evaluation repeated by its recorded settings, every number beside the recorded one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import msgspec

from ..core.commands import command_line
from ..core.errors import CorruptRunError, UsageError
from ..core.records import leaf_pairs
from ..core.renames import RENAMED_OPTIONS
from ..evaluate import Annealed, TightnessSettings
from ..evaluate.choose import METHODS
from ..evaluate.estimate import ProgressCallback
from ..storage.files import digest
from ..storage.run_folder import EVALUATION, WEIGHTS
from ..storage.schemas import EvaluationRecord, read_record
from .evaluate import evaluate
from .evaluation import versions
from .run import Run

__all__ = ["Difference", "Verification", "recorded", "verify"]

TOLERANCE = 1e-4
# where it ran, where the data lay (their digest is compared) and how long it took is no result; sentences are made of
# numbers that are compared by themselves
LEFT_OUT = {"seconds", "run", "data", "replay", "notes", "verdict", "advice", "sentence"}


@dataclass(frozen=True)
class Difference:
    """A number that did not come out as it was recorded.

    Attributes:
        name: where it is in evaluation.json: "assessment.annealed.log_px".
        was, now: the recorded value, and that of the replay.
    """

    name: str
    was: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.name} was {_shown(self.was)}, and is {_shown(self.now)}"


@dataclass(frozen=True)
class Verification:
    """The result of a replay.

    Attributes:
        run: its folder.
        compared: how many values were.
        identical: of these, how many are equal to the bit.
        largest: the largest difference of two numbers, relative to the larger where that is above 1.
        tolerance: what `largest` may be.
        differences: what differs by more, and weights that have changed.
        notes: versions, device or threads that are not as recorded.
    """

    run: str
    compared: int
    identical: int
    largest: float
    tolerance: float
    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """True if everything came out as it was recorded."""
        return not self.differences

    @property
    def verdict(self) -> str:
        """The outcome in one sentence."""
        if not self.holds:
            return f"not repeated: {len(self.differences)} of {self.compared} recorded values differ"
        if self.identical == self.compared:
            return f"repeated: all {self.compared} recorded values are equal to the bit"
        return f"repeated: {self.compared} recorded values within {self.tolerance:g}, {self.identical} to the bit"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of everything."""
        plain = {k: v for k, v in asdict(self).items() if k != "notes"}
        return {"verdict": self.verdict, "holds": self.holds, **plain, "notes": list(self.notes)}


class _Annealing(TypedDict):
    temperatures: Annotated[int, msgspec.Meta(ge=1)]
    leapfrog_steps: Annotated[int, msgspec.Meta(ge=1)]
    chains: Annotated[int, msgspec.Meta(ge=1)]
    start: Literal["guide", "prior"]
    correct: NotRequired[bool]


class _Replay(TypedDict):
    method: str
    k: int | None
    assessment: dict[str, Annotated[int, msgspec.Meta(ge=0)]] | None
    annealing: NotRequired[_Annealing | None]
    levels: NotRequired[list[Annotated[int, msgspec.Meta(ge=1)]]]
    train_rows: NotRequired[Annotated[int, msgspec.Meta(ge=0)]]
    weights_sha256: str
    device: str
    threads: int
    versions: dict[str, str]


def _with_current_names(record: Any) -> Any:
    """Return a record in which settings of annealing have their current names, whichever version wrote it."""
    if isinstance(record, dict):
        return {RENAMED_OPTIONS.get(k, k): _with_current_names(v) for k, v in record.items()}
    return [_with_current_names(v) for v in record] if isinstance(record, list) else record


def recorded(folder: Path) -> dict[str, Any]:
    """Return the content of evaluation.json.

    Raises:
        UsageError: there is none, or it was written before evaluations could be repeated.
        CorruptRunError: it is damaged.
    """
    path = folder / EVALUATION
    if not path.exists():
        raise UsageError(f"{path} does not exist", f"Evaluate first: {command_line('evaluate', folder)}.")
    again = f"Evaluate again: {command_line('evaluate', folder)}."
    record = _with_current_names(read_record(path, EvaluationRecord, again))
    try:
        if not record.get("replay"):
            raise UsageError(f"{path} does not say how it was made", again)
        replay = msgspec.convert(record["replay"], _Replay)
        if type(record["seed"]) is not int or replay["method"] not in METHODS:
            raise KeyError("seed")
        if replay["assessment"] is not None:
            _settings(replay)
    except (msgspec.ValidationError, KeyError, TypeError) as error:
        raise CorruptRunError(f"{path} is damaged ({error})", again) from error
    return record


def verify(run: Run, *, tolerance: float = TOLERANCE, watch: ProgressCallback | None = None) -> Verification:
    """Repeat the evaluation of the run's own rows that evaluation.json holds, and compare every value.

    The recorded seed, method, K and settings of the annealing are used; time plays no part. The same machine, versions
    and number of threads give the same bits; others change the order of sums, which the tolerance is for (and may turn
    the acceptance of an annealing move near its threshold).

    Args:
        tolerance: absolute for numbers below 1, relative above.
        watch: progress callback, called with the fraction done, 0 to 1.

    Raises:
        UsageError: there is no evaluation to repeat, or the tolerance is negative.
        CorruptRunError: evaluation.json is damaged.
        DataError: the data are gone, or have changed.
    """
    if not tolerance >= 0:
        raise UsageError(f"--tolerance must be at least 0, got {tolerance:g}", "Give 0 (equal to the bit) or more.")
    was = recorded(run.path)
    replay = was["replay"]
    settings = (
        None
        if replay["assessment"] is None
        else TightnessSettings(**({"prior_chains": 0} | (replay["assessment"] or {})))
    )
    annealing = None if replay.get("annealing") is None else Annealed(**replay["annealing"])
    repeated = evaluate(
        run,
        k=replay["k"],
        method=replay["method"],
        budget=0.0,
        settings=settings,
        annealing=annealing,
        levels=replay.get("levels", ()),
        train_rows=replay.get("train_rows", 0),
        points=was["k"] if replay["method"] == "auto" and replay["k"] is None else None,
        seed=was["seed"],
        watch=watch,
    )
    now = msgspec.json.decode(msgspec.json.encode(repeated.to_dict()))  # as a reader of the file gets it
    pairs = list(leaf_pairs(was, now, left_out=LEFT_OUT))
    gaps = [_gap(a, b) for _, a, b in pairs]
    apart = [pair for pair, gap in zip(pairs, gaps, strict=True) if not gap <= tolerance]
    differences = [Difference(name, a, b) for name, a, b in apart]
    weights = digest(run.path / WEIGHTS)
    if weights != replay["weights_sha256"]:
        differences.insert(0, Difference("replay.weights_sha256", replay["weights_sha256"], weights))
    largest = max((g for g in gaps if math.isfinite(g)), default=0.0)
    same = sum(g == 0 for g in gaps)
    notes = tuple(_circumstances(replay, now["replay"]))
    return Verification(str(run.path), len(pairs), same, largest, tolerance, tuple(differences), notes)


def _gap(was: Any, now: Any) -> float:
    """Return 0 where equal, the difference of numbers (relative above 1), infinity where they cannot be compared."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (was, now))
    if was == now:
        return 0.0
    return abs(was - now) / max(1.0, abs(was), abs(now)) if numbers else math.inf


def _circumstances(was: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for name, version in versions().items():
        if was["versions"].get(name) != version:
            yield f"recorded with {name} {was['versions'].get(name)}, replayed with {version}"
    for name in ("device", "threads"):
        if was[name] != now[name]:
            yield f"recorded with {name} {was[name]}, replayed with {now[name]}"


def _shown(value: Any) -> str:
    return f"{value!r:.80}"


def _settings(replay: _Replay) -> TightnessSettings:
    """Return the settings of an assessment; chains from the prior are younger than the first records."""
    return TightnessSettings(**({"prior_chains": 0} | (replay["assessment"] or {})))
