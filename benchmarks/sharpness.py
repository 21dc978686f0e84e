"""Is a VAE-GAN sharper than a VAE? On grey MNIST, by the Frechet distance: docs/sharpness.md.

python -m benchmarks.sharpness FOLDER --out OUT --write    # FOLDER holds MNIST's IDX files

It goes on where it was stopped. 20,000 training images, pixels of 0..1. The VAE-GAN starts from the weights of a VAE;
the VAE that it is compared with has as many epochs in all. The features are of one classifier, for all.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import torch

import jensen
from benchmarks.pictures import grid, save, subplots, table, write
from jensen.analysis import latents
from jensen.analysis.features import learn_features
from jensen.core.batch import Rows
from jensen.core.random import stream
from jensen.data import read
from jensen.runs.fidelity import frechet, precision_recall
from jensen.runs.resume import resume
from jensen.runs.run import Run

TRAINED, TESTED, MADE, NEAR, HALVES, SHOWN = 20_000, 10_000, 5_000, 2_000, 3, 12
SCRATCH = "no `--share`, eight epochs, weights of 0.01 and 0.1"  # tried once, and not repeated here
GREY = {"standardize": "none", "floor": 0.01}
GAUSSIAN = {"recipe": "vae", "likelihood": "gaussian-optimal", **GREY}
GAME = {"recipe": "vae-gan", "share": 0.5, "weight": 0.01, "penalty": 0.1, "lr": 5e-4, **GREY}
# name -> file of the images, options, and the looks that are scored
CASES: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "start": ("grey", GAUSSIAN, ()),
    "VAE": ("grey", GAUSSIAN, ("means", "draws")),
    "VAE-GAN": ("grey", GAME, ("means",)),
    "VAE of 256 levels": ("bytes", {"recipe": "vae"}, ("means", "draws")),
}


def images(folder: Path, out: Path) -> None:
    """MNIST's images and labels as archives of this benchmark: pixels of 0..1, and the bytes."""
    for name, n in (("train", TRAINED), ("t10k", TESTED)):
        if (out / f"{name}-grey.npz").exists():
            continue
        x = read(str(next(folder.glob(f"{name}-images*")))).x[:n].reshape(-1, 28, 28)
        found = next(folder.glob(f"{name}-labels*"))
        raw = gzip.decompress(found.read_bytes()) if found.suffix == ".gz" else found.read_bytes()
        y = np.frombuffer(raw, np.uint8, offset=8)[:n].astype(np.int64)
        np.savez(out / f"{name}-bytes.npz", x=x.astype(np.uint8), y=y)
        np.savez(out / f"{name}-grey.npz", x=(x / 255).astype(np.float32), y=y)


def trained(case: str, seed: int, options: argparse.Namespace) -> Run:
    """Train one, or go on with it."""
    data, settings, _ = CASES[case]
    folder = options.out / f"{case.replace(' ', '-')}-{seed}"
    if (folder / "spec.json").exists():
        run = jensen.load(folder)
        ended = run.metrics and run.metrics[-1].get("reason") == "finished"
        return run if ended else resume(folder)
    epochs = {"start": options.epochs - options.game, "VAE-GAN": options.game}.get(case, options.epochs)
    if case == "VAE-GAN":
        settings = settings | {"init_from": str(options.out / f"start-{seed}")}
    how = {"split": "1,0,0", "keep": "last", "checkpoints": 0, "save_every": 20, "force": True, **settings}
    return jensen.train(str(options.out / f"train-{data}.npz"), out=folder, epochs=epochs, seed=seed, **how)


def made(case: str, seed: int, options: argparse.Namespace) -> dict[str, torch.Tensor]:
    """Images [MADE, 784] of 0..1 of each look of one training; kept in a file."""
    data, _, looks = CASES[case]
    path = options.out / f"{case.replace(' ', '-')}-{seed}.npz"
    if not path.exists():
        run, top = trained(case, seed, options), 255 if data == "bytes" else 1
        z, batch = run.model.simulate(MADE, stream(seed, "samples"))
        found = {"means": latents.decode(run.model, z), "draws": batch.x}
        kept = {look: (found[look] / top).numpy().astype(np.float16) for look in looks}
        np.savez(path, **kept)  # pyright: ignore[reportArgumentType]
        print(f"{case} {seed}", flush=True)
    return {k: torch.as_tensor(v, dtype=torch.float32) for k, v in np.load(path).items()}


def scores(options: argparse.Namespace) -> dict[str, np.ndarray]:
    """[S, 3] Frechet distance (averaged over halves of the test images), precision and recall (of `NEAR` points of each
    kind) of each look by seed; and [1, 3] of real images."""
    (x, y), (t, u) = (
        (torch.as_tensor(part["x"].reshape(-1, 784)), torch.as_tensor(part["y"]))
        for part in (np.load(options.out / f"{name}-grey.npz") for name in ("train", "t10k"))
    )
    features = learn_features(Rows(x), y, Rows(t), u, (28, 28, 1))
    print(features.phrase, flush=True)
    real = features(t)
    order = [torch.randperm(len(real), generator=stream(0, f"halves:{i}")) for i in range(HALVES)]

    def scored(points: torch.Tensor | None) -> np.ndarray:
        halves = [(real[o[:MADE]], real[o[MADE : 2 * MADE]] if points is None else points) for o in order]
        near = [a[:NEAR] for a in halves[0]]
        return np.array([np.mean([frechet(a, b) for a, b in halves]), *precision_recall(near[0], near[1])])

    found = {"real images": scored(None)[None]}
    for case, (_, _, looks) in CASES.items():
        for look in looks:
            seeds = [made(case, seed, options)[look] for seed in options.seeds]
            found[f"{case}, {look}"] = np.stack([scored(features(images)) for images in seeds])
    return found


