"""Models with latents in groups, each conditioned on the groups above it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from ..core.errors import UsageError
from ..models.ladder import FromLadder, Ladder, LadderGuide, LadderPrior, Rung
from ..models.model import LatentVariableModel
from ..nets import MLP, Chain, Planes
from ..objectives import Distortion, Rate
from .base import BuiltModel, Nets, RecipeContext, recipe
from .networks import encoder, family_of, features, image_shape, play, standardized, warmed

__all__ = ["ladder", "very_deep"]


def _small(nets: Nets, state: int, inputs: int, outputs: int) -> MLP:
    """Return a network with one hidden layer."""
    return MLP(inputs, outputs, (state,), nets.activation)


def _group_prior(nets: Nets, state: int, outputs: int) -> MLP:
    """Return the prior of a group given the state; it starts as the standard member of its family."""
    net = _small(nets, state, state, outputs)
    for parameter in net.layers[-1].parameters():
        nn.init.zeros_(parameter)
    return net


def _step(nets: Nets, state: int, group: int) -> MLP:
    """Return the network that adds a group to the state, with large initial weights on its latents.

    Among `state` other inputs, usual weights would make the latents a hundredth of the signal, and the rate prunes
    what has no influence before it is used.
    """
    net = _small(nets, state, state + group, state)
    with torch.no_grad():
        net.layers[0].weight[:, state:].normal_(0.0, 2.0 * group**-0.5)  # pyright: ignore[reportIndexIssue, reportCallIssue]
    return net


def _head(nets: Nets, state: int, outputs: int) -> MLP:
    """Return the affine map of state and features that is added to a group's prior, with large initial weights."""
    net = MLP(2 * state, outputs, (), nets.activation)
    with torch.no_grad():
        net.layers[0].weight.mul_(4.0)  # pyright: ignore[reportCallIssue]
    return net


@recipe("ladder", "Sonderby et al. 2016", title="ladder VAE")
def ladder(
    context: RecipeContext, nets: Nets, *, groups: Sequence[int] = (8, 16), state: int = 128, warmup: int | None = None
) -> BuiltModel:
    """A ladder VAE: latents in groups (sizes from the top down), with one top-down path for prior and guide."""
    rungs = [Rung(d, _group_prior(nets, state, 2 * d), _step(nets, state, d)) for d in groups]
    down, family = Ladder(state, rungs), family_of(context, nets)
    up = [encoder(context, nets, state), *(_small(nets, state, state, state) for _ in groups[1:])]
    guide = LadderGuide(down, up, [_head(nets, state, 2 * d) for d in groups])
    likelihood = FromLadder(down, features(context, nets, state, family), family)
    model = LatentVariableModel(LadderPrior(down), likelihood)
    return play(context, model, guide, -Distortion() - warmed(context, 1.0, warmup) * Rate())


@recipe("very-deep", "Child 2021", title="very deep VAE", epochs=40)
def very_deep(
    context: RecipeContext, nets: Nets, *, depth: int = 2, planes: int = 4, warmup: int | None = None
) -> BuiltModel:
    """A convolutional ladder: `depth` groups at each size from one pixel to half the image, `planes` latents each."""
    _check_very_deep(context, nets)
    (height, width, channels), c, act = image_shape(context), nets.width, nets.activation
    size, levels = (height, width), [s for s in _sizes(height, width) for _ in range(depth)]
    rungs = [_rung(here, after, c, planes, act) for here, after in pairwise([*levels, levels[-1]])]
    first = Planes(size, (channels,), c, c, to=levels[-1], activation=act)
    between = [Planes(low, (c,), c, c, to=high, residual=True, activation=act) for low, high in pairwise(levels[::-1])]
    down, family = Ladder(c * levels[0][0] * levels[0][1], rungs), family_of(context, nets)
    heads = [Planes(s, (c, c), 2 * planes, c, planes=2, zero=True, activation=act) for s in levels]
    guide = LadderGuide(down, [Chain((standardized(context), first)), *between], heads)
    groups = (family.size - family.shared) // context.dim
    last = Planes(levels[-1], (c,), groups * channels, c, to=size, planes=groups, activation=act)
    model = LatentVariableModel(LadderPrior(down), FromLadder(down, last, family))
    return play(context, model, guide, -Distortion() - warmed(context, 1.0, warmup) * Rate())


def _check_very_deep(context: RecipeContext, nets: Nets) -> None:
    """Refuse tables, and options that would have no effect."""
    if not context.schema.is_image:
        raise UsageError("very-deep needs images, and these data are a table", "Use --recipe ladder.")
    defaults = Nets()
    changed = {
        "hidden": tuple(nets.hidden) != tuple(defaults.hidden),
        "net": nets.net == "conv",
        "blocks": bool(nets.blocks),  # none, and dense networks, were recorded where they were the default
        "norm": nets.norm != defaults.norm,
    }
    for name, is_changed in changed.items():
        if is_changed:
            raise UsageError(
                f"very-deep has no --{name}: it is made of convolutions, --depth of them at each size",
                f"Leave --{name} out; --width, --depth and --planes set its size.",
            )


def _sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Return sizes from one pixel to half the image (rounded up), each about twice the one before."""
    sizes = [(-(-height // 2), -(-width // 2))]
    while max(sizes[-1]) > 1:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes[::-1]


def _rung(here: tuple[int, int], after: tuple[int, int], c: int, planes: int, act: str) -> Rung:
    """Return a rung of `planes` latents a pixel, with the step to the next size."""
    prior = Planes(here, (c,), 2 * planes, c, planes=2, zero=True, activation=act)
    step = Planes(here, (c, planes), c, c, to=after, residual=here != after, activation=act)
    return Rung(planes * here[0] * here[1], prior, step)
