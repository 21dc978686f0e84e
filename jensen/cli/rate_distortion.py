"""`jensen rate-distortion`: one training per weight of the rate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..core.commands import command_line
from ..core.wording import fixed
from .defaults import BETAS
from .flags import Force, Json, Quiet
from .options import parse_options
from .output import notifier, print_json, print_lines
from .progress import ProgressLine, TrainingProgress
from .signals import stopping
from .train_flags import TrainFlags

if TYPE_CHECKING:
    from ..runs.rate_distortion import Curve

__all__ = ["rate_distortion"]


def rate_distortion(
    data: Annotated[str, Parameter(help="digits, sprites, or a path")],
    /,
    *,
    out: Annotated[str, Parameter(help="folder of all runs, of the numbers and of the figure")],
    betas: Annotated[str, Parameter(help="weights of the rate")] = ",".join(f"{b:g}" for b in BETAS),
    recipe: Annotated[str, Parameter(help="a recipe with the option --beta")] = "beta-vae",
    flags: TrainFlags | None = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    **options: Annotated[str, Parameter(show=False)],
) -> None:
    """Train once per weight of the rate, and draw rate against distortion of the test rows.

    Finished runs in the folder are used again. Other options are those of jensen train and of the recipe.
    """
    training_options = (flags.given() if flags else {}) | parse_options(recipe, options)
    from ..report.rate_distortion import write_tradeoff
    from ..runs.rate_distortion import NAME, parse_betas, trade

    weights = parse_betas(betas)
    with stopping() as should_stop, ProgressLine(quiet) as line:
        curve = trade(
            data,
            out=out,
            betas=weights,
            recipe=recipe,
            force=force,
            listeners=[TrainingProgress(line)],
            should_stop=should_stop,
            notice=notifier(quiet),
            **training_options,
        )
    figure, _ = write_tradeoff(curve.to_dict(), Path(out) / NAME)
    if json:
        print_json(curve.to_dict())
    else:
        print_lines(_lines(curve, out, figure))


def _lines(curve: Curve, out: str, figure: Path) -> list[str]:
    """Return the best point, a table of all points, and where they are kept."""
    from ..runs.rate_distortion import NAME

    best = curve.best
    lines = [f"beta {best.beta:g} has the best ELBO: {fixed(best.elbo, 2)} nats per datum on {curve.data}"]
    lines.append(f"{'beta':>8} {'rate':>9} {'distortion':>11} {'ELBO':>9} {'log p(x) >=':>12}")
    for p in curve.points:
        lines.append(f"{p.beta:>8g} {p.rate:>9.2f} {p.distortion:>11.2f} {p.elbo:>9.2f} {p.log_px:>12.2f}")
    return [
        *lines,
        f"figure: {figure} (and .png); numbers: {Path(out) / NAME}.json",
        f"next: {command_line('report', best.run)}",
    ]
