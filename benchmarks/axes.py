"""What each axis is worth on MNIST: equal networks, another prior, guide, bound or gradient, paired over test rows.

python benchmarks/axes.py FOLDER --out OUT            # FOLDER holds MNIST's IDX files; what is there is not repeated
python benchmarks/axes.py FOLDER --out OUT --table    # only the table of what is there

20,000 training images (1,000 more to keep the best weights by), binarised dynamically, 30 epochs, three seeds; log p(x)
of the first 1,000 test images, binarised once, by the importance-weighted bound of 1,000 points.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

TRAINED, HELD, TESTED = 20_000, 1_000, 1_000
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "VAE": ("vae", {}),
    "VampPrior, 500": ("vampprior", {"components": 500}),
    "flow prior": ("flow-prior", {}),
    "mixture prior, 100": ("mixture-prior", {"components": 100}),
    "full covariance": ("full-covariance", {}),
    "IAF guide": ("iaf", {}),
    "spline guide": ("spline-posterior", {}),
    "ladder 10, 40": ("ladder", {"groups": (10, 40), "state": 200, "latent": None}),
    "IWAE-50": ("iwae", {"points": 50}),
    "DReG-50": ("dreg", {"points": 50}),
}
AGAINST = {"DReG-50": "IWAE-50"}  # all others against the VAE


def images(folder: Path, out: Path) -> tuple[Path, Path]:
    """The rows of this benchmark as two files, [N, 28, 28] bytes."""
    import numpy as np

    from jensen.data import read

    found = []
    for name, n in (("train", TRAINED + HELD), ("t10k", TESTED)):
        path = out / f"{name}.npy"
        if not path.exists():
            given = next(folder.glob(f"{name}-images*"))
            np.save(path, read(str(given)).x[:n].reshape(-1, 28, 28).astype(np.uint8))
        found.append(path)
    return found[0], found[1]


def trained(case: str, seed: int, options: argparse.Namespace) -> Path:
    """Train one and score it, unless it is there; returns the file of its nats."""
    import numpy as np

    import jensen

    folder = options.out / f"{case.replace(', ', '-').replace(' ', '-')}-{seed}"
    scores = folder.with_suffix(".npz")
    if scores.exists():
        return scores
    train, test = images(options.folder, options.out)
    recipe, own = CASES[case]
    settings = {"latent": 40} | own
    started = time.perf_counter()
    run = jensen.train(
        str(train),
        recipe=recipe,
        out=str(folder),
        test=str(test),
        split=f"{TRAINED / (TRAINED + HELD)},{HELD / (TRAINED + HELD)},0",
        binarize="dynamic",
        epochs=options.epochs,
        patience=None,
        precision=options.precision,
        checkpoints=0,
        seed=seed,
        force=True,
        **{k: v for k, v in settings.items() if v is not None},
    )
    seconds = time.perf_counter() - started
    found = jensen.Importance(options.k)(run.model, run.guide, run.part("test", 0).rows, 0)
    np.savez(scores, nats=found.nats.numpy(), elbo=found.elbo.numpy(), seconds=seconds)
    print(f"{case} {seed}: {found.mean:.3f} after {seconds:.0f} s", flush=True)
    return scores


def table(options: argparse.Namespace) -> list[str]:
    """Markdown: the mean over rows and seeds, and the paired difference with its standard errors."""
    import numpy as np

    def held(case: str, key: str) -> np.ndarray:
        stem = case.replace(", ", "-").replace(" ", "-")
        files = [options.out / f"{stem}-{s}.npz" for s in range(options.seeds)]
        return np.stack([np.load(f)[key] for f in files if f.exists()] or [np.empty(0)])

    columns = (
        "model",
        "seeds",
        f"IWAE-{options.k}",
        "ELBO",
        "against",
        "difference",
        "s.e. over rows",
        "s.e. over seeds",
    )
    lines = [f"| {' | '.join(columns)} | seconds |", "|" + "---|" * 9]
    for case in CASES:
        nats = held(case, "nats")
        if not nats.size:
            continue
        other = AGAINST.get(case, "VAE")
        told = f"| {case} | {len(nats)} | {nats.mean():.2f} | {held(case, 'elbo').mean():.2f} |"
        base = held(other, "nats")
        if case != other and base.size:
            n = min(len(nats), len(base))
            apart = nats[:n] - base[:n]
            rows = apart.mean(0).std(ddof=1) / np.sqrt(apart.shape[1])
            seeds = apart.mean(1).std(ddof=1) / np.sqrt(n) if n > 1 else float("nan")
            told += f" {other} | {apart.mean():+.2f} | {rows:.3f} | {seeds:.3f} |"
        else:
            told += " | | | |"
        lines.append(told + f" {held(case, 'seconds').mean():.0f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--k", type=int, default=1000)
    parser.add_argument("--precision", default="fast")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.table:
        for seed in range(options.seeds):
            for case in options.cases:
                trained(case, seed, options)
    print("\n".join(table(options)))


if __name__ == "__main__":
    main()
