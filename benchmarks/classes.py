"""Classes as latents, trained by a sum over all states, by the score function and by the Gumbel softmax.

    python benchmarks/classes.py digits --binarize threshold --out FOLDER [--seeds 3] [--epochs 300]

Model, starting weights, order of the data and schedule are the same for all; only the gradient differs. Every model is
judged by its exact evidence and its exact bound (both sums over all states, without noise) on the same rows. What is
printed is the difference of a way from the sum's, paired by seed, with its standard error over seeds. The gradient of
the sum is exact and the score's has no bias, so that the two agree but for noise and for where a training ends; that of
the Gumbel softmax has a bias, and its difference is what that, and the noise of its one point, cost. Results are kept
in FOLDER, and found there by a later call.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

import jensen
from jensen.core.random import stream
from jensen.estimators.enumeration import Enumerate

WAYS: dict[str, dict[str, Any]] = {
    "enumerate": {"recipe": "categorical", "gradient": "enumerate"},
    "score": {"recipe": "categorical", "gradient": "score"},
    "gumbel": {"recipe": "gumbel"},
}
MEASURES = ("bound", "evidence")
CHUNK = 256


@torch.no_grad()
def exact(run: jensen.Run) -> dict[str, float]:
    """The bound and the evidence of the test rows, in nats per datum, as sums over all states."""
    rows, found = run.part("test").rows, []
    for batch in rows.batches(CHUNK, stream(0, "rows")):
        draw = Enumerate().draw(run.model, run.guide, batch)
        found.append(torch.stack([-draw.distortion - draw.rate, draw.log_evidence]))
    bound, evidence = torch.cat(found, -1).double().mean(-1).tolist()
    return {"bound": bound, "evidence": evidence}


def found(folder: Path, way: str, seed: int, asked: argparse.Namespace) -> dict[str, float]:
    """What a way reaches with a seed; of an earlier call, if there was one."""
    kept = folder / f"{way}-{seed}.json"
    if not kept.exists():
        how = {"points": asked.points} if way == "score" else {}
        model = {"latent": asked.latent, "classes": asked.classes, "hidden": (asked.hidden,)}
        training = {"epochs": asked.epochs, "batch": asked.batch, "lr": asked.lr, "keep": "last", "checkpoints": 0}
        data = {} if asked.binarize is None else {"binarize": asked.binarize}
        options = {**WAYS[way], **how, **model, **training, **data}
        run = jensen.train(asked.data, out=folder / f"{way}-{seed}", seed=seed, force=True, patience=None, **options)
        kept.write_text(json.dumps(exact(run)))
    return json.loads(kept.read_text())


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--binarize", default=None)
    for name, default in (("seeds", 3), ("epochs", 300), ("batch", 256), ("latent", 2), ("classes", 6)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--points", type=int, default=16, help="of the score function")
    parser.add_argument("--lr", type=float, default=5e-3)
    return parser.parse_args()


def main() -> None:
    asked = options()
    asked.out.mkdir(parents=True, exist_ok=True)
    table: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for seed in range(asked.seeds):
        for way in WAYS:
            table[way].append(found(asked.out, way, seed, asked))
            numbers = ", ".join(f"{m} {table[way][-1][m]:.3f}" for m in MEASURES)
            print(f"{way:10} seed {seed}: {numbers} nats per datum (exact)", flush=True)
    for way in ("score", "gumbel"):
        for measure in MEASURES:
            apart = [b[measure] - a[measure] for a, b in zip(table["enumerate"], table[way], strict=True)]
            error = stdev(apart) / math.sqrt(len(apart)) if len(apart) > 1 else math.nan
            print(f"{way} - enumerate, {measure}: {mean(apart):+.3f} ± {error:.3f} nats per datum, paired by seed")


if __name__ == "__main__":
    main()
