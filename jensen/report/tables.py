"""Pictures of models of tables: columns of data and of samples, their correlations, and reconstructions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes

from ..analysis import latents
from ..core.characters import as_one_line
from ..core.rows import evenly_spaced
from ..plot.names import distinct
from ..plot.style import COLOURS, INK, SOFT
from .facts import Facts, some
from .figures import draw
from .panels import Panel, Table

__all__ = ["component_table", "correlations", "distributions", "reconstructions", "samples"]

COLUMNS, PAIRED = 6, 40
ROWS = 2000
DOTS = 400
TITLE, SCORED = 285.0, 150.0  # pixels for the name of a column, alone and beside its R²


def column_names(facts: Facts) -> list[str]:
    """Return the names of the columns as in the file, or numbers from 1."""
    names = facts.run.schema.names
    return [as_one_line(n) for n in names] if names else [f"column {i + 1}" for i in range(facts.run.schema.size)]


def samples(facts: Facts) -> np.ndarray | None:
    """Return samples [M, D] in the data's own units, integers without their dequantisation noise on average.

    None where training did not match codes to the prior.
    """
    if not facts.samples:
        return None
    x = facts.run.sample(ROWS, seed=0).reshape(ROWS, -1).astype(np.float64)
    return x - 0.5 if facts.run.preparation.dequantize else x


def _data(facts: Facts) -> np.ndarray | None:
    """Return held-out rows [M, D], NaN where entries are missing."""
    return None if facts.part is None else facts.originals(evenly_spaced(len(facts.part.x), ROWS).numpy())


def _observed(x: np.ndarray) -> np.ndarray:
    """Return the entries that are not missing."""
    return x[~np.isnan(x)]


def _moments(x: np.ndarray) -> str:
    return f"mean {x.mean():.3g} and s.d. {x.std():.3g}" if len(x) else "no observed entry"


def _left_out(data: np.ndarray) -> str:
    """Return a note on missing entries."""
    missing = int(np.isnan(data).sum())
    return f" {missing:,} of {data.size:,} entries are missing, and left out." if missing else ""


def _bins(facts: Facts, values: np.ndarray, other: np.ndarray | None) -> np.ndarray:
    levels = 2 if facts.run.seen.kind == "binary" else facts.run.schema.levels
    if levels is not None and levels <= 40:
        return np.arange(levels + 1) - 0.5
    both = _observed(values if other is None else np.concatenate([values, other]))
    low, high = np.quantile(both, [0.002, 0.998])
    return np.linspace(low, high if high > low else low + 1, 31)


def distributions(facts: Facts, drawn: np.ndarray | None) -> Panel | None:
    """Return a histogram of data and of samples for each column."""
    data = _data(facts)
    if data is None or drawn is None:
        return None
    names, bodies = column_names(facts), []
    titles = distinct(names[:COLUMNS], TITLE)
    for j in range(min(COLUMNS, data.shape[1])):

        def paint(axes: Axes, j: int = j) -> None:
            bins = _bins(facts, data[:, j], drawn[:, j]).tolist()
            observed = _observed(data[:, j])
            if len(observed):
                axes.hist(np.clip(observed, bins[0], bins[-1]), bins=bins, density=True, color=SOFT, alpha=0.45)
            axes.hist(
                np.clip(drawn[:, j], bins[0], bins[-1]),
                bins=bins,
                density=True,
                histtype="step",
                color=COLOURS[0],
                linewidth=2,
            )
            axes.set_title(titles[j], loc="left")
            axes.set_yticks([])
            axes.locator_params(axis="x", nbins=5)
            axes.grid(visible=False)

        moments = [_moments(_observed(x[:, j])) for x in (data, drawn)]
        alt = f"{names[j]}: data have {moments[0]}, samples {moments[1]}."
        bodies.append(draw(f"column-{j}", alt, paint, 300, 210))
    return Panel(
        tuple(bodies),
        f"{_columns_shown(facts)} Filled grey: {some(len(data), facts.held_out, 'held-out row')}. Blue outline: "
        f"{len(drawn):,} samples of the model. They should agree: an outline that is too wide, or misses a spike, "
        "would show a column that was not learned."
        f"{_left_out(data)}",
    )


def _columns_shown(facts: Facts) -> str:
    d = facts.run.schema.size
    return f"The first {COLUMNS} of {d:,} columns." if d > COLUMNS else ("Each column." if d > 1 else "The column.")


def correlations(facts: Facts, drawn: np.ndarray | None, numbers: dict[str, Any]) -> Panel | None:
    """Return the correlation of each pair of columns, in data and in samples; None where entries are missing.

    Rows in which a pair of columns is observed need not be representative, so samples could not be compared with them.
    """
    data = _data(facts)
    if data is None or drawn is None or len(data) < 3 or facts.holed:
        return None
    varied = [j for j in range(min(data.shape[1], PAIRED)) if data[:, j].std() > 0 and drawn[:, j].std() > 0]
    if len(varied) < 2:
        return None
    upper = np.triu_indices(len(varied), 1)
    a, b = (np.corrcoef(x[:, varied].T)[upper] for x in (data, drawn))
    off = float(np.abs(a - b).mean())
    numbers["correlation_error"] = off

    def paint(axes: Axes) -> None:
        axes.plot([-1, 1], [-1, 1], color=SOFT, linewidth=1)
        axes.plot(a, b, "o", color=COLOURS[0], markersize=5, alpha=0.7, markeredgewidth=0)
        axes.set(xlim=(-1.04, 1.04), ylim=(-1.04, 1.04), xlabel="correlation in held-out rows", ylabel="in samples")
        axes.set_aspect("equal")

    return Panel(
        (
            draw(
                "correlations",
                f"Correlations of {len(a)} pairs of columns; those of samples differ by {off:.3f} on average.",
                paint,
                400,
                380,
            ),
        ),
        f"Each of {len(a):,} pairs of {_paired(facts)} once. On the line, samples are as correlated as data; the "
        f"two differ by {off:.3f} on average. Points along the horizontal at 0 would be correlations that the model "
        "has missed.",
    )


def _paired(facts: Facts) -> str:
    """Return which columns are paired."""
    d = facts.run.schema.size
    return f"the first {PAIRED} of {d:,} columns" if d > PAIRED else "columns"


def reconstructions(facts: Facts, numbers: dict[str, Any]) -> Panel | None:
    """Return each column of held-out data against its reconstruction."""
    data = _data(facts)
    if data is None or not facts.examples or facts.part is None:
        return None
    if facts.latent == "none" or not facts.run.guide.infers:
        return None
    index = evenly_spaced(len(data), DOTS).numpy()
    rows = facts.part.rows.subset(facts.index(ROWS)[torch.as_tensor(index).to(facts.run.device)])
    mean = facts.run.shaped(latents.reconstruct(facts.run.model, facts.run.guide, rows)).reshape(len(index), -1)
    x = data[index]
    names, bodies, explained = column_names(facts), [], {}
    titles = distinct(names[:COLUMNS], SCORED)
    for j in range(min(COLUMNS, x.shape[1])):
        is_observed = ~np.isnan(x[:, j])
        original, reconstructed = x[is_observed, j], mean[is_observed, j]
        explained[str(j + 1)] = share = _explained(original, reconstructed)

        def paint(
            axes: Axes,
            j: int = j,
            share: float = share,
            original: np.ndarray = original,
            reconstructed: np.ndarray = reconstructed,
        ) -> None:
            if len(original):
                low, high = np.quantile(np.concatenate([original, reconstructed]), [0.002, 0.998])
                axes.plot([low, high], [low, high], color=INK, linewidth=1)
            axes.plot(original, reconstructed, "o", color=COLOURS[0], markersize=3.5, alpha=0.5, markeredgewidth=0)
            axes.set_title(f"{titles[j]}: R² = {share:.2f}", loc="left")
            axes.locator_params(nbins=4)

        bodies.append(
            draw(f"return-{j}", f"{names[j]}: reconstruction against data, R squared {share:.2f}.", paint, 300, 260)
        )
    numbers["explained_by_column"] = explained
    return Panel(
        tuple(bodies),
        f"{_columns_shown(facts)} Horizontal: {some(len(x), facts.held_out, 'held-out row')}. Vertical: the mean of "
        "p(x|z) at the mean of q(z|x). "
        "Points should lie near the line; a flat cloud (R² near 0) would show a column that the code does not hold."
        f"{_left_out(x)}",
    )


def _explained(x: np.ndarray, reconstructed: np.ndarray) -> float:
    """Return R² = 1 - mean squared error / variance; NaN for a column that does not vary."""
    if len(x) == 0 or not x.std() > 0:
        return float("nan")
    return 1 - float(((x - reconstructed) ** 2).mean() / max(float(x.var()), 1e-300))


def component_table(facts: Facts) -> Table | None:
    """Return the means of the heaviest components."""
    if facts.weights is None:
        return None
    order, d = np.argsort(-facts.weights)[:12], facts.run.schema.size
    eye = torch.eye(len(facts.weights), dtype=facts.run.dtype, device=facts.run.device)[order.copy()]
    means = facts.run.shaped(latents.decode(facts.run.model, eye)).reshape(len(order), -1)
    head = ("component", "weight", *column_names(facts)[:12])
    rows = tuple(
        (str(i + 1), f"{facts.weights[i]:.3f}", *(f"{v:.4g}" for v in m[:12]))
        for i, m in zip(order, means, strict=True)
    )
    columns = f", and the first 12 of {d:,} columns" if d > 12 else ""
    caption = (
        f"Means of the heaviest components{columns}, in the data's own units. Rows that are alike would be "
        "components that share one cluster."
    )
    return Table(head, rows, caption=caption)
