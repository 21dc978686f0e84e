"""Options of `train` that do not depend on the recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["TrainingOptions"]


@dataclass(frozen=True)
class TrainingOptions:
    """Options of the training loop.

    Attributes:
        epochs: passes over the data; by default the recipe's number, or about 20,000 steps.
        batch: data per step.
        lr: learning rate; table has 0.004 by default.
        optimizer: name of an optimiser of torch.optim.
        schedule: schedule of the learning rate.
        clip: largest norm of a gradient; longer ones are clipped.
        spikes: clip gradients above this multiple of their running norm, and count them.
        average: also keep averaged weights, with this decay, such as 0.999.
        patience: stop when the validation bound has not risen for this many epochs, counted from the end of warm-ups
            and the beginning of the last stage; "auto" is a fifth of the epochs, at least 5, where the weights of the
            best validation bound are kept; none goes on to the end.
        keep: weights to keep: those of the "best" validation bound, or of the "last" step; "auto" is what the recipe
            needs.
        precision: precision of products in training: "fast" runs networks in bfloat16 if the processor supports it,
            "auto" is "fast" only if that costs no accuracy. Evaluation is accurate in any case.
        threads: processor threads of training, at most as many as there are processors; "auto" finds the best number by
            a trial of some milliseconds, and again where training slows down. With a number, the same command gives
            the same bytes whatever else the machine does.
        init_from: a run whose weights to start from, where names and shapes agree.
        checkpoints: largest number of weights to keep along training: after the first epoch, the last, and evenly on a
            logarithmic scale between; 0 keeps none.
        tensorboard: also write event files of TensorBoard into the run folder.
        mlflow: also write a run of MLflow, into a file store in the run folder.
        wandb: also write a run of Weights & Biases, offline in the run folder; wandb sync sends it.
        online: let MLflow write to the server that MLFLOW_TRACKING_URI names, and Weights & Biases to its own; without
            it both stay in the run folder, and off the network.
        save_every: seconds between the states that a training can be resumed from (more if saving would take over a
            hundredth of the time); 0 saves after every step, `None` never.
    """

    epochs: int | None = None
    batch: int = 128
    lr: float = 1e-3
    optimizer: str = "Adam"
    schedule: Literal["cosine", "constant", "linear"] = "cosine"
    clip: float | None = None
    spikes: float | None = None
    average: float | None = None
    patience: int | Literal["auto"] | None = "auto"
    keep: Literal["auto", "best", "last"] = "auto"
    precision: Literal["auto", "fast", "float32", "medium", "bfloat16"] = "auto"
    threads: int | Literal["auto"] = "auto"
    init_from: str | Path | None = None
    checkpoints: int = 8
    tensorboard: bool = False
    mlflow: bool = False
    wandb: bool = False
    online: bool = False
    save_every: float | None = 60
