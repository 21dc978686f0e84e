"""Classes as latents, trained by a sum over all states, by the score function and by the Gumbel softmax.

    python benchmarks/classes.py digits --out FOLDER [--seeds 3] [--epochs 100]

Every model is evaluated by its exact evidence: a sum over all states, on the same rows for all. What is printed is the
evidence of each way and seed, and the difference of a way from the sum's, paired by seed, with its standard error. Only
the Gumbel softmax has a bias: what it costs is that difference.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import jensen

WAYS: dict[str, dict[str, Any]] = {
    "enumerate": {"recipe": "categorical", "gradient": "enumerate"},
    "score": {"recipe": "categorical", "gradient": "score", "points": 8},
    "gumbel": {"recipe": "gumbel"},
}


def found(data: str, folder: Path, way: str, seed: int, epochs: int, more: dict[str, Any]) -> float:
    """The exact evidence of the test rows; of an earlier call, if there was one."""
    kept = folder / f"{way}-{seed}.json"
    if not kept.exists():
        run = jensen.train(
            data, out=folder / f"{way}-{seed}", seed=seed, epochs=epochs, latent=2, classes=10, **WAYS[way], **more
        )
        answer = run.evaluate(method="exact").estimate
        kept.write_text(json.dumps({"log_px": answer.mean, "kind": str(answer.kind)}))
    return float(json.loads(kept.read_text())["log_px"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--binarize", default=None)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    more = {} if asked.binarize is None else {"binarize": asked.binarize}
    table: dict[str, list[float]] = {way: [] for way in WAYS}
    for seed in range(asked.seeds):
        for way in WAYS:
            table[way].append(found(asked.data, asked.out, way, seed, asked.epochs, more))
            print(f"{way:10} seed {seed}: log p(x) = {table[way][-1]:.3f} nats per datum (exact)", flush=True)
    for way in ("score", "gumbel"):
        apart = [b - a for a, b in zip(table["enumerate"], table[way], strict=True)]
        error = stdev(apart) / math.sqrt(len(apart)) if len(apart) > 1 else math.nan
        print(f"{way} - enumerate: {mean(apart):+.3f} ± {error:.3f} nats per datum, paired by seed")


if __name__ == "__main__":
    main()
