"""An autoencoder, a VAE without its rate and a VAE, side by side: docs/side-by-side.md.

python -m benchmarks.side_by_side
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import jensen
from benchmarks.pictures import COLOURS, grid, save, subplots, table, write
from jensen.analysis import latents
from jensen.core.random import stream
from jensen.estimators.reparameterized import Pathwise
from jensen.runs.run import Run

EPOCHS, LATENT, STEPS, PAIRS, SAMPLES = 80, 2, 11, 4, 500
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "autoencoder": ("autoencoder", {}),
    "VAE without the rate": ("beta-vae", {"beta": 0.0, "warmup": 0}),
    "VAE": ("vae", {"warmup": 0}),
}


@dataclass(frozen=True)
class Model:
    """One model and what was measured on test rows.

    Attributes:
        name: of it.
        codes: means of q(z | x) of the test rows [N, 2].
        labels: of them [N].
        distortion: -E_q[log p(x | z)], nats per datum.
        rate: KL(q || p(z)), nats per datum; None of points, whose rate is infinite.
        deviation: the median standard deviation of q(z | x) over rows and features, over the spread of its means; 0 of
            points.
        spread: the standard deviation of the means, over rows and features.
        inside: the share of codes within two standard deviations of the prior, whose own share is 86 %.
        kinds: exp of the entropy of the classes among decoded points z ~ p(z), each of its nearest training image: how
            many digits samples are of.
        between: root mean squared distance per pixel (0..1) to the nearest training image, of points half way between
            codes of two test images.
        near: the same of the test images themselves.
        paths: decoded lines between codes [PAIRS, STEPS, 8, 8].
        samples: decoded z ~ p(z) [n, 8, 8].
    """

    name: str
    codes: np.ndarray
    labels: np.ndarray
    distortion: float
    rate: float | None
    deviation: float
    spread: float
    inside: float
    kinds: float
    between: float
    near: float
    paths: np.ndarray
    samples: np.ndarray


def nearest(images: torch.Tensor, train: torch.Tensor) -> float:
    """Root mean squared distance per pixel of images [M, D] of 0..16 to the nearest of the others [N, D], in 0..1."""
    return float((torch.cdist(images, train).min(1).values.square().mean() / images.shape[1]).sqrt() / 16)


def kinds(images: torch.Tensor, train: torch.Tensor, labels: np.ndarray) -> float:
    """exp of the entropy of the labels [N] of the training images [N, D] that are nearest to images [M, D]."""
    p = np.bincount(labels[torch.cdist(images, train).argmin(1).numpy()]) / len(images)
    return float(np.exp(-(p[p > 0] * np.log(p[p > 0])).sum()))


@torch.no_grad()
def look(name: str, run: Run) -> Model:
    """Measure one run."""
    test, train = run.part("test"), torch.as_tensor(run.part("train").x, dtype=torch.float32)
    model, guide, batch = run.model, run.guide, test.rows.take(torch.arange(len(test.rows)))
    draw = Pathwise(50).draw(model, guide, batch, stream(0, "points")) if guide.has_density else None
    if draw is None:
        draw = Pathwise(1).draw(model, guide, batch, stream(0, "points"))
    codes = latents.encode(model, guide, test.rows)
    spread = float(codes.std(0).square().mean().sqrt())
    own = float(guide(batch).stddev.median()) / spread if guide.has_density else 0.0
    first, last = ends(test.labels)
    paths = latents.interpolate(model, codes[first], codes[last], STEPS)  # [STEPS, PAIRS, D]
    order = torch.randperm(len(codes), generator=stream(0, "pairs"))
    middle = latents.decode(model, (codes[order] + codes[order.roll(1)]) / 2)
    made = latents.decode(model, torch.randn(SAMPLES, LATENT, generator=stream(0, "z")))
    return Model(
        name,
        codes.numpy(),
        np.asarray(test.labels),
        float(draw.distortion.mean()),
        float(draw.rate.mean()) if guide.has_density else None,
        own,
        spread,
        float((codes.norm(dim=1) < 2).double().mean()),
        kinds(made, train, np.asarray(run.part("train").labels)),
        nearest(middle, train),
        nearest(batch.x, train),
        paths.transpose(0, 1).reshape(PAIRS, STEPS, 8, 8).numpy() / 16,
        made[:STEPS].reshape(-1, 8, 8).numpy() / 16,
    )


def ends(labels: np.ndarray | None) -> tuple[list[int], list[int]]:
    """The first test images of some classes, and of others."""
    at = [int(np.flatnonzero(labels == c)[0]) for c in range(2 * PAIRS)]
    return at[:PAIRS], at[PAIRS:]


def maps(models: list[Model]) -> str:
    """Latent maps: each test image is its digit at its code, with the prior's circles of 1 and 2 s.d."""
    figure, axes = subplots(10.5, 3.9, 1, len(models))
    for axis, m in zip(axes[0], models, strict=True):
        reach = 1.08 * max(2.2, float(np.abs(m.codes).max()))
        for x, y, c in zip(*m.codes.T, m.labels, strict=True):
            axis.text(x, y, str(c), color=COLOURS[c % 6], fontsize=8, ha="center", va="center", clip_on=True)
        angle = np.linspace(0, 2 * np.pi, 200)
        for r in (1, 2):
            axis.plot(r * np.cos(angle), r * np.sin(angle), color="#333333", lw=1)
        axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", title=m.name, xlabel="z1")
    axes[0, 0].set_ylabel("z2")
    return save(figure, "side-by-side-maps.png")


