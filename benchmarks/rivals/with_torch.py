"""Plain PyTorch, as one writes it by hand for speed: eager, fused Adam, no DataLoader, no waiting within an epoch."""

from __future__ import annotations

import math

import torch
from protocol import LEARNING_RATE, Clock, Plan, data
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch_networks import Decoder, Encoder


class VAE(nn.Module):
    """A diagonal Gaussian encoder, and a Bernoulli or Gaussian decoder."""

    def __init__(self, encoder: Encoder, decoder: Decoder, likelihood: str) -> None:
        super().__init__()
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood

    def forward(self, x: Tensor) -> Tensor:
        """Minus the ELBO, averaged over the batch, in nats."""
        mu, log_variance = self.encoder(x).chunk(2, -1)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * log_variance)
        rate = 0.5 * (mu.square() + log_variance.exp() - 1 - log_variance).sum()
        return (self.distortion(self.decoder(z), x) + rate) / len(x)

    def distortion(self, parameters: Tensor, x: Tensor) -> Tensor:
        if self.likelihood == "bernoulli":
            return binary_cross_entropy_with_logits(parameters, x, reduction="sum")
        loc, log_scale = parameters.chunk(2, -1)
        residual = (x - loc) * torch.exp(-log_scale)
        return (0.5 * residual.square() + log_scale).sum() + 0.5 * math.log(2 * math.pi) * x.numel()


def main() -> None:
    plan = Plan.from_command_line()
    if plan.threads:
        torch.set_num_threads(plan.threads)
    if plan.precision == "fast":
        torch.set_float32_matmul_precision("medium")
    torch.manual_seed(plan.seed)
    shape, rows = plan.model, data(plan)
    mean = rows.mean(0)
    x = torch.from_numpy(rows).float()
    model, clock = VAE(Encoder(shape, mean), Decoder(shape, mean), shape.likelihood), Clock(plan)
    if shape.width:
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    for _ in range(plan.all_epochs):
        total = torch.zeros(())
        for index in torch.randperm(len(x)).split(plan.batch):
            optimizer.zero_grad(set_to_none=True)
            loss = model(x[index])
            loss.backward()
            optimizer.step()
            total += loss.detach()
        clock.tick(float(total) / shape.steps)
    clock.report([torch], threads=torch.get_num_threads())


if __name__ == "__main__":
    main()
