"""Cells by `count-vae` and by scVI of scvi-tools: the same cells, network, batches and epochs.

    python -m benchmarks.single_cells DATA --out OUT --use scvi=/path/to/python   # DATA holds scrna/; OUT is kept
    python -m benchmarks.single_cells DATA --out OUT --table                      # the table alone, of what OUT holds
    python -m benchmarks.single_cells DATA --out OUT --use scvi=... --quick       # two epochs: everything runs

scvi-tools is installed in an environment of its own, and its interpreter is named. Both have one hidden layer of 128,
ten latent features, negative-binomial counts with one dispersion per gene, and a log-normal latent size. (By default
scVI takes the total count of a cell as given, which is no density of its counts: this is measured too, but for log p.)

log p(x) of held-out cells is bounded by importance weighting with K points of each model's own guide; differences are
paired by cell. Clusters are those of k-means, as many as there are cell types, on the means of q(z | x) without the
size, of all cells; no method sees types. Seconds are those of the training alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

METHODS = ("jensen", "scVI", "scVI, early stopping", "scVI, observed size")
HIDDEN, LATENT, BATCH, K = 128, 10, 128, 500
CASES = {"smfish": 33, "mouse bladder": 2000}  # genes
EPOCHS = {"smfish": 200, "mouse bladder": 200}
QUICK = {"epochs": 2, "k": 10}


# ---------------------------------------------------------------- data


def smfish(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Counts [N, 33] of molecules in cells of the mouse cortex (osmFISH), and their types [N]."""
    import anndata

    held = anndata.read_h5ad(folder / "scrna" / "smfish.h5ad")
    return np.asarray(held.X), held.obs["str_labels"].astype(str).to_numpy()