def error(values: np.ndarray) -> float:
    """The standard error of a mean."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def rows(found: dict[str, np.ndarray]) -> list[list[str]]:
    """Of the table: means over seeds, and how far the VAE-GAN is below, paired by seeds."""
    ours, lines = found["VAE-GAN, means"][:, 0], []
    for name, values in found.items():
        far, *others = values.mean(0)
        apart = values[:, 0] - ours
        less = "" if name.startswith(("real", "VAE-GAN")) else f"{apart.mean():.0f} ± {error(apart):.0f}"
        each = ", ".join(f"{v:.0f}" for v in values[:, 0])
        lines.append([name, f"{far:.0f}", each, less, *(f"{v:.2f}" for v in others)])
    return lines


def picture(options: argparse.Namespace) -> str:
    """Samples at the same z, of the first seed."""
    test = np.load(options.out / "t10k-grey.npz")["x"][:SHOWN]
    shown = {"real": test}
    for case, look in (("VAE", "means"), ("VAE", "draws"), ("VAE-GAN", "means"), ("VAE of 256 levels", "draws")):
        shown[f"{case}, {look}"] = made(case, options.seeds[0], options)[look][: 2 * SHOWN].reshape(-1, 28, 28).numpy()
    figure, axes = subplots(8.0, 6.4, len(shown), 1, height_ratios=[len(v) // SHOWN for v in shown.values()])
    for axis, (name, pixels) in zip(axes[:, 0], shown.items(), strict=True):
        axis.imshow(grid(pixels.reshape(-1, SHOWN, 28, 28)), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(name, loc="left", fontsize=10)
        axis.axis("off")
    return save(figure, "sharpness.png")


def main() -> None:
    """Train what is missing, score all of it, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=15, help="of every model in all")
    parser.add_argument("--game", type=int, default=5, help="of them, those that the VAE-GAN plays its game in")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--train", action="store_true", help="train, and score nothing")
    parser.add_argument("--write", action="store_true", help="write docs/sharpness.md")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    images(options.folder, options.out)
    for seed in options.seeds:
        for case in CASES:
            made(case, seed, options)
    if options.train:
        return
    found = scores(options)
    heads = ["", "Frechet distance", "by seed", "less that of the VAE-GAN", "precision", "recall"]
    told = table(heads, rows(found))
    print(told)
    if options.write:
        write(
            "sharpness",
            PAGE.format(
                table=told,
                picture=picture(options),
                start=options.epochs - options.game,
                scratch=SCRATCH,
                **vars(options),
            ),
            "sharpness",
        )


ALT = (
    "Rows of real digits, means and draws of the VAE, outputs of the VAE-GAN at the same points of the prior, "
    "and draws of the VAE of bytes."
)

PAGE = """
# Is a VAE-GAN sharper than a VAE?

A VAE's decoder predicts a mean for each pixel, which is grey where it is uncertain. A VAE-GAN (Larsen et al., 2016)
scores no pixel: its decoder is trained to be indistinguishable from data to a critic. The question here is whether its
samples are nearer to images, on MNIST's grey values, where a blurred image is wrong: on bits, a drawn pixel is a bit as
in the data, and thresholded images did not distinguish the two models.

The same 20,000 training images, and the same networks (784-200-200-16 and back), for all. The VAE has a Gaussian
likelihood with one scale at its optimum, and {epochs} epochs. The VAE-GAN starts from such a VAE of {start} epochs, and
is trained with its critic for {game}: `--init-from VAE --share 0.5 --weight 0.01 --penalty 0.1 --lr 5e-4`. Such a step
costs some five of the VAE's: equal data are not equal time. For comparison, a VAE of bytes, with a discretised logistic
likelihood of 256 levels and {epochs} epochs.

{table}

Frechet distances are of 5,000 samples from 5,000 of MNIST's test images, in 64 features of one classifier of grey
digits, the same for all, averaged over three halves of the test images; precision and recall (Kynkaanniemi et al.,
2019) are of 2,000 of each kind. Means are of p(x | z) at z from the prior; draws have their pixels drawn too; a VAE-GAN
has no noise to draw. Differences are paired by seed, with one standard error over seeds. The VAE-GAN's settings are
the better of two pairs of weight and penalty, compared on the same test images with another VAE; the other pair (0.03
and 1) had a distance larger by 212, and still smaller by 295 than that VAE's means.

![{alt}]({picture})

*The VAE and the VAE-GAN at the same points z of the prior.*

- **By the distance it is nearer** to real images than means and draws of either VAE, on every seed: its strokes are
  darker, and their edges harder.
- **It is not more precise.** Its precision is lower than that of the VAE's means: the dense decoder scatters grey
  specks
  over the background, and a distance between moments does not weigh them as an eye does.
- **Training from scratch failed.** With that penalty and without the VAE's weights ({scratch})
  nearly all samples were ones: recall 0.03 to 0.04, distances near 3,000. The recipe's own penalty is ten times larger.
"""

if __name__ == "__main__":
    main()
