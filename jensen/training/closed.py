"""Closed-form steps: maximum likelihood of the exact models, each step over all data at once.

A `ClosedStep` takes the place of an optimiser in a `Player`. Some reach the optimum in one call (`reaches_optimum`);
the others are iterations (EM, alternation), none of which lowers the likelihood.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from ..core.batch import Batch, Rows
from ..core.errors import CompositionError, NumericalError
from ..core.parts import part
from ..families import Categorical, FullGaussian, Gaussian
from ..models.conditionals import Linear, Table, Unconditional
from ..models.model import LatentVariableModel

__all__ = [
    "ClosedStep",
    "FactorAlternation",
    "FactorEM",
    "GaussianMaximum",
    "MixtureEM",
    "PrincipalComponents",
    "component_params",
]

CHUNK = 4096


class ClosedStep(ABC):
    """An update of the whole model from the whole data set.

    Attributes:
        reaches_optimum: True if one call reaches the optimum.
    """

    reaches_optimum: bool = False

    @abstractmethod
    def __call__(self, model: LatentVariableModel, rows: Rows) -> None:
        """Set the model's parameters from all the data."""

    @abstractmethod
    def suits(self, model: LatentVariableModel) -> bool:
        """Return whether this step maximises the likelihood of models of this kind."""

    def check(self, model: LatentVariableModel) -> None:
        """Refuse a model of another kind, before the loop.

        Raises:
            CompositionError: the step does not suit the model.
        """
        if not self.suits(model):
            raise CompositionError(f"{type(self).__name__} does not fit this model", "Use --fit gradient.")


@dataclass(frozen=True)
class Moments:
    """Number of rows, mean [D] and (1/N) covariance [D, D] of data, in double precision where the device has it."""

    n: int
    mean: Tensor
    covariance: Tensor


def _refuse_missing(rows: Rows) -> None:
    """Refuse rows with missing entries, which a closed form cannot use.

    Raises:
        CompositionError: there are some.
    """
    if rows.mask is not None:
        raise CompositionError(
            "a closed-form step needs data without missing entries, and entries are missing",
            "Use --fit gradient, or --recipe miwae.",
        )


