"""Uses of a trained model: encode, reconstruct, interpolate, and the rate and activity of each latent feature."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from ..core.batch import Batch, Rows
from ..core.divided import by_chunks
from ..core.errors import CompositionError
from ..core.random import drawing_from
from ..core.rows import evenly_spaced
from ..families import Columns
from ..models.draw import place
from ..models.guide import Guide
from ..models.model import LatentVariableModel

__all__ = [
    "active_features",
    "are_active",
    "decode",
    "encode",
    "interpolate",
    "prior_grid",
    "rate_per_feature",
    "reconstruct",
    "simulate_classes",
]

CHUNK = 512
ROWS = 2000  # evenly spaced, of which doctor, report and `encode --active` measure codes
ACTIVE = 0.01  # variance over data of a feature's posterior mean above which it is active (Burda et al., 2016)


@torch.no_grad()
def encode(model: LatentVariableModel, guide: Guide, data: Rows, generator: torch.Generator | None = None) -> Tensor:
    """Return the mean of q(z | x) [N, Z] (class probabilities, for a categorical latent).

    Raises:
        CompositionError: the guide does not infer z from x.
    """
    return by_chunks(data, CHUNK, lambda batch: _codes(guide, batch), generator)


def _codes(guide: Guide, batch: Batch) -> Tensor:
    """Return the mean of q(z | x) [B, Z].

    Raises:
        CompositionError: the guide does not infer z from x.
    """
    if not guide.infers:
        raise CompositionError(
            "this model has no encoder: its points z come from the prior, independently of x",
            "Train one with an encoder, such as --recipe vae-gan or adversarial-autoencoder.",
        )
    return guide(batch).mean.expand(len(batch), -1)


def are_active(codes: Tensor) -> Tensor:
    """Return, for each feature of codes [N, Z], whether its variance over data is above 0.01.

    Codes are posterior means; the variance is that of the N data, with the denominator N.

    Source: Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders", 2016.

    Example:
        >>> are_active(torch.tensor([[0.0, 1.0], [1.0, 1.1]])).tolist()  # variances 0.25 and 0.0025
        [True, False]
    """
    return codes.double().var(0, correction=0) > ACTIVE


@torch.no_grad()
def active_features(model: LatentVariableModel, guide: Guide, data: Rows, classes: int = 0) -> Tensor:
    """Return whether each latent feature [Z] is active: its posterior mean has a variance over data above 0.01.

    Args:
        model, guide: of the codes.
        data: at most 2,000 of its rows are used, evenly spaced, as by the doctor.
        classes: features, the first ones, that code a class: these always count.

    Source: Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders", 2016.

    Raises:
        CompositionError: the guide does not infer z from x.
    """
    some = data.subset(evenly_spaced(len(data), ROWS, data.device))
    active = are_active(encode(model, guide, some))
    active[:classes] = True
    return active


@torch.no_grad()
def decode(
    model: LatentVariableModel,
    z: Tensor,
    context: Tensor | None = None,
    *,
    sample: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return the mean of p(x | z), or a sample from it, [N, D] at z [N, Z].

    For a conditional model p(x | z, c), at the context [N, C], or at the most frequent one where none is given. Of a
    mixed table, names are the most probable ones, and angles the mean directions.
    """
    parts, usual, family = [], model.usual, model.likelihood.family
    if context is None and usual is not None:
        context = usual.expand(len(z), -1)
    contexts = [None] * -(-len(z) // CHUNK) if context is None else context.split(CHUNK)
    for chunk, chunk_context in zip(z.split(CHUNK), contexts, strict=False):
        params = model.likelihood_params(chunk, chunk_context)
        if sample:
            with drawing_from(generator):
                x = model.likelihood.at(params).sample()
        elif isinstance(family, Columns):
            x = family.point(family.summary(params), "mode")
        else:
            x = model.likelihood.at(params).mean
        parts.append(x.expand(len(chunk), -1))
    return torch.cat(parts) if parts else z.new_zeros(0, model.likelihood.family.dim)


@torch.no_grad()
def simulate_classes(
    model: LatentVariableModel, n: int, generator: torch.Generator | None = None, chosen: int | None = None, of: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Simulate z [n, Z], x [n, D] and their one-hot classes [n, C]: contexts, or the first group of latents.

    Args:
        model: one conditioned on classes, or one whose first C latent features are a class.
        n: number of simulations.
        generator: of all randomness.
        chosen: number of the class of all simulations; None draws classes from the model.
        of: C.
    """
    like = next(iter(model.parameters()))
    classes = None if chosen is None else torch.eye(of, dtype=like.dtype, device=like.device)[chosen].expand(n, -1)
    if model.context is not None:
        z, batch = model.simulate(n, generator, classes)
        return z, batch.x, torch.as_tensor(batch.context)
    z, batch = model.simulate(n, generator)
    if classes is None:
        return z, batch.x, z[:, :of]
    z = torch.cat([classes, z[:, of:]], -1)
    return z, decode(model, z, sample=True, generator=generator), classes


@torch.no_grad()
def reconstruct(
    model: LatentVariableModel,
    guide: Guide,
    data: Rows,
    *,
    sample: bool = False,
    generator: torch.Generator | None = None,
    context: Tensor | None = None,
) -> Tensor:
    """Return the reconstruction of each datum [N, D]: the mean of p(x | z) at the posterior mean, or x ~ p(x | z), z ~
    q. A conditional model decodes at the context [C] if one is given, else at that of each datum."""

    def at(batch: Batch) -> Tensor | None:
        return batch.context if context is None else context.to(batch.x).expand(len(batch), -1)

    if not sample:
        return by_chunks(data, CHUNK, lambda batch: decode(model, _codes(guide, batch), at(batch)), generator)
    parts = []
    for batch in data.batches(CHUNK, generator):
        z, _ = place(guide(batch), 1, generator)
        parts.append(decode(model, z[0], at(batch), sample=True, generator=generator))
    return torch.cat(parts)


@torch.no_grad()
def interpolate(
    model: LatentVariableModel, a: Tensor, b: Tensor, steps: int = 9, contexts: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Return means of p(x | z) [steps, M, D] along straight lines from latents a [M, Z] to b [M, Z]; for a conditional
    model also along lines between their contexts [M, C]."""
    t = torch.linspace(0, 1, steps, dtype=a.dtype, device=a.device)[:, None, None]
    context = None if contexts is None else (contexts[0] + t * (contexts[1] - contexts[0])).flatten(0, 1)
    return decode(model, (a + t * (b - a)).flatten(0, 1), context).unflatten(0, (steps, len(a)))


@torch.no_grad()
def prior_grid(model: LatentVariableModel, n: int = 15) -> Tensor:
    """Return means of p(x | z) [n, n, D] at the prior's quantiles, for two latent features; the first one along
    columns.

    Source: Kingma & Welling, "Auto-encoding variational Bayes", 2014, figure 4.

    Raises:
        CompositionError: the prior is not a Gaussian of two features.
    """
    prior = model.prior(model.usual)
    if not (isinstance(prior, Independent) and isinstance(prior.base_dist, Normal) and model.latent == 2):
        raise CompositionError(
            "the grid of prior quantiles is for a Gaussian prior of two features", "Train with --latent 2."
        )
    levels = (torch.arange(n, dtype=prior.mean.dtype, device=prior.mean.device) + 0.5) / n
    quantiles = prior.base_dist.icdf(levels[:, None])  # [n, 2]
    right = quantiles[:, 0].expand(n, n)
    up = quantiles[:, 1].flip(0)[:, None].expand(n, n)
    return decode(model, torch.stack([right, up], -1).flatten(0, 1)).unflatten(0, (n, n))


@torch.no_grad()
def rate_per_feature(
    model: LatentVariableModel, guide: Guide, data: Rows, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Return the rate carried by each latent feature, averaged over data [Z], and which features are active [Z].

    A feature is active when the variance over data of its posterior mean is above 0.01 (Burda et al., 2016).

    Raises:
        CompositionError: guide or prior do not factorise over features.
    """
    total, means = 0.0, []
    for batch in data.batches(CHUNK, generator):
        q, prior = guide(batch), model.prior(batch.context)
        if not all(isinstance(d, Independent) and isinstance(d.base_dist, Normal) for d in (q, prior)):
            raise CompositionError(
                "the rate per feature needs a guide and a prior that factorise", "Look at the whole rate."
            )
        total = total + kl_divergence(q.base_dist, prior.base_dist).sum(0)
        means.append(q.mean)
    return torch.as_tensor(total) / len(data), are_active(torch.cat(means))
