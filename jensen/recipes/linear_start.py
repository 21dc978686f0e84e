"""A start of encoder and decoder near factor analysis: latents are principal components of the columns' features.

Steps of a stochastic gradient take long to find what an eigendecomposition knows at once. With eigenvalues l_k of the
features' covariance and the mean s^2 of those that are left out, z_k has the posterior of probabilistic PCA (Tipping &
Bishop, 1999): mean v_k'(f - m) sqrt(l_k - s^2) / l_k and variance s^2 / l_k. The decoder's affine map is then fitted to
draws of z.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.batch import Batch
from ..families import Family, Gaussian
from ..nets import SkipMLP
from .marginals import descend

__all__ = ["fit_affine", "principal_components", "start_encoder"]

STEPS, RATE = 32, 0.15  # of Adam, with a rate that falls to zero
MANY = 500  # rows, of which each step takes every second one
PULL = 1e-3  # nats per squared weight
SMALLEST = 0.02  # of the posterior variance, so that no encoder starts too sure


def principal_components(features: Tensor, latent: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the affine map from features [N, F] to posterior means of z, [F, Z] and [Z], and posterior variances [Z].

    Latents beyond the number of features keep the prior.
    """
    features = features.double()
    centre = features.mean(0)
    _, singular, directions = torch.linalg.svd(features - centre, full_matrices=False)
    values = singular.square() / len(features)
    k = min(latent, int((values > 1e-9 * values.sum()).sum()))
    left = values[k:].mean() if len(values) > k else values.new_zeros(())
    share = (left / values[:k]).clamp(SMALLEST, 1.0)
    projection, variance = features.new_zeros(features.shape[1], latent), features.new_ones(latent)
    projection[:, :k] = directions[:k].mT * ((1 - share) / values[:k]).sqrt()
    variance[:k] = share
    return projection, -centre @ projection, variance


def start_encoder(net: SkipMLP, projection: Tensor, offset: Tensor, variance: Tensor) -> None:
    """Set the affine map of an encoder's network to these posterior means and scales of a diagonal Gaussian."""
    latent = len(offset)
    with torch.no_grad():
        net.affine.weight.zero_()
        net.affine.weight[:latent] = projection.mT.to(net.affine.weight)
        net.affine.bias[:latent] = offset.to(net.affine.bias)
        net.affine.bias[latent:] = Gaussian(latent).raw(variance.sqrt()).to(net.affine.bias)


def fit_affine(family: Family, batch: Batch, z: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights [P - shared, Z] and parameters [P] that raise the likelihood of rows given latents.

    Args:
        family: P parameters.
        batch: [N, D] prepared rows.
        z: [N, Z] latents of these rows.
        start: [P] of independent columns.
    """
    x, z = batch.x.double(), z.double()
    bias = start.double().clone().requires_grad_()
    weight = z.new_zeros(family.size - family.shared, z.shape[1]).requires_grad_()
    parts = 2 if len(x) >= MANY else 1

    def loss(step: int) -> Tensor:
        every = slice(step % parts, None, parts)
        params = torch.nn.functional.pad(z[every] @ weight.mT, (0, family.shared)) + bias
        mask = None if batch.mask is None else batch.mask[every]
        return PULL * weight.square().sum() - family.log_prob(params, x[every], mask).mean()

    descend([weight, bias], loss, STEPS, RATE)
    return weight.detach(), bias.detach()
