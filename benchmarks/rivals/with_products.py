"""No training at all: the matrix products and convolutions of a step, in float32. No eager loop can be faster."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from protocol import Clock, Plan, Shape
from torch import Tensor

Product = Callable[[], object]


def dense(a: int, b: int, batch: int, *, first: bool = False) -> list[Product]:
    """The products of a layer of a inputs and b outputs: forward, and backward to the weights and to the inputs."""
    x, weight, gradient = torch.randn(batch, a), torch.randn(b, a), torch.randn(batch, b)
    products: list[Product] = [lambda: torch.mm(x, weight.T), lambda: torch.mm(gradient.T, x)]
    return products if first else [*products, lambda: torch.mm(gradient, weight)]  # nobody asks for data's gradient


def convolution(a: int, b: int, side: int, stride: int, batch: int, *, first: bool = False) -> list[Product]:
    """The same of a 3x3 convolution over images of that side."""

    def pixels(channels: int, side: int) -> Tensor:
        return torch.randn(batch, channels, side, side).contiguous(memory_format=torch.channels_last)

    x, gradient = pixels(a, side), pixels(b, (side + stride - 1) // stride)
    weight = torch.randn(b, a, 3, 3).contiguous(memory_format=torch.channels_last)
    shared = ([stride] * 2, [1, 1], [1, 1], False, [0, 0], 1)
    return [
        lambda: torch.ops.aten.convolution(x, weight, None, *shared),
        lambda: torch.ops.aten.convolution_backward(gradient, x, weight, [0], *shared, [not first, True, False]),
    ]


def products(shape: Shape, batch: int) -> list[Product]:
    """Every product of a step."""
    if not shape.width:
        layers: list[Product] = []
        for sizes in (
            (shape.features, *shape.hidden, 2 * shape.latent),
            (shape.latent, *shape.hidden[::-1], shape.outputs),
        ):
            for a, b in pairwise(sizes):
                layers += dense(a, b, batch, first=not layers)
        return layers
    sides, channels = shape.sides, shape.channels
    flat = channels[-1] * sides[-1] ** 2
    layers = convolution(1, channels[0], sides[0], 1, batch, first=True)
    for (a, b), side in zip(pairwise(channels), sides, strict=False):
        layers += convolution(a, b, side, 2, batch)
    layers += dense(flat, 2 * shape.latent, batch) + dense(shape.latent, flat, batch)
    for (a, b), side in zip(pairwise([channels[-1], *channels[::-1]]), sides[::-1], strict=True):
        layers += convolution(a, b, side, 1, batch)
    return layers + convolution(channels[0], 1, sides[0], 1, batch)


def main() -> None:
    plan = Plan.from_command_line()
    if plan.threads:
        torch.set_num_threads(plan.threads)
    torch.manual_seed(plan.seed)
    step, clock = products(plan.model, plan.batch), Clock(plan)
    with torch.no_grad():
        for _ in range(plan.all_epochs):
            for _ in range(plan.model.steps):
                for product in step:
                    product()
            clock.tick(float("nan"))
    clock.report([torch], threads=torch.get_num_threads())


if __name__ == "__main__":
    main()
