"""Images that a model decodes: rows of them as bytes, which pages and axes share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from scipy.stats import norm
from torch.distributions import Independent, Normal

from ..analysis import latents
from ..core.errors import CompositionError, UsageError
from ..core.rows import evenly_spaced
from ..runs.data import Source
from ..runs.run import Run
from .axes import drawn
from .shades import Shades, sheet_image
from .view import View, view_of

__all__ = [
    "Rows",
    "decoded_grid",
    "grid_rows",
    "of_images",
    "originals",
    "reconstruction_rows",
    "reconstructions",
    "sample_rows",
    "samples",
    "show_rows",
    "traversal_rows",
    "traversals",
]

STEPS, FEATURES = 9, 6
SIDE = 15
WIDE = 640  # of a new figure
Rows = list[np.ndarray]  # bytes [n, H, W, C] of each row of a sheet


def reconstructions(run: Run | View, ax: Axes | None = None, *, data: Source | None = None, n: int = 10) -> Axes:
    """Draw images above their reconstructions: the mean of p(x | z) at the mean of q(z | x), and a sample of x.

    Args:
        run: the run, of images.
        ax: to draw into; by default a new figure.
        data: other images than the run's own test rows.
        n: images, evenly spaced among the rows.

    Returns:
        The axes.

    Raises:
        UsageError: the data are no images, or the run has no encoder.
        DataError: the rows cannot be read.
    """
    view = of_images(view_of(run, data))
    if view.part is None:
        view.run.part("test")  # which says why its rows cannot be read
    if view.latent == "none" or not view.run.guide.infers:
        raise UsageError(f"{view.run.path} has no encoder, so it reconstructs nothing", "Draw jensen.plot.samples.")
    rows = reconstruction_rows(view, Shades.of(view), n)[1]
    return show_rows(ax, rows, ["data", "mean", "sample"])


def reconstruction_rows(view: View, shades: Shades, n: int) -> tuple[np.ndarray, Rows]:
    """Return the numbers of n rows, and images: those rows, their means, and samples."""
    run, noise = view.run, view.stream("reconstructions")
    index = evenly_spaced(view.held_out, n).numpy()
    if view.part is None or not len(index):
        return index, []
    rows = view.part.rows.subset(torch.as_tensor(index).to(run.device))
    mean = latents.reconstruct(run.model, run.guide, rows)
    sampled = latents.reconstruct(run.model, run.guide, rows, sample=True, generator=noise)
    return index, [originals(view, index, shades), shades(run.shaped(mean)), shades(run.shaped(sampled))]


def originals(view: View, index: np.ndarray, shades: Shades) -> np.ndarray:
    """Return rows of the part as the model sees them, in shades; missing pixels have a colour of their own."""
    return shades(view.originals(index))


def samples(run: Run | View, ax: Axes | None = None, *, n: int = 10) -> Axes:
    """Draw new images: the means of p(x | z) at z drawn from the prior, above a sample of x at each.

    Args:
        run: the run, of images.
        ax: to draw into; by default a new figure.
        n: images side by side, in two blocks.

    Returns:
        The axes.

    Raises:
        UsageError: the data are no images, or training did not match codes to the prior.
    """
    view = of_images(view_of(run))
    if not view.samples:
        what = f"training of {view.run.path} did not match codes to the prior, so samples would mean nothing"
        raise UsageError(what, "Draw jensen.plot.reconstructions.")
    drawn_rows = sample_rows(view, Shades.of(view), 2 * n)
    names = ["mean", "sample"][-len(drawn_rows) :]
    return show_rows(ax, [row[i : i + n] for i in (0, n) for row in drawn_rows], names * 2)


def sample_rows(view: View, shades: Shades, n: int) -> Rows:
    """Return n new images: means of p(x | z) and samples of the same z, or samples alone where there is no mean."""
    run = view.run
    only_noise = view.latent == "none" or not run.model.likelihood.has_density
    z, batch = view.drawing.simulate(n, view.stream("samples"))
    sampled = shades(run.shaped(batch.x))
    return [sampled] if only_noise else [shades(run.shaped(latents.decode(run.model, z, batch.context))), sampled]


def traversals(run: Run | View, ax: Axes | None = None, *, features: int = FEATURES, steps: int = STEPS) -> Axes:
    """Draw the decoded images as each of the strongest features moves alone, from -2.5 to 2.5 about the prior's mean.

    Args:
        run: the run, of images.
        ax: to draw into; by default a new figure.
        features: rows; the features with the highest rates, strongest first.
        steps: images in a row.

    Returns:
        The axes.

    Raises:
        UsageError: the data are no images, or the features of the run have no rates.
    """
    view = of_images(view_of(run))
    if view.rates is None:
        raise UsageError(f"the rate of {view.run.path} is not one of single features", "Draw jensen.plot.samples.")
    order, rows = traversal_rows(view, Shades.of(view), features, steps)
    return show_rows(ax, rows, [f"feature {int(i) + 1}" for i in order])


def traversal_rows(view: View, shades: Shades, features: int = FEATURES, steps: int = STEPS) -> tuple[np.ndarray, Rows]:
    """Return the features with the highest rates, and for each the images as it moves alone."""
    model, top = view.run.model, np.argsort(-(np.zeros(0) if view.rates is None else view.rates))[:features]
    z = model.prior(model.usual).mean.expand(len(top), steps, -1).clone()
    for i, feature in enumerate(top):
        z[i, :, feature] += torch.linspace(-2.5, 2.5, steps, dtype=z.dtype, device=z.device)
    x = shades(view.run.shaped(latents.decode(model, z.flatten(0, 1))))
    return top, list(x.reshape(len(top), steps, *x.shape[1:]))


def decoded_grid(
    run: Run | View, ax: Axes | None = None, *, features: tuple[int, int] | None = None, n: int = SIDE
) -> Axes:
    """Draw the means of p(x | z) over the plane of two features, in steps of equal probability under the prior.

    Args:
        run: the run, of images.
        ax: to draw into; by default a new figure.
        features: numbers of the features, from 1, that grow to the right and upwards; by default those with the
            highest rates. The others stay at the prior's mean.
        n: images in each direction.

    Returns:
        The axes.

    Raises:
        UsageError: the data are no images, or there are no two such features.
        CompositionError: the prior is not a Gaussian of independent features.

    Source: Kingma & Welling, "Auto-encoding variational Bayes", 2014, figure 4.
    """
    view = of_images(view_of(run))
    z = view.run.model.latent
    if view.latent != "features" or z < 2:
        raise UsageError(f"{view.run.path} has no two latent features", "Train with --latent 2.")
    if features is None:
        strongest = None if view.rates is None or z == 2 else np.argsort(-view.rates)[:2].tolist()
        features = (1, 2) if strongest is None else (strongest[0] + 1, strongest[1] + 1)
    if not all(1 <= i <= z for i in features):
        raise UsageError(f"features must be from 1 to {z}, got {features[0]} and {features[1]}", "Give two of them.")
    axes = show_rows(ax, grid_rows(view, Shades.of(view), features, n), [])
    axes.set(xlabel=f"latent feature {features[0]}", ylabel=f"latent feature {features[1]}")
    return axes


def grid_rows(view: View, shades: Shades, features: tuple[int, int] = (1, 2), n: int = SIDE) -> Rows:
    """Return images over the plane of two features, numbered from 1: the first grows to the right, the other upwards.

    Raises:
        CompositionError: the prior is not a Gaussian of independent features.
    """
    model = view.run.model
    if model.latent == 2 and features == (1, 2):
        x = latents.prior_grid(model, n).flatten(0, 1)
    else:
        prior = model.prior(model.usual)
        if not (isinstance(prior, Independent) and isinstance(prior.base_dist, Normal)):
            raise CompositionError("the prior is not a Gaussian of independent features", "Draw jensen.plot.samples.")
        steps = torch.as_tensor(norm.ppf((np.arange(n) + 0.5) / n)).to(prior.mean)
        right, up = (prior.mean[..., i - 1] + prior.stddev[..., i - 1] * steps for i in features)
        z = prior.mean.reshape(-1).expand(n, n, -1).clone()
        z[..., features[0] - 1], z[..., features[1] - 1] = right.expand(n, n), up.flip(0)[:, None].expand(n, n)
        x = latents.decode(model, z.flatten(0, 1))
    images = shades(view.run.shaped(x))
    return list(images.reshape(n, n, *images.shape[1:]))


def of_images(view: View) -> View:
    """Return a view of images.

    Raises:
        UsageError: it is of other data.
    """
    if not view.run.schema.is_image:
        what = f"the data of {view.run.path} are no images"
        raise UsageError(what, "Of tables, draw jensen.plot.latent_map, training_curves or tightness.")
    return view


def show_rows(ax: Axes | None, rows: Rows, names: list[str]) -> Axes:
    """Draw rows of images, without smoothing, with a name before each row."""
    canvas = np.asarray(sheet_image(rows).convert("RGBA"))
    height, width = canvas.shape[:2]
    size: dict[str, Any] = {"interpolation": "nearest", "aspect": "equal"}

    def paint(axes: Axes) -> None:
        axes.imshow(canvas, **size)
        middles = (np.arange(len(names)) + 0.5) * height / max(len(rows), 1)
        axes.set_yticks(middles, names)
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)

    margin = 70 if names else 20
    return drawn(ax, paint, WIDE, round((WIDE - margin) * height / width) + 20)
