"""pythae, as a user runs it: its VAE with networks of these sizes, its TrainingPipeline and BaseTrainer."""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import torch
from protocol import FEATURES, HIDDEN, LATENT, LEARNING_RATE, Clock, Plan, binary_images
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor, nn


class Encoder(BaseEncoder):
    def __init__(self) -> None:
        super().__init__()
        a, b = HIDDEN
        self.trunk = nn.Sequential(nn.Linear(FEATURES, a), nn.ReLU(), nn.Linear(a, b), nn.ReLU())
        self.mu, self.log_variance = nn.Linear(b, LATENT), nn.Linear(b, LATENT)

    def forward(self, x: Tensor) -> ModelOutput:
        h = self.trunk(x)
        return ModelOutput(embedding=self.mu(h), log_covariance=self.log_variance(h))


class Decoder(BaseDecoder):
    def __init__(self) -> None:
        super().__init__()
        b, a = HIDDEN
        # pythae's Bernoulli loss takes probabilities, not logits
        self.net = nn.Sequential(
            nn.Linear(LATENT, a), nn.ReLU(), nn.Linear(a, b), nn.ReLU(), nn.Linear(b, FEATURES), nn.Sigmoid()
        )

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.net(z))


class Ticks(TrainingCallback):
    """Tells the clock when an epoch is logged."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_log(self, training_config: BaseTrainerConfig, logs: dict[str, Any], **kwargs: Any) -> None:
        self.clock.tick(float(logs["train_epoch_loss"]))


def main() -> None:
    plan = Plan.from_command_line()
    torch.set_num_threads(plan.threads)
    clock = Clock(plan)
    images = binary_images(plan.rows, plan.seed).astype("float32")
    model = VAE(VAEConfig((FEATURES,), LATENT, reconstruction_loss="bce"), Encoder(), Decoder())
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=plan.all_epochs,
            learning_rate=LEARNING_RATE,
            per_device_train_batch_size=plan.batch,
            seed=plan.seed,
            no_cuda=True,
        )
        TrainingPipeline(model, config)(images, callbacks=[Ticks(clock)])
    clock.report([SimpleNamespace(__name__="pythae", __version__=version("pythae")), torch])


if __name__ == "__main__":
    main()
