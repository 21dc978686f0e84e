"""`jensen train`: train a recipe on data, and write a run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..core.commands import command_line
from ..core.errors import DataError, UsageError
from ..core.wording import fixed, plural
from ..runs.training_line import format_duration
from ..storage.run_folder import SPEC
from .flags import Force, Json, Quiet
from .group_lines import print_group
from .group_progress import GroupProgress
from .options import check_recorded, parse_options
from .output import notifier, print_json, print_lines
from .progress import ProgressLine
from .signals import stopping
from .sweeps import parse_sweep
from .train_flags import TrainFlags

if TYPE_CHECKING:
    from ..evaluate.estimate import Kind
    from ..runs.run import Run

__all__ = ["outcome", "print_outcome", "train"]


RunFolder = Annotated[
    str | None,
    Parameter(
        help="run folder to write; by default the first that is free of runs/DATA-RECIPE, runs/DATA-RECIPE-2, ..."
    ),
]
RecipeName = Annotated[
    str | None, Parameter(help="a name from jensen recipes [default: table for tables of mixed kinds, else vae]")
]
Seeds = Annotated[
    int | None, Parameter(help="train this many, with consecutive seeds, into OUT/seed-0, OUT/seed-1, ...")
]
Sweep = Annotated[
    list[str] | None,
    Parameter(
        help="train one for each value of an option, --sweep beta=0.5,1,2; given again, for all combinations",
        negative="",
    ),
]


def train(
    data: Annotated[str | None, Parameter(help="digits, sprites, or a path")] = None,
    /,
    *,
    recipe: RecipeName = None,
    out: RunFolder = None,
    spec: Annotated[str | None, Parameter(help="RUN/spec.json: repeat its command; other flags override it")] = None,
    seeds: Seeds = None,
    sweep: Sweep = None,
    flags: TrainFlags | None = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    **options: Annotated[str, Parameter(show=False)],
) -> int:
    """Train a recipe on data, and write a run; or a group of runs, with --seeds or --sweep.

    Ctrl-C stops after the current step, and keeps a readable run that `jensen resume` continues.
    """
    command = _recorded_options(spec, data) if spec is not None else {}
    if data is not None:
        command["data"] = data
    if "data" not in command:
        raise UsageError("no data are named", "Give a path, or digits: jensen train digits")
    if recipe is not None:
        command["recipe"] = recipe
    given = flags.given() if flags else {}
    given |= parse_options(command.get("recipe"), options)
    recorded = command.keys() - given.keys()
    command |= given
    several: dict[str, Any] = {} if seeds is None else {"seeds": seeds}
    if sweep:
        several["sweep"] = values = parse_sweep(command.get("recipe"), sweep)
        command = {k: v for k, v in command.items() if k not in values or k in given}  # recorded ones are overridden
    source = command.pop("data")
    from ..core.processes import joined
    from ..runs.group import RunGroup
    from ..runs.launched import train_or_go_on

    with joined() as processes, stopping() as should_stop, ProgressLine(quiet) as line:
        progress = GroupProgress(line)
        trained = train_or_go_on(
            source,
            processes,
            out=out,
            force=force,
            recorded=recorded,
            listeners=[progress],
            should_stop=should_stop,
            notice=notifier(quiet),
            phase=progress.begin,
            **several,
            **command,
        )
    if isinstance(trained, RunGroup):
        return print_group(trained, json, quiet)
    print_outcome(trained, json)
    return 0


def print_outcome(run: Run, json: bool) -> None:
    """Print the result of a training."""
    result = outcome(run)
    if json:
        print_json(result)
    else:
        print_lines(_lines(result))


def _recorded_options(spec: str, data: str | None) -> dict[str, Any]:
    """Return the command that a run recorded, with the choices made for it, so that the weights are the same.

    Raises:
        UsageError: this is not the specification of a run with a recipe.
        DataError: the data of the run are not kept, or have changed, and no others are given.
        CorruptRunError: the specification is damaged.
    """
    from ..data import read
    from ..recipes import find
    from ..runs.accepted import unused_by
    from ..runs.places import table_options
    from ..runs.spec import recorded_command
    from ..storage.specification import read_spec

    path = Path(spec)
    if path.is_file() and path.name != SPEC:
        raise UsageError(f"{spec} is not the spec.json of a run", "Give RUN/spec.json.")
    recorded = read_spec(path.parent if path.name == SPEC else path)
    command = recorded_command(recorded, path)
    if "recipe" not in command and "recipe" in recorded["command"]:
        raise UsageError(
            "this run was composed in Python, and has no recipe to repeat",
            "Call jensen.train(data, model=..., guide=...) again, or continue it: jensen resume RUN.",
        )
    check_recorded(command)
    command.pop("online", None)  # the network is used where this command asks for it, and not an earlier one
    for name in unused_by(find(command.get("recipe", "vae")), command):
        command.pop(name, None)
    if data is not None:
        of_images = () if Path(data).is_dir() else ("size", "resize")
        return {name: value for name, value in command.items() if name not in of_images}
    source = recorded["data"]
    if not source.get("readable"):
        raise DataError(
            "this run was trained on an array in memory, which is not kept", "Give it: jensen train DATA --spec"
        )
    reading = {"labels": command.get("labels"), "size": command.get("size"), "missing": bool(source.get("missing"))}
    dataset = read(command["data"], **reading, **table_options(recorded))
    if dataset.source.sha256 != source.get("sha256"):
        raise DataError(
            f"{command['data']} has changed since the run was trained", "Name it to train on it as it is: DATA."
        )
    return command


def outcome(run: Run) -> dict[str, Any]:
    """Return the result of a training, in the data's own units, as JSON-serialisable values."""
    from ..runs.players import weighted_points

    epochs = [line for line in run.metrics if line["event"] == "epoch"]
    stopped = run.metrics[-1]
    kept = next(line for line in epochs if line["epoch"] == stopped["kept_epoch"])
    part = "train" if kept["valid"] is None else "valid"
    measures, moving = kept[part], part == "train" and not _has_closed_step(run)
    bound = measures["bound"]
    return {
        "run": str(run.path),
        "device": None if run.spec["command"].get("device") in (None, "auto") else run.spec["command"]["device"],
        "sentence": run.sentence,
        "bound": bound,
        "kind": _kind(run, bound, measures["objective"]),
        "given": run.quantity.condition,
        "quantity": str(run.quantity),
        "objective": measures["objective"],
        "rate": measures["rate"],
        "distortion": measures["distortion"],
        "weighted_points": weighted_points(run.spec),
        "units": "nats per datum",
        "part": {"train": "training", "valid": "validation"}[part],
        "n": run.spec["split"]["sizes"][part],
        "measured": "while training" if moving else "after the epoch",
        "precision": _reduced_precision(run) if part == "train" else None,
        "weights": "raw" if moving else run.weights,
        "kept_weights": run.weights,
        "kept_epoch": stopped["kept_epoch"],
        "epoch": stopped["epoch"],
        "epochs": run.spec["choices"]["epochs"],
        "reason": stopped["reason"],
        "best_epoch": max((line["epoch"] for line in epochs if line.get("is_best")), default=None),
        "seconds": stopped["seconds"],
        "stages": [stage.to_dict() for stage in run.stages],
        "unused_labels": _unused_labels(run),
    }


