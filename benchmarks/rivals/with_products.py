"""No training at all: the matrix products of a step and nothing else, in float32. No eager loop can be faster."""

from __future__ import annotations

from itertools import pairwise

import torch
from protocol import FEATURES, HIDDEN, LATENT, Clock, Plan


def main() -> None:
    plan = Plan.from_command_line()
    torch.set_num_threads(plan.threads)
    generator, clock = torch.Generator().manual_seed(plan.seed), Clock(plan)
    layers: list[list[torch.Tensor]] = []
    for sizes in ((FEATURES, *HIDDEN, 2 * LATENT), (LATENT, *HIDDEN[::-1], FEATURES)):
        for a, b in pairwise(sizes):
            shapes = ((plan.batch, a), (b, a), (plan.batch, b))
            layers.append([torch.randn(shape, generator=generator) for shape in shapes])
    with torch.no_grad():
        for _ in range(plan.all_epochs):
            for _ in range(plan.steps):
                for number, (x, weight, gradient) in enumerate(layers):
                    torch.mm(x, weight.T)  # forward
                    torch.mm(gradient.T, x)  # for the weights
                    if number:  # nobody asks for a gradient with respect to the data
                        torch.mm(gradient, weight)
            clock.tick(float("nan"))
    clock.report([torch])


if __name__ == "__main__":
    main()
