"""`jensen train`: from a file to a run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ..core.errors import DataError, UsageError
from ..core.precision import fast_products_are_accurate
from ..data import read
from ..recipes import find
from ..runs.run import Run
from ..runs.spec import recorded_command
from ..runs.train import train as train_recipe
from ..storage.run_folder import read_spec
from ..training.stages import Stage, in_words
from .flags import Force, Json, Quiet
from .options import check_recorded, parse_options
from .output import emit, notices, plural, show
from .progress import Line, Training, clock
from .settings import Settings
from .signals import stopping

__all__ = ["told", "train"]


def train(
    data: Annotated[str | None, Parameter(help="digits, sprites, or a path")] = None,
    /,
    *,
    recipe: Annotated[str | None, Parameter(help="a name from jensen recipes [vae]")] = None,
    out: Annotated[str | None, Parameter(help="the run folder [the first free of runs/DATA-RECIPE, -2, ...]")] = None,
    spec: Annotated[str | None, Parameter(help="RUN/spec.json: replay its command; other flags override it")] = None,
    settings: Settings | None = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    **options: Annotated[str, Parameter(show=False)],
) -> None:
    """Train a recipe on data, and write a run. Ctrl-C stops early and keeps a readable run."""
    command = _replayed(spec, data) if spec is not None else {}
    if data is not None:
        command["data"] = data
    if "data" not in command:
        raise UsageError("no data are named", "Give a path, or digits: jensen train digits")
    if recipe is not None:
        command["recipe"] = recipe
    command |= settings.given() if settings else {}
    command |= parse_options(find(command.get("recipe", "vae")), options)
    source = command.pop("data")
    with stopping() as should_stop, Line(quiet) as line:
        run = train_recipe(
            source,
            out=out,
            force=force,
            listeners=[Training(line)],
            should_stop=should_stop,
            notice=notices(quiet),
            **command,
        )
    told(run, json)


def told(run: Run, json: bool) -> None:
    """Say what training reached."""
    found = outcome(run)
    if json:
        emit(found)
    else:
        show(_lines(found))


def _replayed(spec: str, data: str | None) -> dict[str, Any]:
    """The command that a run recorded, with the choices that were made for it, so that it gives the same weights."""
    path = Path(spec)
    if path.is_file() and path.name != "spec.json":
        raise UsageError(f"{spec} is not the spec.json of a run", "Give RUN/spec.json.")
    recorded = read_spec(path.parent if path.name == "spec.json" else path)
    command = recorded_command(recorded, path)
    if "recipe" not in command:
        raise UsageError(
            "this run was made from parts in Python, and has no recipe to replay",
            "Call jensen.train(data, model=..., guide=...) again, or go on with jensen resume RUN.",
        )
    check_recorded(command)
    if data is not None:
        return command
    where = recorded["data"]
    if not where.get("readable"):
        raise DataError(
            "this run was trained on an array in memory, which is not kept", "Give it: jensen train DATA --spec"
        )
    if read(command["data"], labels=command.get("labels"), size=command.get("size")).source.sha256 != where.get(
        "sha256"
    ):
        raise DataError(
            f"{command['data']} has changed since the run was trained", "Name it to train on it as it is: DATA."
        )
    return command


def outcome(run: Run) -> dict[str, Any]:
    """What training reached, in the data's own units, as JSON takes it."""
    epochs = [line for line in run.metrics if line["event"] == "epoch"]
    stopped = run.metrics[-1]
    kept = next(line for line in epochs if line["epoch"] == stopped["kept_epoch"])
    part = "train" if kept["valid"] is None else "valid"
    measures, moving = kept[part], part == "train" and not _fitted_in_one(run)
    bound = measures["bound"]
    return {
        "run": str(run.path),
        "sentence": run.sentence,
        "bound": bound,
        "kind": _kind(run, bound, measures["objective"]),
        "given": "label" if run.conditional else None,
        "objective": measures["objective"],
        "rate": measures["rate"],
        "distortion": measures["distortion"],
        "units": "nats per datum",
        "part": {"train": "training", "valid": "validation"}[part],
        "n": run.spec["split"]["sizes"][part],
        "measured": "while training" if moving else "after the epoch",
        "precision": _coarse(run) if part == "train" else None,
        "weights": "raw" if moving else run.weights,
        "kept_weights": run.weights,
        "kept_epoch": stopped["kept_epoch"],
        "epoch": stopped["epoch"],
        "epochs": run.spec["choices"]["epochs"],
        "reason": stopped["reason"],
        "seconds": stopped["seconds"],
        "stages": [stage.to_dict() for stage in run.stages],
    }


def _fitted_in_one(run: Run) -> bool:
    """Whether no weights moved while training rows were measured: a closed form, or a step of EM, came before."""
    return run.spec["command"].get("fit", "gradient") != "gradient"


def _coarse(run: Run) -> str | None:
    """How training was less accurate than float32; None where it was not."""
    mode = run.spec["choices"]["precision"]
    if mode == "bfloat16":
        return "networks in bfloat16"
    return "medium products" if mode == "medium" and not fast_products_are_accurate(run.device) else None


def _kind(run: Run, bound: float | None, objective: float) -> str:
    if math.isnan(objective):
        return "not finite"
    if bound is None:
        return "no bound"
    if run.guide.is_exact:
        return "exact"
    words = run.spec["players"][0]["objective"]
    if "ImportanceWeighted" in words or "Renyi" in words:
        return "importance-weighted bound"
    return "ELBO"


def _lines(found: dict[str, Any]) -> list[str]:
    rows = f"{plural(found['n'], found['part'] + ' row')}"
    moving = found["measured"] == "while training"
    rows = f"average over the epoch while training, {rows}, raw weights" if moving else rows
    rows = rows if found["precision"] is None else f"{rows}, {found['precision']}"
    keeps = f"{'keeps ' if moving else ''}{found['kept_weights']} weights of epoch {found['kept_epoch']}"
    if found["kind"] == "not finite":
        number = f"the bound is not finite, {rows}: some of them have extreme values"
    elif found["bound"] is None:
        number = f"objective {found['objective']:.2f} nats per datum (no bound on log p(x)), {rows}"
    else:
        sign = "=" if found["kind"] == "exact" else ">="
        about = "p(x)" if found["given"] is None else f"p(x | {found['given']})"
        number = f"log {about} {sign} {found['bound']:.2f} nats per datum ({found['kind']}), {rows}"
    rate = "" if found["rate"] is None else f"rate {found['rate']:.2f}, "
    only_samples = found["distortion"] is None and found["kind"] != "not finite"
    stages = in_words([Stage(**stage) for stage in found["stages"]])
    distortion = "" if found["distortion"] is None else f"distortion {found['distortion']:.2f}; "
    return [
        number,
        f"{rate}{distortion}{keeps},"
        f" {found['reason']} in epoch {found['epoch']} of {found['epochs']} after {clock(found['seconds'])}",
        *stages,
        found["sentence"],
        f"run:  {found['run']}",
        f"next: jensen {'fidelity' if only_samples else 'evaluate'} {found['run']}",
    ]
