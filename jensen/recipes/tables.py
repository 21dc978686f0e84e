"""Models of tables of mixed kinds, with holes: a VAE, and a mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from ..core.random import stream
from ..estimators.enumeration import Enumerate
from ..estimators.hiding import Hiding
from ..estimators.reparameterized import Pathwise
from ..families import Categorical, Columns, Gaussian
from ..guides import Exact, Masked
from ..models.conditionals import Given, Table, Unconditional
from ..models.model import LatentVariableModel
from ..nets import Chain, SkipMLP
from ..objectives import ImportanceWeighted
from ..training import Optimizer, check_clusters, kmeans
from .base import BuiltModel, RecipeContext, recipe
from .columns import column_encoding, column_families, column_rows, parsed_families
from .linear_start import fit_affine, principal_components, start_encoder
from .marginals import fit_clusters, fit_marginals
from .networks import play
from .patterns import with_missing_model

__all__ = ["table", "table_gmm"]

LEAST, LARGEST = 4, 16  # latent features, of which there are as many as columns between these
# rows, below which networks have this width and the bound this many points; small tables gain most from a tight bound
SMALL, MIDDLE, BIG = (2_000, 64, 50), (20_000, 64, 20), (128, 10)
SHARE = 0.8  # the most entries that are hidden from the guide in a row
FEWEST, MOST = 4, 30  # components of a mixture by default
ROWS_EACH = 25  # rows per component by default


def _sizes(
    context: RecipeContext, latent: int | None, hidden: Sequence[int] | None, points: int | None
) -> tuple[int, tuple[int, ...], int]:
    """Return latent features, hidden sizes and points, by default by the numbers of rows and columns."""
    width, k = next(((w, k) for n, w, k in (SMALL, MIDDLE) if len(context.rows) < n), BIG)
    chosen = min(max(LEAST, context.dim), LARGEST) if latent is None else latent
    return chosen, (width, width) if hidden is None else tuple(hidden), k if points is None else points


def _networks(size: int, widths: Sequence[int], family: Columns, context: RecipeContext) -> tuple[Given, Given]:
    """Return p(x | z) and q(z | x), which start near factor analysis of the columns' features."""
    encode = column_encoding(context.schema, context.rows)
    down, up = SkipMLP(encode.outputs, 2 * size, widths), SkipMLP(size, family.size - family.shared, widths)
    p, q = Given(up, family), Given(Chain((encode, down)), Gaussian(size))
    batch = column_rows(context.rows)
    features = encode(batch.x if batch.mask is None else torch.cat([batch.x, batch.mask.to(batch.x) - 1], -1))
    projection, offset, variance = principal_components(features, size)
    start_encoder(down, projection, offset, variance)
    noise = torch.randn(len(batch), size, dtype=torch.float64, generator=stream(context.seed, "linear start"))
    z = features.double() @ projection + offset + variance.sqrt() * noise.to(projection)
    weight, bias = fit_affine(family, batch, z, fit_marginals(family, batch))
    with torch.no_grad():
        up.affine.weight.copy_(weight)
        up.affine.bias.copy_(bias[: len(weight)])
        if p.free is not None:
            p.free.copy_(bias[len(weight) :])
    return p, q


@recipe("table", "Nazabal et al. 2020", title="VAE of mixed columns", most=300, lr=4e-3, missing=True, columns=True)
def table(
    context: RecipeContext,
    *,
    latent: int | None = None,
    hidden: Sequence[int] | None = None,
    points: int | None = None,
    hiding: float = 0.5,
    decay: float = 0.01,
    families: str | None = None,
    missing_model: Literal["random", "self"] = "random",
) -> BuiltModel:
    """A VAE of a table of mixed columns with holes, with a family for each, on the importance-weighted bound."""
    size, widths, k = _sizes(context, latent, hidden, points)
    floor, named, is_self = context.learned_floor(), parsed_families(families), missing_model == "self"
    family = column_families(context.schema, context.rows, floor, named, self_masked=is_self)
    p, q = _networks(size, widths, family, context)
    model = with_missing_model(context, LatentVariableModel(Unconditional(Gaussian(size)), p), missing_model)
    context = replace(context, optimizer=_decayed(context, decay))
    return play(context, model, Masked(q), ImportanceWeighted(), Hiding(Pathwise(k), hiding, SHARE))


def _decayed(context: RecipeContext, decay: float) -> Optimizer:
    """Return the optimiser with weights that decay, where it is Adam; others are as the user chose them."""
    if context.optimizer.name != "Adam" or not decay:
        return context.optimizer
    return replace(context.optimizer, name="AdamW", options=(("weight_decay", decay),))


@recipe(
    "table-gmm",
    "Dempster, Laird & Rubin 1977; McLachlan & Peel 2000",
    title="mixture of mixed columns",
    density=True,
    most=300,
    missing=True,
    columns=True,
)
def table_gmm(
    context: RecipeContext,
    *,
    components: int | None = None,
    families: str | None = None,
    missing_model: Literal["random", "self"] = "random",
) -> BuiltModel:
    """A mixture over a table of mixed columns with holes: exact log p(x) by enumeration, started from clusters."""
    k, named = _components(len(context.rows), components), parsed_families(families)
    is_self, floor = missing_model == "self", context.learned_floor()
    family = column_families(context.schema, context.rows, floor, named, self_masked=is_self)
    prior, p = Unconditional(Categorical(k), learn=True), Table(family, k)
    _start_from_clusters(prior, p, family, context, k)
    model = with_missing_model(context, LatentVariableModel(prior, p), missing_model)
    return play(context, model, Exact(model), ImportanceWeighted(), Enumerate())


def _components(n: int, components: int | None) -> int:
    """Return the number of components for n rows, by default one for some forty of them."""
    k = min(max(FEWEST, n // ROWS_EACH), MOST, n) if components is None else components
    check_clusters(k, n)
    return k


def _start_from_clusters(prior: Unconditional, p: Table, family: Columns, context: RecipeContext, k: int) -> None:
    """Start each component at a cluster of the rows' features, with its share of the rows."""
    batch, encode = column_rows(context.rows), column_encoding(context.schema, context.rows)
    features = encode(batch.x if batch.mask is None else torch.cat([batch.x, batch.mask.to(batch.x) - 1], -1))
    member: Tensor = kmeans(features[:, : -context.dim], k, context.seed)[1].to(batch.x.device)
    start = fit_clusters(family, batch, member, k)
    outputs = family.size - family.shared
    shares = torch.bincount(member, minlength=k).double().clamp_min(0.5).log()
    with torch.no_grad():
        prior.value.copy_(shares - shares.mean())
        p.table.copy_(start[:, :outputs])
        if p.free is not None:
            p.free.copy_(start[0, outputs:])