def _unused_labels(run: Run) -> str | None:
    """Return the labels that were named for a training that does not learn from them; None if there are none."""
    labels = run.spec["command"].get("labels")
    return labels if labels is not None and run.classes is None and run.conditions is None else None


def _has_closed_step(run: Run) -> bool:
    """Return whether weights were fixed while training rows were measured, after a step in closed form or of EM."""
    players = [player.get("parts") or {} for player in run.spec["players"]]
    return any(parts.get("closed") for parts in players) or run.spec["command"].get("fit", "gradient") != "gradient"


def _reduced_precision(run: Run) -> str | None:
    """Return how products were computed in training, None if in float32 accuracy."""
    from ..core.precision import fast_products_are_accurate

    mode = run.spec["choices"]["precision"]
    if mode == "bfloat16":
        return "networks in bfloat16"
    return "medium products" if mode == "medium" and not fast_products_are_accurate(run.device) else None


def _kind(run: Run, bound: float | None, objective: float) -> str:
    """Return the kind of the number that training reached."""
    from ..runs.players import term_names

    if math.isnan(objective):
        return "not finite"
    if bound is None:
        return "no bound"
    if run.guide.is_exact:
        return str(_exact_kind(run))
    first_player = {"players": run.spec["players"][:1]}  # whose bound is the number
    if term_names(first_player) & {"ImportanceWeighted", "Renyi"}:
        return "importance-weighted bound"
    return "ELBO"


