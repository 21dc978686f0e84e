"""jensen, as a user runs it: jensen.train, with its run folder and its records."""

from __future__ import annotations

import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from protocol import LEARNING_RATE, SIDE, Clock, Plan, data

import jensen
from jensen.runs.training_options import TrainingOptions
from jensen.training import EpochEnded, Event


def network(plan: Plan) -> dict[str, Any]:
    """The options that make the recipe's networks those of the shape."""
    shape = plan.model
    if shape.width:
        return {"net": "conv", "width": shape.width}
    return {"hidden": shape.hidden}


def threads(plan: Plan) -> dict[str, Any]:
    """The option that sets the number of threads, where this version of jensen has one and the plan asks for it."""
    if not plan.threads:
        return {}
    torch.set_num_threads(plan.threads)
    return {"threads": plan.threads} if "threads" in {option.name for option in fields(TrainingOptions)} else {}


def main() -> None:
    plan = Plan.from_command_line()
    shape, rows, clock = plan.model, data(plan), Clock(plan)
    used = 0

    def listen(event: Event) -> None:
        nonlocal used
        if isinstance(event, EpochEnded):
            clock.tick(-event.train.objective)
            used = torch.get_num_threads()

    with tempfile.TemporaryDirectory() as folder:
        jensen.train(
            rows.reshape(-1, SIDE, SIDE) if shape.width else rows,
            recipe="vae",
            out=f"{folder}/run",
            split=(1, 0, 0),
            epochs=plan.all_epochs,
            batch=plan.batch,
            lr=LEARNING_RATE,
            schedule="constant",
            precision=plan.precision,
            seed=plan.seed,
            device="cpu",
            listeners=(listen,),
            latent=shape.latent,
            points=plan.points,
            warmup=0,  # the rate has its full weight from the start, as in every contestant
            activation="relu",
            likelihood=shape.likelihood,
            **network(plan),
            **threads(plan),
        )
    clock.report([jensen, torch], threads=used, where=str(Path(jensen.__file__).resolve().parent.parent))


if __name__ == "__main__":
    main()