def bladder(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Counts [N, 20670] of RNA molecules in cells of a mouse's bladder, and their types [N]; plain HDF5."""
    import h5py

    with h5py.File(folder / "scrna" / "mouse_bladder_cell_select_2100.h5") as held:
        return np.asarray(held["X"]), np.asarray(held["Y"]).astype(int).astype(str)


READ = {"smfish": smfish, "mouse bladder": bladder}


def variable(x: np.ndarray, n: int) -> np.ndarray:
    """The numbers of the n genes [n] whose logarithms of normalised counts vary most."""
    logs = np.log1p(x / np.maximum(x.sum(1, keepdims=True), 1) * np.median(x.sum(1)))
    return np.sort(np.argsort(-logs.var(0), kind="stable")[:n])


def case(name: str, folder: Path, seed: int) -> dict[str, np.ndarray]:
    """Cells with their types, split 8:1:1; genes are chosen by training cells, and cells without counts left out."""
    x, types = READ[name](folder)
    order = np.random.default_rng(seed).permutation(len(x))
    n, m = round(0.8 * len(x)), round(0.9 * len(x))
    genes = variable(x[order[:n]], CASES[name])
    x = x[:, genes]
    train, valid, test = (np.sort(part[x[part].sum(1) > 0]) for part in np.split(order, [n, m]))
    return {"x": x, "types": types, "train": train, "valid": valid, "test": test}


# ---------------------------------------------------------------- methods


def by_jensen(held: dict[str, np.ndarray], epochs: int, k: int, seed: int, **more: Any) -> dict[str, Any]:
    """A run with the defaults of `count-vae`, but for the sizes."""
    import torch

    import jensen

    x, fitted = held["x"], np.concatenate([held["train"], held["valid"]])
    share = len(held["valid"]) / len(fitted)
    with tempfile.TemporaryDirectory() as folder:
        how = {"hidden": (HIDDEN,), "latent": LATENT, "batch": BATCH, "epochs": epochs, "checkpoints": 0, "seed": seed}
        how |= {"threads": torch.get_num_threads(), "split": (1 - share, share, 0)}
        began = time.monotonic()
        run = jensen.train(x[fitted], recipe="count-vae", out=Path(folder) / "run", **(how | more))
        seconds = time.monotonic() - began
        done = [line["epoch"] for line in run.metrics if line["event"] == "epoch"]
        z = run.encode(x)[:, :LATENT]
        log_p = run.evaluate(x[held["test"]], k=k, seed=seed).estimate.nats.double().numpy()
    return {"z": z, "log_p": log_p, "seconds": seconds, "epochs": max(done)}


def by_scvi(method: str, python: Path, held: dict[str, np.ndarray], epochs: int, k: int, seed: int) -> dict[str, Any]:
    """scVI with the package's defaults, but for sizes and the latent size of a cell."""
    import torch

    script = Path(__file__).parent / "rivals" / "with_scvi.py"
    words = ["--hidden", HIDDEN, "--latent", LATENT, "--batch", BATCH, "--epochs", epochs, "-k", k, "--seed", seed]
    words += ["--threads", torch.get_num_threads(), "--size", "observed" if "observed" in method else "latent"]
    words += ["--early-stopping"] if "stopping" in method else []
    with tempfile.TemporaryDirectory() as folder:
        cells, out = Path(folder) / "cells.npz", Path(folder) / "out.npz"
        np.savez(cells, **{name: held[name] for name in ("x", "train", "valid", "test")})
        called = subprocess.run([python, script, cells, out, *map(str, words)], capture_output=True, text=True)
        if called.returncode:
            raise SystemExit(f"{method}: {called.stderr[-2000:]}")
        record = json.loads(called.stdout.strip().splitlines()[-1])
        with np.load(out) as arrays:
            return {**record, **dict(arrays)}


def clusters(z: np.ndarray, types: np.ndarray) -> dict[str, float]:
    """How well k-means on codes [N, Z] agrees with types, and the silhouette of types."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score

    guessed = KMeans(len(np.unique(types)), n_init=10, random_state=0).fit_predict(z)
    agreement = {"ari": adjusted_rand_score(types, guessed), "nmi": normalized_mutual_info_score(types, guessed)}
    return {**agreement, "silhouette": float(silhouette_score(z, types))}


def measure(out: Path, options: argparse.Namespace) -> None:
    """Write a file for each case, seed and method that has none yet."""
    import torch

    torch.set_num_threads(options.threads)
    for name in options.only:
        epochs = QUICK["epochs"] if options.quick else EPOCHS[name]
        k = QUICK["k"] if options.quick else options.k
        for seed in range(1 if options.quick else options.seeds):
            held = case(name, options.data, seed)
            for method in options.methods:
                path = out / f"{name}-{method}-{seed}.json".replace(",", "").replace(" ", "-")
                if path.exists():
                    continue
                how = (held, epochs, k, seed)
                result = by_jensen(*how) if method == "jensen" else by_scvi(method, options.use, *how)
                result |= clusters(result.pop("z"), held["types"])
                result |= {"case": name, "method": method, "seed": seed, "k": k, "cells": len(held["test"])}
                plain = {key: v.tolist() if isinstance(v, np.ndarray) else v for key, v in result.items()}
                path.write_text(json.dumps(plain), encoding="utf-8")
                print(f"{path.stem}: {result['seconds']:.0f} s", file=sys.stderr)


# ---------------------------------------------------------------- the table


def mean_error(values: Sequence[float]) -> str:
    """The mean of values over seeds, with its standard error."""
    x = np.array(values, dtype=float)
    error = f" ± {x.std(ddof=1) / np.sqrt(len(x)):.2f}" if len(x) > 1 else ""
    return f"{x.mean():.2f}{error}"


def paired(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> str:
    """The difference of log p in nats, over the cells of all seeds, each cell with its own; and its standard error."""
    both = [(np.array(p["log_p"]), np.array(q["log_p"])) for p in a for q in b if p["seed"] == q["seed"]]
    differences = np.concatenate([p - q for p, q in both])
    return f"{differences.mean():+.2f} ± {differences.std(ddof=1) / np.sqrt(len(differences)):.2f}"


def show(out: Path) -> list[str]:
    """The lines of the table of what a folder holds."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob("*.json"))]
    lines = [
        "| cells | method | log p(x) | jensen's is higher by | ARI | NMI | silhouette | epochs | seconds / jensen's |"
    ]
    lines += ["|---|---|--:|--:|--:|--:|--:|--:|--:|"]
    for name in CASES:
        own = [r for r in results if (r["case"], r["method"]) == (name, "jensen")]
        for method in METHODS:
            some = [r for r in results if (r["case"], r["method"]) == (name, method)]
            if not some:
                continue
            has_p = "log_p" in some[0]
            log_p = mean_error([np.mean(r["log_p"]) for r in some]) if has_p else ""
            other = paired(own, some) if has_p and own and method != "jensen" else ""
            agreement = " | ".join(mean_error([r[key] for r in some]) for key in ("ari", "nmi", "silhouette"))
            ratios = [r["seconds"] / q["seconds"] for r in some for q in own if r["seed"] == q["seed"]]
            ratio = mean_error(ratios) if ratios and method != "jensen" else ""
            epochs = f"{np.mean([r['epochs'] for r in some]):.0f}"
            lines.append(f"| {name} | {method} | {log_p} | {other} | {agreement} | {epochs} | {ratio} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA", help="the folder with scrna/")
    parser.add_argument("--out", type=Path, required=True, help="a folder with a file for each result")
    parser.add_argument("--use", metavar="scvi=PYTHON", help="the interpreter of an environment with scvi-tools")
    parser.add_argument("--only", nargs="*", default=list(CASES), choices=list(CASES), help="names of data")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-k", type=int, default=K, help="points of the importance weighting")
    parser.add_argument("--threads", type=int, default=1, help="of both")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    options = parser.parse_args(arguments)
    if options.use is None and not options.table and set(options.methods) != {"jensen"}:
        parser.error("scvi-tools runs in an environment of its own: --use scvi=/path/to/python")
    options.use = None if options.use is None else Path(options.use.removeprefix("scvi="))
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.table:
        measure(options.out, options)
    print("\n".join(show(options.out)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