def _exact_kind(run: Run) -> Kind:
    """Return `Kind.EXACT`, or what an exact number is called where a scale is at its floor."""
    from ..evaluate.estimate import Kind
    from ..evaluate.floors import exact_kind

    unknown = Kind.QUADRATURE if run.model.likelihood.is_quadrature else Kind.EXACT
    if run.model.likelihood.family.scale_floor is None:
        return unknown
    try:
        return exact_kind(run.model, run.guide, run.part("train").rows)
    except DataError:
        return unknown


def _lines(result: dict[str, Any]) -> list[str]:
    """Return the lines of a result: the number, how training ended, the model, and the next command."""
    from ..training.stages import Stage, stage_lines

    rate = "" if result["rate"] is None else f"rate {fixed(result['rate'], 2)}, "
    distortion = "" if result["distortion"] is None else f"distortion {fixed(result['distortion'], 2)}; "
    if result["rate"] is not None and result["distortion"] is not None and result["weighted_points"] > 1:
        elbo = fixed(-result["rate"] - result["distortion"], 2)  # which may lie far below the bound
        points = f"the bound is importance-weighted with K = {result['weighted_points']}"
        rate, distortion = f"of the ELBO {elbo}: {rate}", f"{distortion}{points}; "
    keeps = "keeps " if result["measured"] == "while training" else ""
    weights = f"{keeps}{result['kept_weights']} weights of epoch {result['kept_epoch']}"
    end = f"{result['reason']} in epoch {result['epoch']} of {result['epochs']}"
    has_density = result["distortion"] is not None or result["kind"] == "not finite"
    return [
        f"{_number(result)}, {_measured_rows(result)}",
        f"{rate}{distortion}{weights}, {end} after {format_duration(result['seconds'])}",
        *_early_lines(result),
        *stage_lines([Stage(**stage) for stage in result["stages"]]),
        result["sentence"],
        *_label_lines(result),
        f"run:  {result['run']}",
        f"next: {command_line('evaluate' if has_density else 'fidelity', result['run'], device=result['device'])}",
    ]


def _label_lines(result: dict[str, Any]) -> list[str]:
    """Return that the labels had no effect on the model; nothing if they had, or there are none."""
    labels = result["unused_labels"]
    return (
        [] if labels is None else [f"labels ({labels}): for the report and results only, without effect on the model"]
    )


def _early_lines(result: dict[str, Any]) -> list[str]:
    """Return the reason why training stopped before its last epoch, and what goes on; nothing if it did not."""
    if result["reason"] != "early stopping":
        return []
    measure = "objective" if result["bound"] is None else "bound"
    best = result["best_epoch"]
    since = "was never finite" if best is None else f"has not risen since epoch {best}"
    goes_on = f"{command_line('resume', result['run'])} --patience none goes on"
    where = f"stopped at epoch {result['epoch']} of {result['epochs']}"
    return [f"{where}: the validation {measure} {since}; {goes_on}"]


def _number(result: dict[str, Any]) -> str:
    """Return the number that training reached, with its kind."""
    from ..evaluate.estimate import Kind

    if result["kind"] == "not finite":
        return "the bound is not finite"
    if result["bound"] is None:
        return f"objective {fixed(result['objective'], 2)} nats per datum (no bound on log p(x))"
    sign = "=" if result["kind"] in (Kind.EXACT, Kind.FLOORED, Kind.QUADRATURE) else ">="
    return f"{result['quantity']} {sign} {fixed(result['bound'], 2)} nats per datum ({result['kind']})"


def _measured_rows(result: dict[str, Any]) -> str:
    """Return the rows that the number is of, and how it was computed."""
    rows = plural(result["n"], f"{result['part']} row")
    if result["measured"] == "while training":
        rows = f"average over the epoch while training, {rows}, raw weights"
    if result["precision"] is not None:
        rows = f"{rows}, {result['precision']}"
    return f"{rows}: some of them have extreme values" if result["kind"] == "not finite" else rows
