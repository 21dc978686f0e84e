"""`jensen calibrate`: test the calibration of q(z | x)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..core.commands import command_line
from ..storage.run_folder import CALIBRATION, WEIGHTS
from .flags import Device, Json, Quiet, Run, Seed
from .output import notifier, print_json, print_lines
from .progress import ProgressLine

if TYPE_CHECKING:
    from ..analysis.calibration import Calibration

__all__ = ["calibrate"]


def calibrate(
    run: Run,
    /,
    *,
    n: Annotated[int, Parameter(name="-n", help="number of data to simulate")] = 1000,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Test the calibration of q(z | x), on data simulated by the model.

    On simulated data the true z is known; its ranks among samples of q(z | x) are uniform if q is the posterior. The
    result is kept in RUN/calibration.json, for the report.
    """
    from ..runs.evaluation import versions
    from ..runs.run import load
    from ..storage.files import digest
    from .writing import keep_record

    opened = load(run, device=device)
    with ProgressLine(quiet) as line:
        calibration = opened.calibrate(n=n, seed=seed, watch=line.task("calibrating"))
    record = {
        **calibration.to_dict(),
        "run": str(opened.path),
        "guide": opened.guide.phrase,
        "weights": opened.weights,
        "seed": seed,
        "weights_sha256": digest(opened.path / WEIGHTS),
        "versions": versions(),
    }
    keep_record(opened.path / CALIBRATION, record, "calibrate", notifier(quiet))
    if json:
        print_json(record)
    else:
        basis = f"on {calibration.basis}; {opened.weights} weights; seed {seed}"
        print_lines([*_lines(calibration), basis, f"next: {command_line('report', run)}"])


def _lines(calibration: Calibration) -> list[str]:
    """Return the verdict, the smallest p-value, and the coverage of two regions."""
    worst = int(calibration.adjusted.argmin())
    p = float(calibration.adjusted[worst])
    p_value, quantity = "below 1e-06" if p < 1e-6 else f"{p:.2g}", calibration.names[worst]
    n = len(calibration.names)
    return [
        calibration.verdict,
        f"smallest p-value of {n} quantities, adjusted for their number: {p_value} ({quantity})",
        f"{_coverage(calibration, 0.5)}, {_coverage(calibration, 0.9)}",
    ]


def _coverage(calibration: Calibration, level: float) -> str:
    """Return the coverage of the regions of this level."""
    fraction, stderr = calibration.coverage.at(level)
    return f"{level:.0%} regions contain the true z in {fraction:.1%} ± {stderr:.1%} of the cases"
