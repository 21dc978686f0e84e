"""Plain PyTorch, as one writes it by hand for speed: eager, fused Adam, no DataLoader, no waiting within an epoch."""

from __future__ import annotations

from itertools import pairwise

import torch
from protocol import FEATURES, HIDDEN, LATENT, LEARNING_RATE, Clock, Plan, binary_images
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits


class VAE(nn.Module):
    """A diagonal Gaussian encoder and a Bernoulli decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = mlp(FEATURES, *HIDDEN, 2 * LATENT)
        self.decoder = mlp(LATENT, *HIDDEN[::-1], FEATURES)

    def forward(self, x: Tensor) -> Tensor:
        """Minus the ELBO, averaged over the batch, in nats."""
        mu, log_variance = self.encoder(x).chunk(2, -1)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * log_variance)
        distortion = binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        rate = 0.5 * (mu.square() + log_variance.exp() - 1 - log_variance).sum()
        return (distortion + rate) / len(x)


def mlp(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes[:-1]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(*sizes[-2:]))


def main() -> None:
    plan = Plan.from_command_line()
    torch.set_num_threads(plan.threads)
    if plan.precision == "fast":
        torch.set_float32_matmul_precision("medium")
    torch.manual_seed(plan.seed)
    images = torch.from_numpy(binary_images(plan.rows, plan.seed)).float()
    model, clock = VAE(), Clock(plan)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    for _ in range(plan.all_epochs):
        total = torch.zeros(())
        for index in torch.randperm(len(images)).split(plan.batch):
            optimizer.zero_grad(set_to_none=True)
            loss = model(images[index])
            loss.backward()
            optimizer.step()
            total += loss.detach()
        clock.tick(float(total) / plan.steps)
    clock.report([torch])


if __name__ == "__main__":
    main()
