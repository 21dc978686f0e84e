"""The latent map: held-out rows by the means of q(z | x)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from torch.distributions import Independent, Normal

from ..core.errors import UsageError
from ..runs.data import Source, Targets
from ..runs.run import Run
from .axes import drawn
from .maps import legend, scatter
from .style import COLOURS, INK, PAGE, SOFT
from .view import View, view_of

__all__ = ["Plane", "density_at", "has_standard_prior", "latent_map", "map_height", "plane", "prior_density"]

FEWEST = 3  # rows of a map


@dataclass(frozen=True)
class Plane:
    """Two coordinates of codes.

    Attributes:
        points: [M, 2].
        names: of the two coordinates.
        how: they were chosen, in words.
        circles: True if the prior is a standard normal in both, so that it has circles.
        numbers: about the choice, JSON-serialisable.
    """

    points: np.ndarray
    names: tuple[str, str]
    how: str
    circles: bool
    numbers: dict[str, Any]


def latent_map(
    run: Run | View, ax: Axes | None = None, *, data: Source | None = None, labels: Targets | None = None
) -> Axes:
    """Draw the map of rows in latent space: the means of q(z | x), by class where there are labels.

    Of more than two features the two with the highest rates are drawn, or else the first two principal components; of
    one feature, a histogram beside the prior. Circles are one and two standard deviations of a standard normal prior.

    Args:
        run: the run.
        ax: to draw into; by default a new figure.
        data, labels: other rows than the run's own test rows, and the labels of these.

    Returns:
        The axes.

    Raises:
        UsageError: the run has no latent features, no encoder, or fewer than three rows to show.
        DataError: the rows cannot be read.
    """
    view = view_of(run, data, labels)
    codes = _codes(view)
    if codes.shape[1] == 1:
        return drawn(ax, lambda axes: _histogram(axes, view, codes[:, 0]), 560, 340)
    shown = plane(view, codes)
    low, high = _limits(shown.points, shown.circles)

    def paint(axes: Axes) -> None:
        if shown.circles:
            for r in (1, 2):
                axes.add_patch(Circle((0, 0), r, fill=False, edgecolor=SOFT, linewidth=1.2))
                box = {"facecolor": PAGE, "edgecolor": "none", "pad": 1, "alpha": 0.9}
                axes.annotate(f"{r} s.d.", (0, r), ha="center", va="center", color=SOFT, bbox=box, zorder=5)
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel=shown.names[0], ylabel=shown.names[1])
        axes.set_aspect("equal", adjustable="box")
        scatter(axes, shown.points, view.labels, legend(view.labels))

    return drawn(ax, paint, 560, map_height(shown) + 40)


def _codes(view: View) -> np.ndarray:
    """Return the codes [M, Z] of the rows, without features that code a class.

    Raises:
        UsageError: there are none, or too few.
    """
    path = view.run.path
    if view.part is None:
        view.run.part("test")  # which says why its rows cannot be read
    if view.latent != "features":
        raise UsageError(f"{path} has no latent features to map", "Draw a run of a recipe with features, such as vae.")
    if view.codes is None:
        raise UsageError(
            f"{path} has no encoder, so its rows have no codes", "Draw a run of vae, or jensen.plot.samples."
        )
    if len(view.codes) < FEWEST:
        raise UsageError(f"a map needs at least {FEWEST} rows, got {len(view.codes)}", "Give more rows: data=...")
    return view.codes[:, view.classes :]


def map_height(shown: Plane) -> int:
    """Return the height of a map that is 500 wide."""
    low, high = _limits(shown.points, shown.circles)
    return round(min(max(70 + 420 * (high - low)[1] / (high - low)[0], 240), 560))


def _limits(points: np.ndarray, circles: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of the map, which hold nearly all points and the prior's circles, and are not too unequal."""
    middle = np.median(points, 0)
    low, high = np.quantile(points, 0.002, axis=0), np.quantile(points, 0.998, axis=0)
    low, high = (np.minimum(low, -2.3), np.maximum(high, 2.3)) if circles else (low, high)
    pad = 0.05 * (high - low)
    short = 0.3 * (high - low).max()
    return np.minimum(low - pad, middle - short), np.maximum(high + pad, middle + short)


def has_standard_prior(view: View) -> bool:
    """Return whether the prior is the standard normal."""
    prior = view.run.model.prior(view.run.model.usual)
    gaussian = isinstance(prior, Independent) and isinstance(prior.base_dist, Normal)
    return gaussian and not prior.mean.any() and bool((prior.stddev == 1).all())


def plane(view: View, codes: np.ndarray) -> Plane:
    """Return two coordinates of codes [M, Z] of two features or more."""
    circles = has_standard_prior(view) and view.normalised
    z = codes.shape[1]
    if z == 2:
        return Plane(codes, ("latent feature 1", "latent feature 2"), "both latent features.", circles, {})
    if view.rates is not None:
        i, j = (int(k) for k in np.argsort(-view.rates)[:2])
        how = f"the two of {z} features with the highest rates, {i + 1} and {j + 1}."
        names = (f"latent feature {i + 1}", f"latent feature {j + 1}")
        return Plane(codes[:, [i, j]], names, how, circles, {"mapped_features": [i + 1, j + 1]})
    centred = codes - codes.mean(0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    share = float((s[:2] ** 2).sum() / max((s**2).sum(), 1e-300))
    how = f"their first two principal components, with {share:.0%} of the variance of the {z} features."
    names = ("principal component 1", "principal component 2")
    return Plane(u[:, :2] * s[:2], names, how, False, {"map_share_of_variance": share})


def prior_density(view: View, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return values of one feature around its codes [M], and the prior's density there; None where there is none."""
    if not view.normalised or view.classes:
        return None
    grid = np.linspace(min(-3.5, codes.min()), max(3.5, codes.max()), 281)
    return grid, density_at(view, grid)


@torch.no_grad()
def density_at(view: View, grid: np.ndarray) -> np.ndarray:
    """Return p(z) [n] of the model's prior at values [n] of its one feature."""
    z = torch.as_tensor(grid[:, None], dtype=view.run.dtype, device=view.run.device)
    return view.run.model.prior.log_prob(z).exp().double().cpu().numpy().reshape(-1)


def _histogram(axes: Axes, view: View, codes: np.ndarray) -> None:
    """Draw the codes [M] of one feature, beside the density of the prior."""
    curve, standard = prior_density(view, codes), has_standard_prior(view)
    axes.hist(codes, bins=40, density=True, color=COLOURS[0], alpha=0.6)
    if curve is not None:
        grid, density = curve
        axes.plot(grid, density, color=INK, linewidth=1.5)
        top = int(np.argmin(np.abs(grid - 0.8))) if standard else int(density.argmax())
        name = "standard normal" if standard else "prior"
        axes.annotate(name, (grid[top], density[top]), (6, 0), textcoords="offset points")
    axes.set(xlabel="latent feature 1", ylabel="density")
