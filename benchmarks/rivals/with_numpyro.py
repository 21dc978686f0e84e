"""NumPyro: stochastic variational inference with closed-form KL, a whole epoch compiled by jit."""

from __future__ import annotations

import math
from itertools import pairwise

import jax
import numpyro
import numpyro.distributions as dist
from jax import Array, lax, random
from jax import numpy as jnp
from numpyro.infer import SVI, TraceMeanField_ELBO
from numpyro.infer.svi import SVIState
from protocol import FEATURES, HIDDEN, LATENT, LEARNING_RATE, Clock, Plan, binary_images


def linear(name: str, x: Array, inputs: int, outputs: int) -> Array:
    """An affine map, started as torch's is."""
    bound = 1 / math.sqrt(inputs)
    W = numpyro.param(f"{name}.W", lambda key: random.uniform(key, (inputs, outputs), minval=-bound, maxval=bound))
    b = numpyro.param(f"{name}.b", lambda key: random.uniform(key, (outputs,), minval=-bound, maxval=bound))
    return x @ W + b


def mlp(name: str, x: Array, *sizes: int) -> Array:
    for i, (a, b) in enumerate(pairwise(sizes[:-1])):
        x = jax.nn.relu(linear(f"{name}.{i}", x, a, b))
    return linear(f"{name}.last", x, *sizes[-2:])


def model(x: Array) -> None:
    with numpyro.plate("batch", len(x)):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(LATENT), 1.0).to_event(1))
        logits = mlp("decoder", z, LATENT, *HIDDEN[::-1], FEATURES)
        numpyro.sample("x", dist.Bernoulli(logits=logits).to_event(1), obs=x)


def guide(x: Array) -> None:
    mu, log_variance = jnp.split(mlp("encoder", x, FEATURES, *HIDDEN, 2 * LATENT), 2, -1)
    with numpyro.plate("batch", len(x)):
        numpyro.sample("z", dist.Normal(mu, jnp.exp(0.5 * log_variance)).to_event(1))


def main() -> None:
    plan = Plan.from_command_line()
    images = jnp.asarray(binary_images(plan.rows, plan.seed), dtype=jnp.float32)
    svi = SVI(model, guide, numpyro.optim.Adam(LEARNING_RATE), TraceMeanField_ELBO())
    clock, key = Clock(plan), random.PRNGKey(plan.seed)
    state = svi.init(key, images[: plan.batch])

    @jax.jit
    def epoch(state: SVIState, images: Array, key: Array) -> tuple[SVIState, Array]:
        order = random.permutation(key, plan.rows).reshape(plan.steps, plan.batch)
        state, losses = lax.scan(lambda s, index: svi.update(s, images[index]), state, order)
        return state, losses.mean() / plan.batch

    for number in range(plan.all_epochs):
        state, loss = epoch(state, images, random.fold_in(key, number))
        clock.tick(float(loss))
    clock.report([numpyro, jax])


if __name__ == "__main__":
    main()
