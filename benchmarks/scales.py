"""A learned scale that runs to zero, what guards against it and who notices: docs/scales.md.

python -m benchmarks.scales
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

import jensen
from benchmarks.pictures import COLOURS, save, subplots, table, write
from jensen.core.batch import Batch
from jensen.core.random import stream
from jensen.estimators.reparameterized import Pathwise

ROWS, EPOCHS = 40, 600
FLOORS = (1e-1, 1e-2, 1e-3)
HOW = {"hidden": (128,), "latent": 16, "warmup": 0, "batch": ROWS, "lr": 0.005, "split": "1,0,0", "checkpoints": 0}


@dataclass(frozen=True)
class Fit:
    """One training.

    Attributes:
        scale: which, in words.
        floor: what the scale stays above.
        bounds: the ELBO after each epoch, nats per datum.
        least: the smallest scale of any pixel of any datum.
        found: what the doctor says of the scale; "" where it finds nothing.
        optimum: the root of the squared error expected under q, averaged over data and pixels.
        elbo: of the trained model, nats per datum.
        best: the same with one scale for all pixels, at the optimum.
    """

    scale: str
    floor: float
    bounds: tuple[float, ...]
    least: float
    found: str
    optimum: float
    elbo: float
    best: float


def pixels() -> np.ndarray:
    """A few digits of 0..1 without the pixels that are the same in all of them: no scale has a density for those."""
    x = load_digits().data[:ROWS] / 16
    return x[:, x.std(0) > 0.02]


def fit(data: Path, out: Path, likelihood: str, floor: float, epochs: int = EPOCHS) -> Fit:
    """Train a VAE, look at its scale, and ask the doctor."""
    run = jensen.train(
        data, recipe="vae", out=out, likelihood=likelihood, floor=floor, epochs=epochs, standardize="none", **HOW
    )
    rows = run.part("train").rows
    batch = rows.take(torch.arange(len(rows)))
    with torch.no_grad():
        draw = Pathwise(50).draw(run.model, run.guide, Batch(batch.x), stream(0, "points"))
        family = run.model.likelihood.family
        loc, scale = family.loc_scale(draw.likelihood_params)
        error = draw.mean((batch.x - loc).square().mean(-1)).mean().sqrt()
        elbo, rate = -(draw.distortion + draw.rate).mean().item(), draw.rate.mean().item()
    best = -batch.x.shape[1] * (0.5 + 0.5 * math.log(2 * math.pi) + math.log(float(error))) - rate
    told = [f.what for f in run.doctor().findings if f.name == "decoder-scale-collapse"]
    bounds = tuple(line["train"]["bound"] for line in run.metrics if line["event"] == "epoch")
    return Fit(likelihood, floor, bounds, float(scale.min()), told[0] if told else "", float(error), elbo, best)


def main() -> None:
    """Train each, draw, write the page."""
    cases = [("gaussian", floor) for floor in FLOORS] + [("gaussian-shared", 1e-3), ("gaussian-optimal", 1e-3)]
    x = pixels()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "digits.npy"
        np.save(data, x)
        found = [fit(data, Path(folder) / f"run{i}", *case) for i, case in enumerate(cases)]
    figure, axes = subplots(7.2, 3.6)
    for f, colour, dash in zip(found, COLOURS, ("-", "--", "-.", ":", "-"), strict=False):
        name = f"{f.scale}, floor {f.floor:g}" if f.scale == "gaussian" else f.scale
        axes[0, 0].plot(range(1, len(f.bounds) + 1), f.bounds, color=colour, ls=dash, label=name)
    axes[0, 0].set(xlabel="epoch", ylabel="ELBO (nats per datum)", xscale="log", ylim=(-60, None))
    axes[0, 0].legend(frameon=False)
    image = save(figure, "scales.svg")
    rows = [
        [
            f"`{f.scale}`",
            f"{f.floor:g}",
            f"{f.elbo:.1f}",
            f"{f.least:.4f}",
            f"{f.optimum:.4f}",
            f"{f.best:.1f}",
            "finds it" if f.found else "nothing",
        ]
        for f in found
    ]
    heads = ["scale", "floor", "ELBO", "least scale", "one optimal scale", "ELBO with it", "`jensen doctor`"]
    step = found[2].elbo - found[1].elbo
    told = {"n": ROWS, "dim": x.shape[1], "image": image, "table": table(heads, rows), "step": step}
    most = x.shape[1] * math.log(10)
    doctor = next(f.found for f in reversed(found) if f.found)
    shared, optimal = found[3:]
    page = PAGE.format(alts=ALTS, **told, most=most, doctor=doctor, shared=shared, optimal=optimal, gap=shared.optimum)
    write("scales", page, "scales")


ALTS = {
    "image": (
        "The ELBO during training: with a scale for each pixel it keeps rising, the further the lower the "
        "floor; with one scale at its optimum it rises too."
    ),
}

PAGE = """
# A learned scale that falls to zero

With sigma = 1 the distortion of a Gaussian is half the squared error plus D/2 log 2 pi. With a scale that is
learned for each pixel, the density of a datum that is reproduced exactly is unbounded: log p(x) rises by 1 nat per
pixel
each time the scale falls by a factor e. Here a VAE memorises {n} digits ({dim} pixels that vary), with scales that may
fall to a floor.

![{alts[image]}]({image})

*During training, with all rows in every batch. A good curve levels off by itself; one that stops at its floor measures
the floor, not the data.*

*One optimal scale* is the root of the remaining mean squared error; with it in the place of the model's own scales, the
ELBO would be the number beside it.

{table}

- **Cause.** From a floor of 0.01 to one of 0.001 the same model on the same data gains {step:.1f} nats; if the scale of
  every pixel fell with its floor, it would gain D log 10 = {most:.1f}. The number measures the floor.
- **Prevention.** jensen's scales never fall below a floor (`--floor`), and training on a pixel that never varies is
  refused, unless a floor is given.
- **Detection.** At the lowest floor `jensen doctor` reports: "{doctor}".
- **Remedy.** One scale for all pixels has its optimum in closed form: sigma² is the squared error expected under
  q, averaged over data and pixels. Gradients are slow to reach it: `gaussian-shared` is at {shared.least:.4f}
  where {shared.optimum:.4f} is best, which alone would raise its ELBO from {shared.elbo:.1f} to {shared.best:.1f}
  nats. `gaussian-optimal` is trained with each batch at its optimum; it stores an average over batches,
  {optimal.least:.4f}, which lags behind a fit that still improves ({optimal.optimum:.4f}). A single scale is unbounded
  too where the training set is memorised, as here: evaluate on test rows.
"""

if __name__ == "__main__":
    main()
