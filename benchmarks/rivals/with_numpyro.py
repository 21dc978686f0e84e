"""NumPyro: stochastic variational inference with closed-form KL, a whole epoch compiled by jit."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax import Array, lax, random
from jax import numpy as jnp
from numpyro.infer import SVI, TraceMeanField_ELBO
from numpyro.infer.svi import SVIState
from protocol import LEARNING_RATE, SIDE, Clock, Plan, Shape, data, start


def uniform(name: str, size: tuple[int, ...], fan_in: int) -> Array:
    """A parameter that starts as torch's weights and biases do."""
    bound = 1 / math.sqrt(fan_in)
    return numpyro.param(name, lambda key: random.uniform(key, size, minval=-bound, maxval=bound))


def linear(name: str, x: Array, inputs: int, outputs: int, first: np.ndarray | None = None) -> Array:
    """An affine map, with these first values of its bias."""
    b = f"{name}.b"
    if first is None:
        return x @ uniform(f"{name}.W", (inputs, outputs), inputs) + uniform(b, (outputs,), inputs)

    def begin(key: Array) -> Array:
        bound = 1 / math.sqrt(inputs)
        return random.uniform(key, (outputs,), minval=-bound, maxval=bound).at[: len(first)].set(first)

    return x @ uniform(f"{name}.W", (inputs, outputs), inputs) + numpyro.param(b, begin)


def mlp(name: str, x: Array, *sizes: int, first: np.ndarray | None = None) -> Array:
    for i, (a, b) in enumerate(pairwise(sizes[:-1])):
        x = jax.nn.relu(linear(f"{name}.{i}", x, a, b))
    return linear(f"{name}.last", x, *sizes[-2:], first=first)


def convolution(name: str, x: Array, outputs: int, stride: int = 1) -> Array:
    """A 3x3 convolution of images [B, H, W, C] with one pixel of zeros around."""
    inputs = x.shape[-1]
    W, b = uniform(f"{name}.W", (3, 3, inputs, outputs), 9 * inputs), uniform(f"{name}.b", (outputs,), 9 * inputs)
    padding = ((1, 1), (1, 1))
    return lax.conv_general_dilated(x, W, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")) + b


def nearest(h: Array, side: int) -> Array:
    """Images [B, H, W, C] resized to that side, by the nearest pixel as torch takes it."""
    source = np.arange(side) * h.shape[1] // side
    return h if side == h.shape[1] else h[:, source][:, :, source]


def encoder(shape: Shape, x: Array) -> Array:
    if not shape.width:
        return mlp("encoder", x, shape.features, *shape.hidden, 2 * shape.latent)
    h = x.reshape(-1, SIDE, SIDE, 1)
    for level, channels in enumerate(shape.channels):
        h = jax.nn.relu(convolution(f"encoder.{level}", h, channels, 2 if level else 1))
    flat = h.reshape(len(h), -1)
    return linear("encoder.last", flat, flat.shape[1], 2 * shape.latent)


def decoder(shape: Shape, z: Array, first: np.ndarray) -> Array:
    if not shape.width:
        return mlp("decoder", z, shape.latent, *shape.hidden[::-1], shape.outputs, first=first)
    side, channels = shape.sides[-1], shape.channels[-1]
    h = jax.nn.relu(linear("decoder.stem", z, shape.latent, channels * side**2)).reshape(-1, side, side, channels)
    for level in reversed(range(len(shape.channels))):
        h = jax.nn.relu(convolution(f"decoder.{level}", nearest(h, shape.sides[level]), shape.channels[level]))
    return convolution("decoder.head", h, 1).reshape(-1, shape.features)


def python_loop(step: Callable[..., Any], state: Any, order: Array) -> tuple[Any, Array]:
    """The same as `lax.scan`, uncompiled."""
    losses = []
    for index in order:
        state, loss = step(state, index)
        losses.append(loss)
    return state, jnp.stack(losses)


def main() -> None:
    plan = Plan.from_command_line()
    shape, rows = plan.model, data(plan)
    mean = rows.mean(0)
    x, centre, first = jnp.asarray(rows, dtype=jnp.float32), jnp.asarray(mean, dtype=jnp.float32), start(shape, mean)

    def model(x: Array) -> None:
        with numpyro.plate("batch", len(x)):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(shape.latent), 1.0).to_event(1))
            out = decoder(shape, z, first)
            if shape.likelihood == "bernoulli":
                likelihood = dist.Bernoulli(logits=out)
            else:
                likelihood = dist.Normal(out[:, : shape.features], jnp.exp(out[:, shape.features :]))
            numpyro.sample("x", likelihood.to_event(1), obs=x)

    def guide(x: Array) -> None:
        mu, log_variance = jnp.split(encoder(shape, x - centre), 2, -1)
        with numpyro.plate("batch", len(x)):
            numpyro.sample("z", dist.Normal(mu, jnp.exp(0.5 * log_variance)).to_event(1))

    svi = SVI(model, guide, numpyro.optim.Adam(LEARNING_RATE), TraceMeanField_ELBO())
    clock, key = Clock(plan), random.PRNGKey(plan.seed)
    state = svi.init(key, x[: plan.batch])

    def epoch(state: SVIState, x: Array, key: Array) -> tuple[SVIState, Array]:
        order = random.permutation(key, plan.rows).reshape(shape.steps, plan.batch)
        state, losses = loop(lambda s, index: update(s, x[index]), state, order)
        return state, losses.mean() / plan.batch

    # XLA's convolutions for processors are slow within a compiled loop: there, only the step is compiled
    loop, update = (python_loop, jax.jit(svi.update)) if shape.width else (lax.scan, svi.update)
    epoch = epoch if shape.width else jax.jit(epoch)
    for number in range(plan.all_epochs):
        state, loss = epoch(state, x, random.fold_in(key, number))
        clock.tick(float(loss))
    clock.report([numpyro, jax])


if __name__ == "__main__":
    main()