def _double(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64


def moments(rows: Rows) -> Moments:
    """Compute mean and covariance in two passes, so that a large mean costs no digits."""
    _refuse_missing(rows)
    dtype = _double(rows.device)
    n = len(rows)
    mean = sum(b.x.to(dtype).sum(0) for b in rows.batches(CHUNK)) / n
    centred = ((b.x.to(dtype) - mean) for b in rows.batches(CHUNK))
    covariance = sum(c.mT @ c for c in centred) / n
    return Moments(n, torch.as_tensor(mean), torch.as_tensor(covariance))


def _gaussian(model: LatentVariableModel) -> Gaussian:
    family = model.likelihood.family
    if not isinstance(family, Gaussian):
        raise CompositionError(f"a closed-form step needs a Gaussian likelihood, not {family}", "Use --fit gradient.")
    return family


def _scale(model: LatentVariableModel) -> object:
    """Return the `scale` of a Gaussian likelihood's family; None for other families."""
    family = model.likelihood.family
    return family.scale if isinstance(family, Gaussian) else None


def _is_linear(model: LatentVariableModel, noise: str) -> bool:
    lik, prior = model.likelihood, model.prior
    fixed = isinstance(prior, Unconditional) and not prior.value.requires_grad and not prior.value.any()
    standard = (
        fixed
        and isinstance(prior.family, Gaussian)
        and (isinstance(prior.family.scale, str) or prior.family.scale == 1)
    )
    return isinstance(lik, Linear) and lik.family.scale == noise and standard


@part
@dataclass(frozen=True)
class GaussianMaximum(ClosedStep):
    """The maximum-likelihood Gaussian: mean and (1/N) variance of the sample."""

    reaches_optimum = True

    def suits(self, model: LatentVariableModel) -> bool:
        lik = model.likelihood
        return isinstance(lik, Unconditional) and _scale(model) == "each"

    def __call__(self, model: LatentVariableModel, rows: Rows) -> None:
        m = moments(rows)
        raw = _gaussian(model).raw(m.covariance.diagonal().clamp_min(0).sqrt())
        with torch.no_grad():
            cast(Unconditional, model.likelihood).value.copy_(torch.cat([m.mean, raw]))


@part
@dataclass(frozen=True)
class PrincipalComponents(ClosedStep):
    r"""The global maximum of probabilistic PCA, from the eigenvectors of the covariance.

    .. math:: \sigma^2 = \frac1{D-Z}\sum_{j>Z}\lambda_j, \qquad W = U_Z(\Lambda_Z - \sigma^2 I)^{1/2}

    Source: Tipping & Bishop, "Probabilistic principal component analysis", 1999.
    """

    reaches_optimum = True

    def suits(self, model: LatentVariableModel) -> bool:
        return _is_linear(model, "shared") and model.latent < model.likelihood.family.dim

    def __call__(self, model: LatentVariableModel, rows: Rows) -> None:
        m, z = moments(rows), model.latent
        values, vectors = torch.linalg.eigh(m.covariance)
        discarded = len(values) - z
        noise = values[:discarded].mean().clamp_min(_gaussian(model).smallest ** 2)
        W = vectors[:, discarded:] * (values[discarded:] - noise).clamp_min(0).sqrt()
        cast(Linear, model.likelihood).assign(W.flip(-1), m.mean, noise[None])


@part
@dataclass(frozen=True)
class FactorAlternation(ClosedStep):
    r"""One exact alternation of factor analysis: W given Psi by eigenvectors, then Psi given W.

    .. math:: W = \Psi^{1/2} U_Z(\Lambda_Z - I)_+^{1/2}, \qquad \Psi = \mathrm{diag}(S - W W^\top)

    where U, Lambda are the eigenvectors and values of Psi^-1/2 S Psi^-1/2. Factor analysis has no closed form; each
    half is one. The update of Psi is a fixed-point step (Joreskog, 1967; Barber, "Bayesian Reasoning and
    Machine Learning", 2012, 21.2).
    """

    def suits(self, model: LatentVariableModel) -> bool:
        return _is_linear(model, "feature") and model.latent < model.likelihood.family.dim

    def __call__(self, model: LatentVariableModel, rows: Rows) -> None:
        m, z = moments(rows), model.latent
        variance = m.covariance.diagonal()
        smallest = torch.as_tensor(_gaussian(model).smallest ** 2, dtype=variance.dtype, device=variance.device)
        psi = cast(Linear, model.likelihood).noise_variance.detach().to(variance).minimum(variance).maximum(smallest)
        root = psi.sqrt()
        values, vectors = torch.linalg.eigh(m.covariance / root / root[:, None])
        discarded = len(values) - z
        W = root[:, None] * vectors[:, discarded:] * (values[discarded:] - 1).clamp_min(0).sqrt()
        cast(Linear, model.likelihood).assign(W.flip(-1), m.mean, (variance - W.square().sum(1)).maximum(smallest))


@part
@dataclass(frozen=True)
class FactorEM(ClosedStep):
    r"""One EM iteration of probabilistic PCA or factor analysis: the E-step is the exact posterior.

    With :math:`M = I + W^\top\Psi^{-1}W` and :math:`\beta = M^{-1}W^\top\Psi^{-1}`, the expected statistics are
    :math:`S\beta^\top` and :math:`M^{-1} + \beta S\beta^\top`; their quotient is the new W.

    Source: Rubin & Thayer, "EM algorithms for ML factor analysis", 1982.
    """

    def suits(self, model: LatentVariableModel) -> bool:
        return (
            _is_linear(model, "shared") or _is_linear(model, "feature")
        ) and model.latent < model.likelihood.family.dim

    def __call__(self, model: LatentVariableModel, rows: Rows) -> None:
        m, lik = moments(rows), cast(Linear, model.likelihood)
        W = lik.W.detach().to(m.covariance)
        psi = lik.noise_variance.detach().to(W).expand(len(W))
        weighted = W / psi[:, None]
        inverse = torch.linalg.inv(torch.eye(W.shape[1], dtype=W.dtype, device=W.device) + W.mT @ weighted)
        beta = inverse @ weighted.mT
        cross = m.covariance @ beta.mT
        W = torch.linalg.solve(inverse + beta @ cross, cross, left=False)
        noise = (m.covariance.diagonal() - (W * cross).sum(1)).clamp_min(_gaussian(model).smallest ** 2)
        lik.assign(W, m.mean, noise if len(lik.raw_scale) > 1 else noise.mean()[None])


@part
@dataclass(frozen=True)
class MixtureEM(ClosedStep):
    """One EM iteration of a Gaussian mixture: responsibilities, then weights, means and variances per component.

    Variances are kept at or above the family's floor, so that no component collapses onto a datum; a component without
    data keeps its mean and variance. Of full covariances these are the eigenvalues.

    Source: Dempster, Laird & Rubin, 1977.
    """

    def suits(self, model: LatentVariableModel) -> bool:
        lik, prior = model.likelihood, model.prior
        family = lik.family
        learned = (
            isinstance(prior, Unconditional) and isinstance(prior.family, Categorical) and prior.value.requires_grad
        )
        is_gaussian = isinstance(family, FullGaussian) or (
            isinstance(family, Gaussian) and family.scale in ("each", "one")
        )
        return isinstance(lik, Table) and is_gaussian and learned

    @torch.no_grad()
    def __call__(self, model: LatentVariableModel, rows: Rows) -> None:
        _refuse_missing(rows)
        likelihood = cast(Table, model.likelihood)
        table, family = likelihood.table, cast("Gaussian | FullGaussian", likelihood.family)
        dim, dtype = family.dim, _double(rows.device)
        # second moments about the present means, so that data far from zero cost no digits
        centre = table[:, :dim].to(dtype)
        count = torch.zeros(len(table), dtype=dtype, device=rows.device)
        is_full, first = isinstance(family, FullGaussian), torch.zeros_like(centre)
        second = centre.new_zeros(*centre.shape, dim) if is_full else torch.zeros_like(centre)
        for batch in rows.batches(CHUNK):
            r = _responsibilities(model, batch).to(dtype)  # [B, n]
            x = batch.x.to(dtype)
            count += r.sum(0)
            for j in range(len(table)):
                deviation = x - centre[j]
                first[j] += r[:, j] @ deviation
                second[j] += (r[:, j, None] * deviation).mT @ deviation if is_full else r[:, j] @ deviation.square()
        if not torch.isfinite(second).all():
            raise NumericalError("the moments of EM are not finite", "Look at the data for extreme values.")
        used, share = (count > 1e-8)[:, None], count.clamp_min(1e-8)[:, None]
        shift = first / share
        if is_full:
            spread = second / share[:, None] - shift[:, :, None] * shift[:, None]
            spread = (count[:, None, None] * spread).sum(0) / count.sum() if family.shared else spread
        else:
            spread = second / share - shift.square()
        fresh = component_params(family, centre + shift, spread)
        table.copy_(torch.where(used, fresh[:, : table.shape[1]], table.to(dtype)))
        if likelihood.free is not None:
            likelihood.free.copy_(fresh[0, table.shape[1] :])
        cast(Unconditional, model.prior).value.copy_(count.clamp_min(1e-8).log() - count.sum().log())


def component_params(family: Gaussian | FullGaussian, loc: Tensor, spread: Tensor) -> Tensor:
    """Return the parameters [K, P] of the components of a mixture.

    Args:
        family: of the components.
        loc: [K, D] their means.
        spread: variances, which broadcast to [K, D], or full covariances that broadcast to [K, D, D]; those below the
            family's floor are raised to it.
    """
    least = family.smallest**2
    if isinstance(family, FullGaussian):
        values, vectors = torch.linalg.eigh(spread)
        root = vectors * values.clamp_min(least).sqrt().unsqueeze(-2)
        upper = torch.linalg.qr(root.mT).R  # no Cholesky factor: of collinear columns that of the product may not exist
        factor = upper.mT * upper.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
        return family.raw_factor(loc, factor.expand(*loc.shape, family.dim))
    variance = spread.mean(-1, keepdim=True) if family.scale == "one" else spread
    raw = family.raw(variance.clamp_min(least).sqrt())
    return torch.cat([loc, raw.expand(len(loc), -1)], -1)


def _responsibilities(model: LatentVariableModel, batch: Batch) -> Tensor:
    """Return p(z = j | x) [B, n]; NaN where data are too extreme to score, which a distribution would refuse."""
    states = torch.eye(model.latent, dtype=cast(Table, model.likelihood).table.dtype, device=batch.x.device)
    return model.log_joint(batch, states[:, None]).softmax(0).mT
