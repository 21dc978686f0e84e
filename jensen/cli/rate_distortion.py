"""`jensen rate-distortion`: what a nat of code buys, over the weight of the rate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..recipes import find
from ..runs.rate_distortion import BETAS, NAME, Curve, parse_betas, trade
from .flags import Force, Json, Quiet
from .options import parse_options
from .output import emit, notices, show
from .progress import Line, Training
from .settings import Settings
from .signals import stopping

__all__ = ["rate_distortion"]


def rate_distortion(
    data: Annotated[str, Parameter(help="digits, sprites, or a path")],
    /,
    *,
    out: Annotated[str, Parameter(help="the folder of all runs, of the numbers and of the figure")],
    betas: Annotated[str, Parameter(help="weights of the rate")] = ",".join(f"{b:g}" for b in BETAS),
    recipe: Annotated[str, Parameter(help="a recipe with an option --beta")] = "beta-vae",
    settings: Settings | None = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    **options: Annotated[str, Parameter(show=False)],
) -> None:
    """Train once per beta, and draw rate against distortion of the test rows.

    Finished runs in the folder are used again. Other options are those of jensen train and of the recipe.
    """
    weights = parse_betas(betas)
    asked = (settings.given() if settings else {}) | parse_options(find(recipe), options)
    with stopping() as should_stop, Line(quiet) as line:
        told = {"listeners": [Training(line)], "should_stop": should_stop, "notice": notices(quiet)}
        found = trade(data, out=out, betas=weights, recipe=recipe, force=force, **told, **asked)
    # matplotlib takes a second to import, which a mistake need not wait for
    from ..report.rate_distortion import write_tradeoff

    figure, _ = write_tradeoff(found.to_dict(), Path(out) / NAME)
    if json:
        emit(found.to_dict())
    else:
        show(_lines(found, out, figure))


def _lines(found: Curve, out: str, figure: Path) -> list[str]:
    best = found.best
    lines = [f"beta {best.beta:g} has the best ELBO: {best.elbo:.2f} nats per datum on {found.data}"]
    lines.append(f"{'beta':>8} {'rate':>9} {'distortion':>11} {'ELBO':>9} {'log p(x) >=':>12}")
    for p in found.points:
        lines.append(f"{p.beta:>8g} {p.rate:>9.2f} {p.distortion:>11.2f} {p.elbo:>9.2f} {p.log_px:>12.2f}")
    return [*lines, f"figure: {figure} (and .png); numbers: {Path(out) / NAME}.json", f"next: jensen report {best.run}"]
