"""Several processes: measured weak and strong scaling on this machine, and more of them by a model of the network.

    python -m benchmarks.scaling --out scaling.json            # measures with two processes, then simulates 8 and 64
    python -m benchmarks.scaling --simulate --step 0.0133      # simulates alone, from a step of that many seconds

Strong scaling keeps the batch of 128 rows, weak scaling has 128 rows for every process. Trainings run one after
another, each as a command of its own, with one thread for each process; the first line of the table is one process
with as many threads as there are processes otherwise. The speed is the median over epochs, without the first.

In the model a step of n processes takes the time of a process's rows, and that of a ring all-reduce of all gradients:
2 (n - 1) / n * bytes / bandwidth + 2 (n - 1) * latency. Communication does not overlap with computation.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["NETWORKS", "measure", "ring_seconds", "simulate"]

D, HIDDEN, LATENT, BATCH = 784, (512, 512), 32, 128
STEPS = 60  # per epoch
NETWORKS = {"10 Gb/s Ethernet": (1.25e9, 30e-6), "100 Gb/s InfiniBand": (12.5e9, 3e-6), "NVLink": (200e9, 5e-6)}


def parameters() -> int:
    """Return the number of trained parameters of the MLP: encoder with location and scale, decoder with logits."""
    encoder, decoder = (D, *HIDDEN, 2 * LATENT), (LATENT, *reversed(HIDDEN), D)
    return sum(a * b + b for sizes in (encoder, decoder) for a, b in pairwise(sizes))


def ring_seconds(numbers: int, n: int, bandwidth: float, latency: float) -> float:
    """Return the seconds of a ring all-reduce.

    Args:
        numbers: float32 that are summed.
        n: processes.
        bandwidth: bytes per second from one process to the next.
        latency: seconds of a message.
    """
    return 2 * (n - 1) / n * 4 * numbers / bandwidth + 2 * (n - 1) * latency


def simulate(step: float, sizes: Sequence[int], batch: int = BATCH) -> list[dict[str, Any]]:
    """Return speed and efficiency of n processes, from the seconds of one process's step on `batch` rows.

    A step of fewer rows is taken to last in proportion. That flatters strong scaling: small products
    are slower per row.
    """
    rows = []
    for network, (bandwidth, latency) in NETWORKS.items():
        for n in sizes:
            exchange = ring_seconds(parameters(), n, bandwidth, latency)
            weak, strong = step + exchange, step / n + exchange
            rows.append(
                {
                    "network": network,
                    "processes": n,
                    "exchange_ms": 1e3 * exchange,
                    "weak_data_per_second": n * batch / weak,
                    "weak_efficiency": step / weak,
                    "strong_data_per_second": batch / strong,
                    "strong_efficiency": step / n / strong,
                }
            )
    return rows


def measure(processes: int, threads: int, batch: int, epochs: int, folder: Path) -> float:
    """Return the data per second of a training by so many processes of so many threads."""
    data = folder / f"{batch}.npy"
    if not data.exists():
        np.save(data, np.random.default_rng(0).random((STEPS * batch, D)) < 0.3)
    out = folder / f"{processes}-{threads}-{batch}"
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    words = ["train", data, "--out", out, "--hidden", ",".join(map(str, HIDDEN)), "--latent", LATENT, "--batch", batch]
    words += ["--epochs", epochs, "--split", "1,0,0", "--threads", threads, "--checkpoints", 0, "--quiet"]
    command = [sys.executable, *(launch if processes > 1 else []), "-m", "jensen", *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": str(threads)})
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return statistics.median(line["data_per_second"] for line in lines[1:] if line["event"] == "epoch")


def scaling(processes: int, epochs: int) -> list[dict[str, Any]]:
    """Return the measured speeds, each as a share of one process with all threads, and of one with one thread."""
    plans = [
        ("one process, all threads", 1, processes, BATCH),
        ("one process, one thread", 1, 1, BATCH),
        ("strong", processes, 1, BATCH),
        ("weak", processes, 1, BATCH * processes),
    ]
    with tempfile.TemporaryDirectory() as folder:
        speeds = [measure(n, threads, batch, epochs, Path(folder)) for _, n, threads, batch in plans]
    return [
        {
            "what": what,
            "processes": n,
            "threads": threads,
            "batch": batch,
            "data_per_second": speed,
            "of_all_threads": speed / speeds[0],
            "of_one_thread": speed / speeds[1],
        }
        for (what, n, threads, batch), speed in zip(plans, speeds, strict=True)
    ]


def main() -> None:
    """Measure, simulate, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2, 8, 64])
    parser.add_argument("--simulate", action="store_true", help="measure nothing; needs --step")
    parser.add_argument("--step", type=float, help="seconds of a step of one process, instead of the measured ones")
    parser.add_argument("--out", type=Path, help="write all numbers as JSON")
    given = parser.parse_args()
    if given.simulate and given.step is None:
        parser.error("--simulate needs --step, the seconds of a step")
    measured = [] if given.simulate else scaling(given.processes, given.epochs)
    if measured:
        print("| scaling | processes x threads | batch of all | data/s | of all threads | of one thread |")
        print("|---|---|--:|--:|--:|--:|")
    for row in measured:
        print(
            f"| {row['what']} | {row['processes']} x {row['threads']} | {row['batch']} |"
            f" {row['data_per_second']:,.0f} | {row['of_all_threads']:.2f} | {row['of_one_thread']:.2f} |"
        )
    step = given.step if given.step is not None else BATCH / measured[1]["data_per_second"]
    simulated = simulate(step, given.sizes)
    print(f"\n{parameters():,} parameters, {4 * parameters():,} bytes per step; a step of {1e3 * step:.3g} ms")
    print("\n| network | processes | exchange, ms | weak, data/s | efficiency | strong, data/s | efficiency |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for row in simulated:
        print(
            f"| {row['network']} | {row['processes']} | {row['exchange_ms']:.3g} | {row['weak_data_per_second']:,.0f} |"
            f" {row['weak_efficiency']:.0%} | {row['strong_data_per_second']:,.0f} | {row['strong_efficiency']:.0%} |"
        )
    if given.out is not None:
        given.out.write_text(json.dumps({"measured": measured, "step": step, "simulated": simulated}, indent=1))


if __name__ == "__main__":
    main()
