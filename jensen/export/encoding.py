"""The encoder as a graph: from data in their own units to q(z | x), or to points of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
)

from ..core.batch import Batch
from ..core.errors import CompositionError
from ..distributions import OneHots, OneState, Point
from ..distributions.moments import EstimatedMoments
from ..guides.quantized import Quantized
from ..models.codebooks import Codebook
from ..models.guide import Guide
from ..models.ladder import LadderDistribution, LadderGuide
from .ports import Arrays, Graph, Port, Subject
from .preparing import Prepared, input_ports, prepared_batch

__all__ = ["encoder_graph", "sampler_graph"]

PROBE = 2  # rows by which the kind of q(z | x) is seen


@dataclass(frozen=True)
class _Kind:
    """A kind of q(z | x).

    Attributes:
        outputs: names of what the encoder gives.
        samples: whether a point of it is a function of normal numbers.
        are_classes: whether it is of classes, and its means are their probabilities.
    """

    outputs: tuple[str, ...]
    samples: bool = False
    are_classes: bool = False


def _kind(q: Distribution) -> _Kind | None:
    """Return the kind of q(z | x); None of one without moments in closed form."""
    if isinstance(q, OneState):
        return _Kind(("indices", "z"))
    if isinstance(q, LadderDistribution) or (isinstance(q, Independent) and isinstance(q.base_dist, Normal)):
        return _Kind(("mean", "scale"), samples=True)
    if isinstance(q, MultivariateNormal | LowRankMultivariateNormal):
        return _Kind(("mean", "scale"))
    if isinstance(q, Point):
        return _Kind(("mean",))
    if isinstance(q, OneHotCategorical | OneHots):
        return _Kind(("mean",), are_classes=True)
    return None


def _scale(q: Distribution) -> Tensor:
    """Return the standard deviations [B, Z]: of a ladder, of each group given the means above."""
    return q.scale if isinstance(q, LadderDistribution) else q.variance.sqrt()


def _point(q: Distribution, noise: Tensor) -> Tensor:
    """Return the point of q [B, Z] at normal numbers [B, Z]."""
    if not isinstance(q, LadderDistribution):
        return q.mean + _scale(q) * noise
    ladder, points = q.ladder, []
    h = ladder.start.expand(noise.shape[0], -1)
    for g, (rung, own) in enumerate(zip(ladder.way, noise.split(ladder.sizes, -1), strict=True)):
        params = rung.prior(h)
        params = params if q.added is None else params + q.added.added_params(g, h, q.features)
        loc, scale = rung.family.loc_scale(params)
        points.append(loc + scale * own)
        h = rung.after(h, points[-1])
    return torch.cat(points, -1)


class AffinePosterior(nn.Module):
    """The exact posterior of a linear model with Gaussian noise: its mean is affine in x, its scale the same for all.

    Args:
        guide: that is exact.
        size: D.
        dtype: of the model.
    """

    slope: Tensor
    start: Tensor
    deviation: Tensor

    def __init__(self, guide: Guide, size: int, dtype: torch.dtype) -> None:
        super().__init__()
        with torch.no_grad():
            q = guide(Batch(torch.cat([torch.zeros(1, size, dtype=dtype), torch.eye(size, dtype=dtype)])))
            mean, scale = q.mean, q.stddev
        self.register_buffer("start", mean[0].clone())
        self.register_buffer("slope", (mean[1:] - mean[0]).clone())
        self.register_buffer("deviation", scale.expand_as(mean)[0].clone())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean = x @ self.slope + self.start
        return mean, self.deviation + torch.zeros_like(mean)


class Encoder(nn.Module):
    """Data in their own units -> the moments of q(z | x), or its codes.

    Args:
        subject: of the export.
        kind: of its q(z | x).
    """

    def __init__(self, subject: Subject, kind: _Kind) -> None:
        super().__init__()
        self.prepared, self.guide, self.kind = Prepared(subject), subject.copied()[1], kind
        self.affine = None
        if kind.outputs == ("mean", "scale") and self.guide.is_exact and not subject.sees_holes:
            self.affine = AffinePosterior(self.guide, subject.schema.size, subject.dtype)

    def forward(
        self, x: Tensor, uniform: Tensor | None = None, mask: Tensor | None = None, label: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        batch = self.prepared(x, uniform, mask, label)
        if isinstance(self.guide, Quantized):
            return _codes(self.guide, batch)
        if self.affine is not None:
            return self.affine(batch.x)
        q = self.guide(batch)
        return (q.mean, _scale(q)) if "scale" in self.kind.outputs else (q.mean,)


def _codes(guide: Quantized, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the indices [B, G] of the codes and their vectors [B, Z], for any number of rows at once."""
    codes = guide.codes
    h = codes.bounded(guide.net(batch.x).unflatten(-1, (guide.groups, codes.width)))
    index = codes.closest(h.reshape(-1, codes.width)) if isinstance(codes, Codebook) else codes.nearest(h)
    index = index.reshape(-1, guide.groups)
    return index, codes.flat_vectors(index).to(h)


