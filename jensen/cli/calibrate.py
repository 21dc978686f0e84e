"""`jensen calibrate`: is the guide as sure as it should be."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ..analysis.calibration import Calibration
from ..runs.evaluation import versions
from ..runs.run import load
from ..storage.run_folder import digest, write_json
from .flags import Device, Json, Quiet, Run, Seed
from .output import notifier, print_json, print_lines
from .progress import Line

__all__ = ["calibrate"]


def calibrate(
    run: Run,
    /,
    *,
    n: Annotated[int, Parameter(name="-n", help="data to simulate")] = 1000,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Whether q(z | x) is as sure as it should be, on data that the model makes itself.

    On such data the true z is known; its ranks among draws of q(z | x) are uniform if q is the posterior. What is found
    is kept in RUN/calibration.json, for the report.
    """
    opened = load(run, device=device)
    with Line(quiet) as line:
        found = opened.calibrate(n=n, seed=seed, watch=lambda done: line.fraction("calibrating", done))
    about = {"run": str(opened.path), "guide": opened.guide.phrase, "weights": opened.weights, "seed": seed}
    about |= {"weights_sha256": digest(opened.path / "model.safetensors"), "versions": versions()}
    record, path = {**found.to_dict(), **about}, opened.path / "calibration.json"
    write_json(path, record)
    notifier(quiet)(f"kept in {path}")
    if json:
        print_json(record)
    else:
        made = f"on {found.n:,} data that the model made, not on yours"
        print_lines([*_lines(found), f"{made}; {opened.weights} weights; seed {seed}", f"next: jensen report {run}"])


def _lines(found: Calibration) -> list[str]:
    worst = int(found.adjusted.argmin())
    p = float(found.adjusted[worst])
    told = "below 1e-06" if p < 1e-6 else f"{p:.2g}"
    return [
        found.verdict,
        f"smallest p-value of {len(found.names)} quantities, adjusted for their number: {told} ({found.names[worst]})",
        f"{_held(found, 0.5)}, {_held(found, 0.9)}",
    ]


def _held(found: Calibration, level: float) -> str:
    fraction, stderr = found.coverage.at(level)
    return f"{level:.0%} regions hold the truth {fraction:.1%} ± {stderr:.1%} of the time"
