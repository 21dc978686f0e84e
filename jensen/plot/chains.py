"""Diffusions: images on the way from noise to data, samples by number of steps, and the nats of each time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from ..analysis import latents
from ..analysis.chain_rates import NatsByTime, chain_of_guide
from ..analysis.chain_rates import nats_by_time as measured_nats
from ..core.errors import UsageError
from ..core.random import drawing_from
from ..core.rows import evenly_spaced
from ..models.descents import Descent, chain_prior, recorded_descent
from ..models.diffused import DiffusionPrior
from ..models.noise_schedules import signal_and_noise
from ..nets import Standardize
from ..runs.data import Source
from ..runs.run import Run
from .axes import drawn
from .images import Rows, of_images, show_rows
from .shades import Shades
from .style import COLOURS
from .view import View, view_of

__all__ = [
    "STEPS",
    "chain_of_view",
    "denoising_rows",
    "denoising_steps",
    "nats_by_time",
    "nats_of_view",
    "paint_nats",
    "samples_by_steps",
    "step_rows",
]

STEPS = (5, 20, 100)
COLUMNS = 9
BINS = 24
ROWS = 200  # evenly spaced, by which the nats of each time are measured


def denoising_steps(run: Run | View, ax: Axes | None = None, *, n: int = 3, columns: int = COLUMNS) -> Axes:
    """Draw samples on their way down: z_t above the estimate of the image in it, from t = 1 at the left to t = 0.

    Args:
        run: the run of a diffusion, of images.
        ax: to draw into; by default a new figure.
        n: samples.
        columns: times.

    Returns:
        The axes.

    Raises:
        UsageError: the data are no images, or the model is no diffusion.
    """
    view = of_images(view_of(run))
    rows = denoising_rows(view, Shades.of(view), n, columns)[0]
    names = ["z_t", "E[x | z_t]"] if len(rows) == 2 * n else ["E[x | z_t]"]
    return show_rows(ax, rows, names * n)


def denoising_rows(view: View, shades: Shades, n: int, columns: int = COLUMNS) -> tuple[Rows, list[float]]:
    """Return rows of images on the way down, and the times of the columns.

    z_t is shown where noise is added to the data themselves, each feature shifted and scaled.

    Raises:
        UsageError: the model is no diffusion.
    """
    prior, model = chain_of_view(view), view.run.model
    chain, generator = prior.diffusion, view.stream("denoising steps")
    top = _tops(view, n, generator)
    with drawing_from(generator):
        context = model.contexts(n)
        points = recorded_descent(chain, top, columns, Descent(view.chain_steps), context)
    alpha = signal_and_noise(chain.schedule(top.new_zeros(())))[0]
    noisy = [z for p in points if (z := _as_data(view, p.z)) is not None]
    clean = [latents.decode(model, alpha * p.x, context) for p in points]
    kinds = [shades(view.run.shaped(torch.stack(x, 1).flatten(0, 1))) for x in (noisy, clean) if x]
    each = [images.reshape(n, len(points), *images.shape[1:]) for images in kinds]
    return [images[i] for i in range(n) for images in each], [p.t for p in points]


def _as_data(view: View, z: Tensor) -> Tensor | None:
    """Return z as data, as the model sees them; None where noise is added to a code that is learned."""
    code = chain_of_guide(view.run.guide).code
    if code is None:
        return z
    return z * code.scale + code.mean if isinstance(code, Standardize) else None


def _tops(view: View, n: int, generator: torch.Generator) -> Tensor:
    like = next(iter(view.run.model.parameters()))
    with drawing_from(generator):
        return torch.randn(n, chain_of_view(view).diffusion.dim, dtype=like.dtype, device=like.device)


def samples_by_steps(run: Run | View, ax: Axes | None = None, *, steps: Sequence[int] = STEPS, n: int = 10) -> Axes:
    """Draw means of p(x | z) at samples from the same noise in more and more steps: with noise, and without (DDIM).

    Args:
        run: the run of a diffusion, of images.
        ax: to draw into; by default a new figure.
        steps: numbers of steps, a row each.
        n: images in a row.

    Returns:
        The axes.

    Raises:
        UsageError: the data are no images, or the model is no diffusion.
    """
    view = of_images(view_of(run))
    rows = step_rows(view, Shades.of(view), steps, n)
    names = [f"{s} {how}" for how in ("steps", "DDIM") for s in steps]
    return show_rows(ax, rows, names)


def step_rows(view: View, shades: Shades, steps: Sequence[int], n: int) -> Rows:
    """Return images of each number of steps with noise, then without.

    Raises:
        UsageError: the model is no diffusion, or a number of steps is below 1.
    """
    prior, model = chain_of_view(view), view.run.model
    generator, rows = view.stream("samples by steps"), []
    top = _tops(view, n, generator)
    context = model.contexts(n, generator)
    for descent in (Descent(s, noise) for noise in (1.0, 0.0) for s in steps):
        with drawing_from(view.stream("noise on the way")):
            z = prior.diffusion.descend(top, descent.steps, noise=descent.noise, context=context)
        rows.append(shades(view.run.shaped(latents.decode(model, z, context))))
    return rows


def nats_by_time(run: Run | View, ax: Axes | None = None, *, data: Source | None = None, bins: int = BINS) -> Axes:
    """Draw the rate of a diffusion by time, in nats per datum and unit of time: the area is the rate of its levels.

    Args:
        run: the run of a diffusion.
        ax: to draw into; by default a new figure.
        data: other rows than the run's own test rows.
        bins: intervals of time.

    Returns:
        The axes.

    Raises:
        UsageError: the model is no diffusion.
        DataError: the rows cannot be read.
    """
    view = view_of(run, data)
    if view.part is None:
        view.run.part("test")  # which says why its rows cannot be read
    curve = nats_of_view(view, bins)
    return drawn(ax, lambda axes: paint_nats(axes, curve), 520, 320)


def nats_of_view(view: View, bins: int = BINS) -> NatsByTime:
    """Return the nats of each time on at most 200 rows that were not trained on, evenly spaced.

    Raises:
        UsageError: the model is no diffusion, or there are no rows.
    """
    chain_of_view(view)
    if view.part is None:
        raise UsageError(f"the rows of {view.run.path} are not there", "Give others: data=.")
    index = evenly_spaced(len(view.part.rows), ROWS, view.run.device)
    return measured_nats(view.run.guide, view.part.rows.subset(index), bins, view.stream("nats by time"))


def paint_nats(axes: Axes, curve: NatsByTime) -> None:
    """Draw nats by time into axes, with a band of two standard errors."""
    density, error = (v.cpu().numpy() for v in (curve.density, curve.stderr))
    edges = curve.edges.numpy()
    axes.stairs(density, edges, color=COLOURS[0], linewidth=2)
    axes.stairs(density + 2 * error, edges, baseline=density - 2 * error, color=COLOURS[0], alpha=0.25, fill=True)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.08 * float(np.nanmax(density + 2 * np.nan_to_num(error))) or 1.0)
    axes.set_xlabel("time t, from data (0) to noise (1)")
    axes.set_ylabel("nats per datum and unit of time")


def chain_of_view(view: View) -> DiffusionPrior:
    """Return the chain.

    Raises:
        UsageError: the model has none.
    """
    prior = chain_prior(view.run.model)
    if prior is None:
        raise UsageError(f"the model in {view.run.path} is no diffusion", "Train one: --recipe diffusion.")
    return prior
