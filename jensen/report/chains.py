"""Diffusions: samples on their way from noise to data, samples by number of steps, and the nats of each time."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor

from ..analysis import latents
from ..analysis.chain_paths import chain_path
from ..core.wording import fixed
from ..models.descents import chain_prior
from ..models.diffusion import SAMPLING_STEPS
from ..plot.chains import COLUMNS, ROWS, STEPS, denoising_rows, nats_of_view, paint_nats, step_rows
from ..plot.shades import Shades, columns
from .facts import Facts, some
from .figures import draw
from .grids import blocks, sheet
from .panels import Panel, Section

__all__ = ["chain", "fewer_steps", "path_of_chain"]

SAMPLES = 3


def chain(facts: Facts, numbers: dict[str, Any]) -> Section:
    """Return the section; empty of a model that is no diffusion.

    Args:
        facts: of the run.
        numbers: of the page, to which the nats of each time are added.
    """
    if chain_prior(facts.run.model) is None:
        return Section("From noise to data")
    panels = []
    if facts.run.schema.is_image:
        shades = Shades.of(facts)
        panels += [_way_down(facts, shades), _by_steps(facts, shades)]
    if facts.part is not None and len(facts.part.rows):
        panels.append(_nats(facts, numbers))
    return Section("From noise to data", tuple(panels))


def fewer_steps(facts: Facts) -> list[str]:
    """Return a sentence on the steps of samples, where pictures take fewer than `jensen sample`; else none."""
    prior, steps = chain_prior(facts.run.model), facts.chain_steps
    if prior is None or steps is None:
        return []
    usual = prior.diffusion.levels or SAMPLING_STEPS
    return [f"In {steps} steps, which is faster than the {usual:,} of jensen sample."] if steps < usual else []


def path_of_chain(facts: Facts, a: Tensor, b: Tensor, points: int) -> Tensor | None:
    """Return means of p(x | z) [points, M, D] on the way from z_0 [M, Z] to others; None of a model without a chain."""
    prior, model = chain_prior(facts.run.model), facts.run.model
    if prior is None:
        return None
    t, usual = torch.linspace(0, 1, points, dtype=a.dtype, device=a.device), model.usual
    context = usual if prior.diffusion.context else None
    paths = [chain_path(prior.diffusion, i, j, t, context, facts.chain_steps) for i, j in zip(a, b, strict=True)]
    return latents.decode(model, torch.stack(paths, 1).flatten(0, 1)).unflatten(0, (points, len(a)))


def _way_down(facts: Facts, shades: Shades) -> Panel:
    """Return samples from t = 1 down to 0."""
    rows, times = denoising_rows(facts, shades, SAMPLES, COLUMNS)
    both = len(rows) == 2 * SAMPLES
    alt = f"{SAMPLES} samples at {len(times)} times, from noise at the left to an image at the right."
    what = (
        "z_t, scaled as the data are, above the mean of p(x|z) at the estimate of z_0 in it"
        if both
        else ("The mean of p(x|z) at the estimate of z_0 in z_t")
    )
    words = " ".join(
        [
            f"{SAMPLES} samples on their way: {what}, at times t = {', '.join(f'{t:.2g}' for t in times)}.",
            *fewer_steps(facts),
            "At first every estimate is near the mean of the data; from left to right it should become one image, first"
            " its outline and then its details.",
        ]
    )
    return Panel((sheet(rows, alt),), words)


def _by_steps(facts: Facts, shades: Shades) -> Panel:
    """Return samples of few and of many steps."""
    n = columns(shades.shape)
    rows = step_rows(facts, shades, STEPS, n)
    steps = ", ".join(map(str, STEPS))
    alt = f"{n} samples in {steps} steps with noise, then in as many without, one number of steps to a row."
    return Panel(
        blocks(rows, alt),
        f"The mean of p(x|z) at samples from the same noise in {steps} steps, from the top: with noise in every step "
        "(the chain of the bound), then without (DDIM), where a column should keep its image as steps increase. The "
        "number of steps from which rows no longer differ in quality is enough: jensen sample RUN --steps.",
        tiles=True,
    )


def _nats(facts: Facts, numbers: dict[str, Any]) -> Panel:
    """Return the nats of each time."""
    curve = nats_of_view(facts)
    density = curve.density.tolist()
    numbers["nats_by_time"] = {
        "edges": curve.edges.tolist(),
        "density": density,
        "stderr": curve.stderr.tolist(),
        "rate_of_levels": curve.rate,
        "rate_of_top": curve.top,
    }
    peak = max(range(len(density)), key=density.__getitem__)
    between = f"{float(curve.edges[peak]):.2f} and {float(curve.edges[peak + 1]):.2f}"

    def paint(axes: Axes) -> None:
        paint_nats(axes, curve)

    alt = f"Nats by time: most are between t = {between}; the area is {fixed(curve.rate, 1)} nats."
    return Panel(
        (draw("nats-by-time", alt, paint, 500, 300),),
        f"Where the nats are: the area is the rate of the chain's levels, {fixed(curve.rate, 2)} nats per datum, on "
        f"{some(min(ROWS, facts.held_out), facts.held_out, 'held-out row')}; the end at t = 1 adds "
        f"{fixed(curve.top, 4)}. Band: two standard errors. Early times hold what is fine, late ones what is coarse; a "
        "curve that is high at t = 1 would show a chain that ends before the data are noise.",
    )
