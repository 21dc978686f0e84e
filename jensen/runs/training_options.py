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
        epochs: passes over the data; by default the recipe's, or about 20,000 steps.
        batch: data per step.
        lr: learning rate.
        optimizer: a class of torch.optim, by name.
        schedule: of the learning rate.
        clip: largest norm of the gradient.
        spikes: how many times its usual norm a gradient may be long; longer ones are shortened, and counted.
        average: decay of averaged weights, such as 0.999.
        patience: stop when the validation bound has not risen for this many epochs.
        keep: the weights that are kept, of the best validation bound or of the last step.
        precision: of products in training; "fast" runs networks in bfloat16 where the processor knows it, "auto" is
            "fast" only where that costs no accuracy. Evaluation is accurate whatever it is.
        init_from: a run whose weights to start from, where names and shapes agree.
        checkpoints: weights to keep along training, at most: after the first epoch, the last, and evenly in the
            logarithm between; 0 keeps none.
        tensorboard: also write event files into the run folder.
        save_every: seconds between the states that a training can be resumed from (less often where that would cost a
            hundredth of its time); 0 keeps one after every step, None keeps none at all.
    """

    epochs: int | None = None
    batch: int = 128
    lr: float = 1e-3
    optimizer: str = "Adam"
    schedule: Literal["cosine", "constant", "linear"] = "cosine"
    clip: float | None = None
    spikes: float | None = None
    average: float | None = None
    patience: int | None = None
    keep: Literal["auto", "best", "last"] = "auto"
    precision: Literal["auto", "fast", "float32", "medium", "bfloat16"] = "auto"
    init_from: str | Path | None = None
    checkpoints: int = 8
    tensorboard: bool = False
    save_every: float | None = 60
