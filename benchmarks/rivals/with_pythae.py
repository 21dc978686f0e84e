"""pythae, as a user runs it: its VAE with networks of these sizes, its TrainingPipeline and BaseTrainer."""

from __future__ import annotations

import math
import tempfile
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch_networks
from protocol import LEARNING_RATE, Clock, Plan, Shape, data
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor


class Encoder(BaseEncoder):
    def __init__(self, shape: Shape, mean: np.ndarray) -> None:
        super().__init__()
        self.net = torch_networks.Encoder(shape, mean)

    def forward(self, x: Tensor) -> ModelOutput:
        mu, log_variance = self.net(x).chunk(2, -1)
        return ModelOutput(embedding=mu, log_covariance=log_variance)


class Decoder(BaseDecoder):
    def __init__(self, shape: Shape, mean: np.ndarray) -> None:
        super().__init__()
        self.net, self.likelihood = torch_networks.Decoder(shape, mean), shape.likelihood

    def forward(self, z: Tensor) -> ModelOutput:
        out = self.net(z)
        # pythae's Bernoulli loss takes probabilities, not logits
        return ModelOutput(reconstruction=out.sigmoid() if self.likelihood == "bernoulli" else out)


class GaussianVAE(VAE):
    """Its VAE with a scale per feature, in the place of its squared error, which stands for a scale of one."""

    def loss_function(self, recon_x: Tensor, x: Tensor, mu: Tensor, log_var: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        loc, log_scale = recon_x.chunk(2, -1)
        square = ((x - loc) * torch.exp(-log_scale)).square()
        distortion = (0.5 * square + log_scale + 0.5 * math.log(2 * math.pi)).sum(-1)
        rate = -0.5 * torch.sum(1 + log_var - mu.pow(2) - log_var.exp(), dim=-1)
        return (distortion + rate).mean(), distortion.mean(), rate.mean()


class Ticks(TrainingCallback):
    """Tells the clock when an epoch is logged."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_log(self, training_config: BaseTrainerConfig, logs: dict[str, Any], **kwargs: Any) -> None:
        self.clock.tick(float(logs["train_epoch_loss"]))


def main() -> None:
    plan = Plan.from_command_line()
    if plan.threads:
        torch.set_num_threads(plan.threads)
    torch.manual_seed(plan.seed)
    shape, rows, clock = plan.model, data(plan).astype("float32"), Clock(plan)
    mean = rows.mean(0)
    kind = VAE if shape.likelihood == "bernoulli" else GaussianVAE
    settings = VAEConfig((shape.features,), shape.latent, reconstruction_loss="bce")
    model = kind(settings, Encoder(shape, mean), Decoder(shape, mean))
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=plan.all_epochs,
            learning_rate=LEARNING_RATE,
            per_device_train_batch_size=plan.batch,
            seed=plan.seed,
            no_cuda=True,
        )
        TrainingPipeline(model, config)(rows, callbacks=[Ticks(clock)])
    clock.report(
        [SimpleNamespace(__name__="pythae", __version__=version("pythae")), torch], threads=torch.get_num_threads()
    )


if __name__ == "__main__":
    main()
