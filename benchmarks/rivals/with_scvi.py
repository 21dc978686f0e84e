"""Cells by scVI of the package scvi-tools: python with_scvi.py CELLS.npz OUT.npz --epochs 200; prints a line of JSON.

CELLS.npz holds the counts "x" [N, D] and the numbers of rows "train", "valid" and "test". OUT.npz has the means "z"
[N, Z] of q(z | x) of all cells and, of a latent size, "log_p" [M]: log p(x) of the test cells by importance weighting
with K points of the guide, computed by the package's own `marginal_ll`. Nothing but the arguments differs from the
package's defaults.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
import warnings
from importlib.metadata import version

import anndata
import numpy as np
import scvi
import torch


def trained(cells: anndata.AnnData, options: argparse.Namespace) -> tuple[scvi.model.SCVI, float]:
    """The model, and the seconds of its training."""
    scvi.model.SCVI.setup_anndata(cells)
    model = scvi.model.SCVI(
        cells,
        n_hidden=options.hidden,
        n_latent=options.latent,
        n_layers=options.layers,
        gene_likelihood=options.likelihood,
        use_observed_lib_size=options.size == "observed",
    )
    share = options.valid / cells.n_obs
    began = time.monotonic()
    model.train(
        max_epochs=options.epochs,
        batch_size=options.batch,
        accelerator="cpu",
        train_size=1 - share,
        validation_size=share,
        shuffle_set_split=False,
        early_stopping=options.early_stopping,
        enable_progress_bar=False,
    )
    return model, time.monotonic() - began


def log_p(model: scvi.model.SCVI, cells: anndata.AnnData, k: int) -> np.ndarray:
    """log p(x) [M] of cells, by importance weighting."""
    loader = model._make_data_loader(adata=cells, batch_size=64)
    at_once = max(min(k, 2_000_000 // (64 * cells.n_vars)), 1)
    parts = [model.module.marginal_ll(part, n_mc_samples=k, n_mc_samples_per_pass=at_once) for part in loader]
    return torch.cat([part.reshape(-1) for part in parts]).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells")
    parser.add_argument("out")
    parser.add_argument("--size", choices=["latent", "observed"], default="latent")
    parser.add_argument("--likelihood", default="nb")
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--latent", type=int, default=10)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--early-stopping", action="store_true")
    parser.add_argument("-k", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    scvi.settings.seed = options.seed
    torch.set_num_threads(options.threads)
    held = np.load(options.cells)
    x, fitted = held["x"].astype(np.float32), np.concatenate([held["train"], held["valid"]])
    options.valid = len(held["valid"])
    model, seconds = trained(anndata.AnnData(x[fitted]), options)
    everything = anndata.AnnData(x)
    results = {"z": model.get_latent_representation(everything)}
    began = time.monotonic()
    if options.size == "latent":
        results["log_p"] = log_p(model, everything[held["test"]].copy(), options.k)
    np.savez(options.out, **results)
    epochs = len(model.history["elbo_train"])
    record = {"seconds": seconds, "epochs": epochs, "evaluation_seconds": time.monotonic() - began}
    print(json.dumps({**record, "scvi-tools": version("scvi-tools"), "torch": torch.__version__}))


if __name__ == "__main__":
    main()