def strips(models: list[Model], what: str) -> str:
    """Decoded images, one block for each model."""
    figure, axes = subplots(8.0, 8.6 if what == "paths" else 2.6, len(models), 1)
    for axis, m in zip(axes[:, 0], models, strict=True):
        images = m.paths if what == "paths" else m.samples[None]
        axis.imshow(grid(images), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(m.name, loc="left")
        axis.axis("off")
    return save(figure, f"side-by-side-{what}.png")


def main() -> None:
    """Train the three, measure, draw, write the page."""
    models = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (recipe, options) in RECIPES.items():
            how = {"latent": LATENT, "epochs": EPOCHS, "keep": "last", "lr": 0.003, "checkpoints": 0, **options}
            models.append(look(name, jensen.train("digits", recipe=recipe, out=Path(folder) / recipe, **how)))
    told = {"maps": maps(models), "paths": strips(models, "paths"), "samples": strips(models, "samples")}
    rows = [
        [
            m.name,
            f"{m.distortion:.1f}",
            "infinite" if m.rate is None else f"{m.rate:.2f}",
            "no bound" if m.rate is None else f"{-m.distortion - m.rate:.1f}",
            f"{m.deviation:.2g}" if m.deviation else "0",
            f"{m.spread:.2f}",
            f"{m.inside:.0%}",
            f"{m.kinds:.1f}",
            f"{m.between:.3f}",
        ]
        for m in models
    ]
    heads = ["", "distortion", "rate", "ELBO", "s.d. of q / spread", "spread of codes", "codes within 2 s.d."]
    heads += ["digits among samples", "half way"]
    auto, free, vae = models
    page = PAGE.format(
        alts=ALTS, **told, table=table(heads, rows), epochs=EPOCHS, near=vae.near, auto=auto, free=free, vae=vae
    )
    write("side-by-side", page, "side_by_side")


ALTS = {
    "maps": (
        "Three maps of test digits in two latent features: codes of the autoencoder and of the VAE without "
        "the rate spread far beyond the prior, those of the VAE fill its circles."
    ),
    "paths": "Lines between the codes of pairs of test digits, decoded.",
    "samples": "Images decoded at points from the prior.",
}

PAGE = """
# Three models side by side

An autoencoder, a variational autoencoder whose objective lacks the rate, and a VAE: the same networks with two latent
features, the same digits, {epochs} epochs each. They differ in the noise on the code and in the rate that it costs.

![{alts[maps]}]({maps})

*Each test image is drawn as its digit, where its code is; circles are one and two standard deviations of the prior.
Look at the axes: only the VAE's codes are where its prior is.*

{table}

Distortion, rate and ELBO are nats per datum on test rows. The width of q(z | x) is the median standard deviation
over the spread of its means. Of the prior's own points 86 % are within two standard deviations. *Digits among
samples* is the number of kinds among 500 decoded points from the prior (exp of the entropy of the classes of
their nearest training images), of at most 10. *Half way* is the distance of points decoded half way between two
codes to the nearest training image, root mean square per pixel of 0..1; test images themselves are {near:.3f} from
theirs.

- **Without the rate the noise vanishes.** The encoder's standard deviation falls to {free.deviation:.2g} of the spread
  of the codes: the VAE has become an autoencoder, and its codes have a spread of {free.spread:.1f}. With the rate it
  stays at {vae.deviation:.2g}, and the codes have a spread of {vae.spread:.2f}, near the prior's 1.
- **The gain from the rate** is a model that can be sampled, and a bound: {vae.inside:.0%} of the VAE's codes are where
  its prior is, against {auto.inside:.0%} and {free.inside:.0%}, and its samples are of {vae.kinds:.1f} kinds of
  digits, against {auto.kinds:.1f} and {free.kinds:.1f}.
- **Its cost** is distortion: {vae.distortion:.1f} nats on test rows, against {auto.distortion:.1f} and
  {free.distortion:.1f}.
- **Not shown here**: with two features codes lie so close that points half way decode to something near a digit in all
  three; by that distance the VAE, whose images are blurred where digits overlap, is not better
  ({vae.between:.3f} against {auto.between:.3f} and {free.between:.3f}).

![{alts[paths]}]({paths})

*Straight lines between the codes of the same four pairs of test images. Look for shapes half way that are no
digit.*

![{alts[samples]}]({samples})

*Decoded at the same eleven points z from the prior N(0, I), for all three.*
"""

if __name__ == "__main__":
    main()