class Sampler(nn.Module):
    """Data in their own units, and normal numbers -> a point of q(z | x)."""

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self.prepared, self.guide = Prepared(subject), subject.copied()[1]

    def forward(
        self,
        x: Tensor,
        noise: Tensor,
        uniform: Tensor | None = None,
        mask: Tensor | None = None,
        label: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        return (_point(self.guide(self.prepared(x, uniform, mask, label)), noise),)


def _checked_kind(subject: Subject) -> _Kind:
    """Return the kind of q(z | x).

    Raises:
        CompositionError: the guide is not a function of x that a graph can hold.
    """
    guide, model, remedy = subject.guide, subject.model, "Recipes such as vae, vampprior, ladder and table can be."
    if model.latent == 0:
        raise CompositionError("a model without latent features has no encoder to export", remedy)
    if not guide.infers:
        raise CompositionError("this model has no encoder: its points z come from the prior alone", remedy)
    if guide.takes_steps:
        raise CompositionError(
            "q(z | x) of this run is fitted to each row by gradient steps, which a graph cannot take", remedy
        )
    d = subject.schema.size
    mask = torch.ones(PROBE, d, dtype=torch.bool) if subject.sees_holes else None
    label = subject.labels(PROBE)
    context = None if label is None else subject.contexts(label)
    fill = Prepared(subject).fill
    with torch.no_grad():
        q = guide(Batch(fill.expand(PROBE, d), mask, context))
    kind = _kind(q)
    if kind is None:
        why = (
            "has no mean and scale in closed form"
            if isinstance(q, EstimatedMoments)
            else "is no Gaussian, no classes and no code"
        )
        raise CompositionError(f"q(z | x) of this run ({guide.phrase}) {why}, so it has no graph", remedy)
    return kind


def encoder_graph(subject: Subject) -> Graph:
    """Return the graph x -> mean and scale of q(z | x); indices and vectors of codes; a point of an autoencoder.

    Raises:
        CompositionError: the guide is not a function of x that a graph can hold.
    """
    kind, latent = _checked_kind(subject), subject.model.latent
    if "indices" in kind.outputs and isinstance(subject.guide, Quantized):
        groups, n = subject.guide.groups, subject.guide.codes.n
        outputs = (
            Port("indices", "int64", (groups,), f"numbers of the codes, 0 to {n - 1}"),
            Port("z", subject.number, (latent,), "the vectors of these codes, which the decoder takes"),
        )
    else:
        given = (
            "of each group given the means above, from the top down"
            if isinstance(subject.guide, LadderGuide)
            else "of q(z | x)"
        )
        point = "the code z" if kind.outputs == ("mean",) else f"means {given}"
        point = "probabilities of the classes that z is of" if kind.are_classes else point
        outputs = (
            Port("mean", subject.number, (latent,), point, unit="scale" if "scale" in kind.outputs else None),
            Port("scale", subject.number, (latent,), f"standard deviations {given}"),
        )[: len(kind.outputs)]

    def expected(arrays: Arrays) -> Arrays:
        with torch.no_grad():
            q = subject.guide(prepared_batch(subject, arrays))
            made = {"mean": q.mean, "z": q.mean}
            made |= {"scale": _scale(q)} if "scale" in kind.outputs else {}
            made |= {"indices": q.codes} if isinstance(q, OneState) else {}
        return {name: made[name].expand(len(arrays["x"]), -1).numpy() for name in kind.outputs}

    return Graph("encoder", "from x to q(z | x)", Encoder(subject, kind), input_ports(subject), outputs, expected)


def sampler_graph(subject: Subject) -> Graph | None:
    """Return the graph of a point of q(z | x) from x and normal numbers; None where it is no function of these."""
    kind, latent = _checked_kind(subject), subject.model.latent
    if not kind.samples:
        return None

    def expected(arrays: Arrays) -> Arrays:
        with torch.no_grad():
            q = subject.guide(prepared_batch(subject, arrays))
            z = _point(q, torch.from_numpy(arrays["noise"]))
            if isinstance(q, LadderDistribution):  # by the mean, and the noise, that a walk along these points has
                return {"z": z.numpy()}
            return {"z": (q.mean + q.stddev * torch.from_numpy(arrays["noise"])).numpy()}

    x, *others = input_ports(subject)
    noise = Port("noise", subject.number, (latent,), "random numbers, normal with mean 0 and standard deviation 1")
    outputs = (Port("z", subject.number, (latent,), "a point drawn from q(z | x)"),)
    return Graph(
        "sampler", "from x and noise to a point of q(z | x)", Sampler(subject), (x, noise, *others), outputs, expected
    )
