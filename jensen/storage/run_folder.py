"""The names of the files in a run folder, which is written while training and read by everything else.

spec.json            the whole model as a tree of nodes, data, split, preparation, seeds, versions, choices
model.safetensors    raw and averaged weights, each shared module once
state/               the last two training states, each a folder in which damage is noticed
checkpoints/         weights after some of the epochs, epoch-000012.safetensors
metrics.jsonl        one line per epoch, and a last one with the reason why training ended
evaluation.json      the plain evaluation of the run's own test rows
evaluations/         evaluations by a named method or K, importance-k100.json
calibration.json     calibration of q(z | x) on the model's own data
fidelity.json        distances of samples from data
representation.json  scores of codes against labels and factors
forensics.json       the faults of a training whose numbers stopped being finite
tracking.json        the runs of MLflow and of Weights & Biases that are this one
report.html          the report
samples.*, codes.*, reconstructions.*, imputations.*, scores.*, predictions.*   outputs without --out
codes-NAME.csv, ...  the same of other data, by the name of these

The folder of a group of runs, which `jensen train --seeds 8` or `--sweep` writes, holds one run folder per member and

group.json           the members, what each has of its own, and how far each has come
summary.json, .csv   their bounds, with mean and spread
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..core.commands import command_line
from ..core.errors import UsageError

__all__ = [
    "CALIBRATION",
    "CHECKPOINTS",
    "EVALUATION",
    "EVALUATIONS",
    "FAULTS",
    "FIDELITY",
    "GROUP",
    "INITIAL",
    "LOCK",
    "METRICS",
    "MOVING",
    "REPLACED",
    "REPORT",
    "REPRESENTATION",
    "SPEC",
    "STATE",
    "SUMMARY",
    "SUMMARY_TABLE",
    "TEMPORARY",
    "TENSORBOARD",
    "TRACKERS",
    "TRACKING",
    "WEIGHTS",
    "WRITTEN",
    "is_group",
    "is_written",
    "require_run",
]

SPEC = "spec.json"
WEIGHTS = "model.safetensors"
INITIAL = "initial.safetensors"  # weights before the first step of a run made from parts
STATE = "state"
CHECKPOINTS = "checkpoints"
METRICS = "metrics.jsonl"
EVALUATION = "evaluation.json"
EVALUATIONS = "evaluations"
CALIBRATION = "calibration.json"
FIDELITY = "fidelity.json"
REPRESENTATION = "representation.json"
FAULTS = "forensics.json"
REPORT = "report.html"
TENSORBOARD = "tensorboard"
TRACKERS = "trackers"  # what MLflow and Weights & Biases write, each in a folder of its own
TRACKING = "tracking.json"
GROUP = "group.json"  # in the folder of a group of runs, with the two that follow
SUMMARY, SUMMARY_TABLE = "summary.json", "summary.csv"
LOCK = ".lock"
REPLACED = ".replaced"  # where an earlier run waits until a new one can replace it
MOVING = ".moving"  # where it is while it moves there, or back
TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{8}")  # see `jensen.storage.files.write_atomic`

# every file that a command may write into a run; the specification comes last, so that a run is moved with it
WRITTEN = (
    WEIGHTS,
    INITIAL,
    METRICS,
    EVALUATION,
    CALIBRATION,
    FIDELITY,
    FAULTS,
    REPRESENTATION,
    REPORT,
    TRACKING,
    "samples.png",
    "samples.csv",
    "codes.csv",
    "reconstructions.png",
    "reconstructions.csv",
    "imputations.png",
    "imputations.csv",
    "imputations.npz",
    SPEC,
)
# what verbs write, in any format; that of other data has their name after a hyphen
RESULT = re.compile(
    r"(samples|codes|reconstructions|imputations|scores|predictions)(-.+)?\.(csv|tsv|parquet|feather|xlsx|png|npz)"
)


def is_written(name: str) -> bool:
    """Return whether a command may write a file of this name into a run.

    Example:
        >>> is_written("codes.csv"), is_written("scores-people.parquet"), is_written("notes.txt")
        (True, True, False)
    """
    return name in WRITTEN or RESULT.fullmatch(name) is not None


def is_group(folder: Path) -> bool:
    """Return whether a folder holds a group of runs, each in a folder of its own."""
    return os.path.lexists(folder / GROUP) and not os.path.lexists(folder / SPEC)


def require_run(folder: Path) -> None:
    """Refuse a folder that holds no run.

    Raises:
        UsageError: it is none, or has no specification.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(
            f"{folder} is a file, not the folder of a run",
            f"Give a run first and data after it; train one: {command_line('train', folder, out='RUN')}.",
        )
    if not folder.is_dir():
        raise UsageError(f"there is no run at {folder}", "Train one: jensen train DATA --out RUN.")
    if is_group(folder):
        members = [str(path.parent) for path in sorted(folder.glob(f"*/{SPEC}"))]
        shown = ", ".join(members[:3]) + (", ..." if len(members) > 3 else "")
        raise UsageError(
            f"{folder} is a group of runs, which jensen compare, evaluate and resume take",
            f"Give one of its runs: {shown}." if members else f"Train them: jensen resume {folder}.",
        )
    if not os.path.lexists(folder / SPEC):
        aside = folder / REPLACED  # where a training that was killed had moved an earlier run
        waits = f" {aside} holds one." if (aside / SPEC).exists() else ""
        raise UsageError(f"{folder} is not a run: it has no {SPEC}", f"Give the folder that jensen train wrote.{waits}")
