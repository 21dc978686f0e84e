"""How much faster an autoregressive model samples when it keeps what does not change.

python benchmarks/sampling.py                   # 28 x 28 binary pixels, 16 samples at once, both networks
python benchmarks/sampling.py --side 14 --samples 1

The naive way is timed for the first `--steps` positions, each of which is one whole pass of the network, and its time
for all of them follows. On a smaller image, in double precision, where rounding flips no pixel, both ways draw from the
same noise, and their samples are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def seconds(walk: Any, steps: int, bits: Any) -> float:
    """Of so many steps of a walk that is sent these features [steps, M, 1]."""
    started = time.perf_counter()
    next(walk)
    for i in range(steps - 1):
        walk.send(bits[i])
    return time.perf_counter() - started


def drawn(walk: Any, generator: Any) -> Any:
    """64 bits of 8 samples, each from what the walk says of it."""
    import torch

    bits, said = [], next(walk)
    for i in range(64):
        noise = torch.rand(8, 1, generator=generator, dtype=torch.float64)
        bits.append((noise < torch.sigmoid(said)).double())
        said = walk.send(bits[-1]) if i < 63 else said
    return torch.cat(bits, 1)


def compared(kind: str, options: argparse.Namespace) -> dict[str, Any]:
    """A row of the table: seconds of both ways, their ratio, and whether their samples are equal."""
    import torch

    from jensen.core.random import drawing_from, stream
    from jensen.nets import CausalConv, CausalMLP, uncached

    side, n = options.side, options.samples
    with drawing_from(stream(0, "weights")):
        net = CausalConv((side, side), 1, 1) if kind == "convolutions" else CausalMLP(side * side, 1, 1)
    positions, steps = side * side, min(options.steps, side * side)
    bits = torch.randint(2, (positions, n, 1), generator=stream(0, "bits")).float()
    with torch.no_grad():
        kept, naive = [], []
        for _ in range(options.repeats):
            kept.append(seconds(net.walk(n), positions, bits))
            naive.append(seconds(uncached(net, n), steps, bits) * positions / steps)
        small = (CausalConv((8, 8), 1, 1) if kind == "convolutions" else CausalMLP(64, 1, 1)).double()
        found = [drawn(walk, stream(0, "samples")) for walk in (small.walk(8), uncached(small, 8))]
    row = {"network": net.phrase, "kept": min(kept), "naive": min(naive), "ratio": min(naive) / min(kept)}
    return row | {"samples": n, "equal": bool(torch.equal(*found))}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--side", type=int, default=28)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20, help="whole passes that are timed")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ |= dict.fromkeys(LIMITS, str(options.threads))
    rows = [compared(kind, options) for kind in ("convolutions", "perceptron")]
    if options.json:
        print(json.dumps(rows))
        return
    print("| network | kept, s | naive, s | ratio | samples equal |\n|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['network']} | {row['kept']:.2f} | {row['naive']:.1f} | {row['ratio']:.0f} | {row['equal']} |")


if __name__ == "__main__":
    main()
