"""Denoising models: data, the noisy data that the guide is given in training, and their reconstructions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..analysis import latents
from ..core.batch import Rows
from ..core.rows import evenly_spaced
from ..estimators.denoising import corrupted_rows
from ..plot.shades import Shades, columns
from .facts import Facts, some
from .grids import blocks
from .panels import Panel, Section, Table

__all__ = ["denoising"]

MOST = 1000


def _errors(facts: Facts, numbers: dict[str, Any]) -> dict[str, float]:
    """Return the root mean squared errors of noisy data and of reconstructions, in the units of the model."""
    run, corruption = facts.run, facts.run.corruption
    if facts.part is None or corruption is None:
        return {}
    rows = facts.part.rows.subset(facts.index(MOST))
    noisy = corrupted_rows(rows, corruption, facts.stream("denoising"))

    def values(data: Rows) -> torch.Tensor:
        return torch.cat([b.x for b in data.batches(MOST)]).double()

    clean, observed = values(rows), rows.mask
    if observed is None:
        observed = torch.ones(len(rows), run.schema.size, dtype=torch.bool, device=run.device)
    estimates = {
        "noisy": values(noisy),
        "from noisy": latents.reconstruct(run.model, run.guide, noisy).double(),
        "from clean": latents.reconstruct(run.model, run.guide, rows).double(),
    }
    numbers["denoising"] = {k: float((v - clean)[observed].square().mean().sqrt()) for k, v in estimates.items()}
    return numbers["denoising"]


def denoising(facts: Facts, numbers: dict[str, Any], shades: Shades | None) -> Section:
    """Return the section; empty where the guide was given clean data in training.

    Args:
        facts: of the run.
        numbers: of the page, to which the errors are added.
        shades: of images; None for tables, which have no pictures here.
    """
    errors = _errors(facts, numbers)
    if not errors:
        return Section("Denoising")
    panels = () if shades is None or not facts.examples else (_rows(facts, shades),)
    units = "in the units of the model" if facts.run.preparation.scale is None else "in units of the standardisation"
    rows = (
        ("noisy data", f"{errors['noisy']:.3g}"),
        ("reconstructed from noisy data", f"{errors['from noisy']:.3g}"),
        ("reconstructed from clean data", f"{errors['from clean']:.3g}"),
    )
    noise, used = facts.run.corruption, some(min(MOST, facts.held_out), facts.held_out, "held-out row")
    caption = (
        f"Difference from the clean data, {units}, on {used}. The noise is of training: "
        f"{'' if noise is None else noise.phrase}. "
        "The second number should be well below the first, and near the third."
    )
    return Section("Denoising", panels, (Table(("data", "root mean squared error"), rows, (), caption),))


def _rows(facts: Facts, shades: Shades) -> Panel:
    """Return held-out images, with noise, and reconstructed, one below the other."""
    run, part, corruption = facts.run, facts.part, facts.run.corruption
    if part is None or corruption is None:
        raise TypeError("rows and a corruption are needed")
    index = evenly_spaced(len(part.rows), columns(shades.shape)).numpy()
    rows = part.rows.subset(torch.as_tensor(index).to(run.device))
    noisy = corrupted_rows(rows, corruption, facts.stream("denoising"))
    noisy_images = np.concatenate([run.shaped(b.x) for b in noisy.batches(len(noisy))])
    reconstructed = run.shaped(latents.reconstruct(run.model, run.guide, noisy))
    content = [shades(facts.originals(index)), shades(noisy_images), shades(reconstructed)]
    alt = f"{len(index)} held-out images in the top row, noisy in the middle, reconstructed from that at the bottom."
    return Panel(
        blocks(content, alt),
        f"Top: {some(len(index), facts.held_out, 'held-out row')}. Middle: with the noise of training, "
        f"{corruption.phrase}. Bottom: the mean of p(x|z) at "
        "the mean of q(z|noisy x), which should look like the top row; noise that remains would be bad.",
        tiles=True,
    )
