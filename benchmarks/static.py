"""A trained run goes on by the importance-weighted bound: static MNIST's figure in the README here is made by it.

jensen train trainvalid.npy --test test.npy --split 0.8333,0.1667,0 --recipe ladder --groups 20,40 --state 256 \\
    --hidden 256,256 --warmup 15 --epochs 500 --schedule constant --average 0.999 --precision fast --out run
python benchmarks/static.py run --points 10 --epochs 25   # prints a line per epoch; the best weights are kept
python benchmarks/static.py run --evaluate 5000           # IWAE-5000 of test rows, with the weights that were kept
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

import jensen
from jensen.objectives import ImportanceWeighted
from jensen.training import EpochEnded, Optimizer


def trained(run: jensen.Run, options: argparse.Namespace) -> None:
    """Climb the bound of K points from the run's weights; the best weights by validation go beside the run."""
    everything = list(dict.fromkeys([*run.model.parameters(), *run.guide.parameters()]))
    for parameter in everything:
        parameter.requires_grad_(True)
    how = jensen.Pathwise(options.points)
    player = jensen.Player(ImportanceWeighted(), everything, how, Optimizer("Adam", options.lr))

    def tell(event: object) -> None:
        if isinstance(event, EpochEnded) and event.valid is not None:
            print(f"{event.epoch} {event.train.bound:.3f} {event.valid.bound:.3f} {event.seconds:.0f} s", flush=True)
            if event.is_best:
                save(run)

    trainer = jensen.Trainer(seed=1, keep_best=True, precision="bfloat16", listeners=[tell])
    rows, valid = run.part("train", 0).rows, run.part("valid", 0).rows
    trainer.fit(run.model, run.guide, [player], rows, jensen.Budget(options.epochs, options.batch), valid)
    save(run)


def kept(run: jensen.Run) -> Path:
    return run.path.with_name(f"{run.path.name}-iwae.safetensors")


def save(run: jensen.Run) -> None:
    from safetensors.torch import save_model

    save_model(torch.nn.ModuleDict({"model": run.model, "guide": run.guide}), str(kept(run)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--points", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--evaluate", type=int)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--part", default="test")
    options = parser.parse_args()
    run = jensen.load(options.run)
    if options.evaluate is None:
        return trained(run, options)
    if kept(run).exists():
        from safetensors.torch import load_model

        load_model(torch.nn.ModuleDict({"model": run.model, "guide": run.guide}), str(kept(run)))
    rows = run.part(options.part, 0).rows
    if options.rows is not None:  # spread over the file: the test rows of static MNIST are sorted by digit
        rows = rows.subset(torch.linspace(0, len(rows) - 1, options.rows).round().long())
    began = time.monotonic()
    found = jensen.Importance(options.evaluate)(run.model, run.guide, rows, 0)
    seconds = time.monotonic() - began
    print(f"IWAE-{options.evaluate} {found.mean:.3f} {found} ELBO {found.elbo.mean():.3f}; {seconds:.0f} s")


if __name__ == "__main__":
    main()
