"""The chain of a diffusion, started from the training rows: its code, its Gaussian, its ends, and p(x | z_0)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from ..core.batch import Batch
from ..core.precision import applied
from ..core.random import drawing_from, stream
from ..core.rows import evenly_spaced
from ..families import Columns, Family
from ..models.conditionals import Conditional, Given
from ..models.diffused import Diffused, DiffusionPrior
from ..models.diffusion import Diffusion
from ..models.model import LatentVariableModel
from ..models.noise_schedules import (
    CosineSchedule,
    LearnedSchedule,
    LinearSchedule,
    NoiseSchedule,
    signal_and_noise,
)
from ..nets import Featurewise, ResidualMLP, Standardize, UNet
from ..objectives import Objective
from ..training import Player
from .base import BuiltModel, Nets, RecipeContext, start_from_mean
from .columns import column_encoding
from .labels import frequencies
from .networks import dense, image_shape

__all__ = [
    "SCHEDULES",
    "chain_code",
    "chain_of",
    "fitted_likelihood",
    "last_noise",
    "latent_chain",
    "schedule_of",
    "trained",
]

N = TypeVar("N", bound=nn.Module)

SCHEDULES: dict[str, type[NoiseSchedule]] = {
    "linear": LinearSchedule,
    "cosine": CosineSchedule,
    "learned": LearnedSchedule,
}
END = 6.0  # log(sigma^2 / alpha^2) at t = 1, where data of unit variance leave a rate of thousandths of a nat
# standard deviations of the last noise between two whole numbers: where each is rare, noise may blur them, and the
# network need not learn that they are whole; where some are common, as black pixels are, it should know them
STEPS, RARE = {"rare": 2.0, "common": 6.0}, 0.1
LEAST = 1e-3  # of the spread of the data, which the last noise is at least
MIXED = 0.3  # the last noise of the features of a mixed table: p(x | z_0) resolves what is finer
ROWS, FULL = 4000, 4  # that the Gaussian is of, and how many for each feature give it any covariance
FIT, DRAWS = 150, 4  # steps of p(x | z_0), whose parameters do not see each other, on so much noise for each row
NUMBERS = 2**18  # that it is fitted to, at most
COARSE = 32  # pixels of the shorter side of a U-Net, which sees larger images in patches: their cost is alike
WAVES = (3.0, 6.0)  # angles per unit, whose sines and cosines the network of reals sees: without, it learns late
SEEN = 10  # rows
STILL = 0.25  # least standard deviation of whole numbers, so that a step is not much wider than all noise
FREQUENCIES = 6  # of time
BLOCKS, LARGE = (
    2,
    16,
)  # of a network, unless others are asked for; images of so many pixels a side have one at each size


def chain_code(context: RecipeContext) -> Standardize | nn.Module:
    """Return the map from x to what noise is added to: of about unit variance, with one scale for all whole numbers."""
    kind = context.schema.kind
    if kind == "mixed":
        return column_encoding(context.schema, context.rows)
    mean, scale = context.mean.clone(), context.scale
    if kind != "real" or context.schema.is_image:
        scale = torch.full_like(scale, _one_scale(context))
        mean = mean.round() if kind == "integers" else mean  # so that whole numbers have one phase in all features
    return Standardize(context.dim).set(mean, scale)


def last_noise(context: RecipeContext) -> float:
    """Return the noise that is left at t = 0, relative to the code: a part of the step between whole numbers, or the
    floor of scales."""
    kind = context.schema.kind
    if kind == "mixed":
        return MIXED
    if kind == "real":
        return max(context.learned_floor(), LEAST)
    step = STEPS["common" if has_common_values(context) else "rare"]
    return max(1 / (_one_scale(context) * step), LEAST)


def _one_scale(context: RecipeContext) -> float:
    """Return the scale of all features of whole numbers, or of an image; that of nearly constant ones is a limit."""
    scale = float(context.scale.square().mean().sqrt())
    return scale if context.schema.kind == "real" else max(scale, STILL)


def has_common_values(context: RecipeContext) -> bool:
    """Return whether two training rows agree in a tenth of the features or more."""
    index = evenly_spaced(len(context.rows), ROWS, context.rows.device)
    noise = stream(context.seed, "chain", context.rows.device)
    x = context.rows.take(index, noise).x
    other = x[torch.randperm(len(x), generator=noise, device=x.device)].roll(1, 0)
    return len(x) > 1 and float((x == other).double().mean()) >= RARE


def schedule_of(name: str, noise: float) -> NoiseSchedule:
    """Return the schedule of that name, from a standard deviation of the noise at t = 0."""
    return SCHEDULES[name](2 * math.log(noise), END)


def _codes(code: nn.Module, context: RecipeContext, n: int) -> tuple[Batch, Tensor]:
    """Return training rows, evenly spaced, and their codes [n, F]."""
    index = evenly_spaced(len(context.rows), n, context.rows.device)
    batch = context.rows.take(index, stream(context.seed, "chain", context.rows.device))
    with torch.no_grad():
        return batch, applied(code, batch.x)


def chain_of(
    context: RecipeContext,
    nets: Nets,
    code: nn.Module,
    schedule: NoiseSchedule,
    levels: int | None,
    predicts: Literal["velocity", "noise", "data"],
    labels: int = 0,
) -> Diffusion:
    """Return a chain whose network starts as the Gaussian of the training rows.

    Args:
        context, nets: of the recipe.
        code: of x.
        schedule, levels, predicts: see `Diffusion`.
        labels: C, features of a label, which one row in ten is trained without.
    """
    _, c = _codes(code, context, ROWS)
    dim, kind = c.shape[-1], context.schema.kind
    phase = 2 * math.pi * _one_scale(context)
    common = kind == "integers" and has_common_values(context)
    fine = (phase / 2, phase) if common else () if context.schema.is_image or kind == "integers" else WAVES
    inputs, features = (1 + 2 * len(fine)) * dim, 1 + 2 * FREQUENCIES + labels
    axes: tuple[int, ...] = ()
    if dim >= 2 and FULL * dim <= len(c):
        axes = (dim,)
    elif context.schema.is_image and dim == context.dim:
        height, width, channels = context.schema.shape
        axes = (height, width * channels)
    dense_asked = nets.net == "mlp" or tuple(nets.hidden) != tuple(Nets().hidden)
    if nets.net == "conv" or (context.schema.is_image and not dense_asked):
        shape = image_shape(context)
        patch, blocks = max(-(-min(shape[:2]) // COARSE), 1), BLOCKS if min(shape[:2]) < LARGE else 1
        net: nn.Module = UNet(
            shape, 1 + 2 * len(fine), features, shape[2], nets.width, nets.blocks or blocks, nets.activation, patch
        )
    else:
        net = zeroed(dense(replace(nets, blocks=nets.blocks or BLOCKS), inputs + features, dim))
    drop = 0.1 if labels else 0.0
    chain = Diffusion(dim, net, schedule, levels, predicts, FREQUENCIES, axes, not common, fine, labels, drop)
    # as if each feature had been 1 in ten more rows: what is constant in these, but not in all, is not ruled out
    least = min(SEEN / len(c), 1.0) if common or kind == "binary" else 0.0
    least = max(least, float(schedule(torch.zeros(())).detach().exp()))
    chain.start_from(c - c.mean(0), dim / 2 / (len(c) + dim / 2), least)
    return chain


def zeroed(net: N) -> N:
    """Return a dense network whose last layer is zero."""
    head = net.head if isinstance(net, ResidualMLP) else net.layers[-1]  # pyright: ignore[reportAttributeAccessIssue, reportIndexIssue]
    for parameter in head.parameters():  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]
        nn.init.zeros_(parameter)
    return net


def fitted_likelihood(
    context: RecipeContext, nets: Nets, family: Family, code: nn.Module, chain: Diffusion
) -> Conditional:
    """Return p(x | z_0): each feature by itself, affine in z_0 and fitted to noisy training rows; else a network.

    Entries of half of the whole numbers it is fitted to are any of their values, equally often: what is rare in a
    feature, or absent from these rows, is known by z_0 nevertheless, and need not be paid for.
    """
    batch, c = _codes(code, context, max(min(ROWS, NUMBERS // context.dim), 1))
    outputs, dim = family.size - family.shared, c.shape[-1]
    if isinstance(family, Columns) or dim != context.dim or outputs % dim:
        return Given(dense(nets, dim, outputs), family)
    net = Featurewise(dim, outputs // dim)
    start_from_mean(net.bias.data.view(-1), family, context.mean)
    likelihood = Given(net, family)
    with drawing_from(stream(context.seed, "likelihood of a chain", c.device)), torch.no_grad():
        x = batch.x
        if context.schema.kind in ("integers", "binary"):
            drawn = torch.randint(context.schema.levels or 2, x.shape, device=x.device).to(x)
            x = torch.where(torch.rand_like(x) < 0.5, drawn, x)
        loc, scale = chain.first(applied(code, x))
        draws = max(min(DRAWS, NUMBERS // loc.numel()), 1)
        z = loc + scale * torch.randn(draws, *loc.shape, dtype=loc.dtype, device=loc.device)
        kept = _start_at_data(net, family, code, float(signal_and_noise(chain.schedule(c.new_zeros(())))[0]))
    optimizer = torch.optim.Rprop(likelihood.parameters(), lr=1e-3)
    with torch.enable_grad():
        for _ in range(FIT):
            optimizer.zero_grad()
            (-likelihood.log_prob(x, z, batch.mask).mean()).backward()
            for parameter in net.parameters():
                parameter.grad[:kept] = 0.0  # pyright: ignore[reportOptionalSubscript]
            optimizer.step()
    return likelihood.requires_grad_(False)


def _start_at_data(net: Featurewise, family: Family, code: nn.Module, alpha: float) -> int:
    """Let the parameters that a family has for a mean follow x = code^-1(z / alpha), if they are affine in it.

    Returns how many of each feature these are: they need no fit.
    """
    if not isinstance(code, Standardize):
        return 0
    zero, one, two = (family.start(torch.full_like(code.mean, x)).view(-1, len(code.mean)) for x in (0.0, 1.0, 2.0))
    if torch.allclose(two - one, one - zero, atol=1e-6):
        net.weight[: len(zero)] = (one - zero) * code.scale / alpha
        net.bias[: len(zero)] = zero + (one - zero) * code.mean
        return len(zero)
    return 0


def latent_chain(nets: Nets, latent: int, schedule: NoiseSchedule) -> Diffusion:
    """Return the chain of a code that is learned: its network starts as the standard normal."""
    features = 1 + 2 * FREQUENCIES
    net = zeroed(dense(replace(nets, blocks=nets.blocks or BLOCKS), latent + features, latent))
    return Diffusion(latent, net, schedule, frequencies=FREQUENCIES)


def trained(
    context: RecipeContext, chain: Diffusion, code: nn.Module, likelihood: Conditional, objective: Objective
) -> BuiltModel:
    """Return model, guide and the player of a diffusion; p(x | z_0) of each feature stays as it was fitted.

    It is narrow where noise is small, and steps of the size that the chain needs would miss its optimum.
    """
    parameters = list(chain.parameters())
    if not (isinstance(likelihood, Given) and isinstance(likelihood.net, Featurewise)):
        parameters += likelihood.parameters()
    player = Player(objective, parameters, optimizer=context.optimizer)
    labels = frequencies(context) if chain.context else None
    model = LatentVariableModel(DiffusionPrior(chain), likelihood, labels)
    return BuiltModel(model, Diffused(chain, code), [player])
