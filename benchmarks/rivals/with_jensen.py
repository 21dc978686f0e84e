"""jensen, as a user runs it: jensen.train, with its run folder and its records."""

from __future__ import annotations

import tempfile

import torch
from protocol import HIDDEN, LATENT, LEARNING_RATE, Clock, Plan, binary_images

import jensen
from jensen.training import EpochEnded, Event


def main() -> None:
    plan = Plan.from_command_line()
    torch.set_num_threads(plan.threads)
    clock = Clock(plan)

    def listen(event: Event) -> None:
        if isinstance(event, EpochEnded):
            clock.tick(-event.train.objective)

    with tempfile.TemporaryDirectory() as folder:
        jensen.train(
            binary_images(plan.rows, plan.seed),
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
            latent=LATENT,
            hidden=HIDDEN,
            activation="relu",
        )
    clock.report([jensen, torch])


if __name__ == "__main__":
    main()
