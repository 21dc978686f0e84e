"""The decoder as a graph: from z to the mean and the parameters of p(x | z), in the data's own units."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..analysis.latents import decode
from ..core.errors import CompositionError
from ..families import Columns
from ..models.conditionals import Conditional
from .likelihoods import Units, named_parameters
from .means import mean_of
from .ports import Arrays, Graph, Port, Subject

__all__ = ["decoder_graph"]

PROBE = 2  # rows by which the outputs are seen


class Decoder(nn.Module):
    """Points z [B, Z] -> the mean of p(x | z) [B, *shape], then its parameters.

    Args:
        subject: of the export.
    """

    center: Tensor | None
    scale: Tensor | None

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self.subject, self.model = subject, subject.copied()[0]
        for name, values in (("center", subject.preparation.center), ("scale", subject.preparation.scale)):
            if values is None:  # no buffer: torch.export miscounts those that are None
                setattr(self, name, None)
            else:
                self.register_buffer(name, torch.as_tensor(values, dtype=torch.float64))

    @property
    def units(self) -> Units:
        """The data's own unit."""
        return Units(self.center, self.scale)

    def params(self, z: Tensor, label: Tensor | None) -> Tensor:
        """Return the flat parameters [B, P] of p(x | z)."""
        context = None if label is None else self.subject.contexts(label)
        params = self.model.likelihood_params(z, context)
        return params if params.dim() == z.dim() else params.expand(z.shape[0], -1)

    def forward(self, z: Tensor, label: Tensor | None = None) -> tuple[Tensor, ...]:
        likelihood, params = self.model.likelihood, self.params(z, label)
        mean = self.units.own(mean_of(likelihood, params)).unflatten(-1, self.subject.schema.shape)
        return (mean, *(named.value for named in named_parameters(likelihood, params, self.units)))


def _check(likelihood: Conditional) -> None:
    """Refuse a likelihood whose mean is no function of z that a graph can hold.

    Raises:
        CompositionError: x depends on its own other features.
    """
    if not isinstance(likelihood.family, Columns) and not likelihood.has_density:
        return  # its mean is the point that the network gives
    if type(likelihood).__name__ == "ChainRule":
        raise CompositionError(
            f"p(x | z) of this run ({likelihood.phrase}) is a product over positions, each given those before, so its"
            " mean has no graph",
            "Export a run whose likelihood is independent given z, such as --recipe vae.",
        )


def decoder_graph(subject: Subject) -> Graph:
    """Return the graph z -> mean and parameters of p(x | z), in the data's own units.

    Raises:
        CompositionError: the mean has no closed form.
    """
    _check(subject.model.likelihood)
    module, schema, model = Decoder(subject), subject.schema, subject.model
    latent, number = model.latent, subject.number
    probe = torch.zeros(PROBE, latent, dtype=subject.dtype)
    label, port = subject.labels(PROBE), subject.label_port
    with torch.no_grad():
        mean, *_ = module(probe, label)
        named = named_parameters(model.likelihood, module.params(probe, label), module.units)
    what = "means of numbers, and the number of the most probable level, see schema.json"
    meaning = what if schema.columns is not None else "mean of p(x | z), in the data's own units"
    outputs = [Port("mean", _type(mean), schema.shape, meaning, unit=_unit(subject))]
    outputs += [Port(n.name, _type(n.value), tuple(n.value.shape[1:]), n.meaning) for n in named]
    inputs = [Port("z", number, (latent,), "a point of the latent space")]
    inputs += [] if port is None else [port]

    def expected(arrays: Arrays) -> Arrays:
        z, n = torch.from_numpy(arrays["z"]), len(arrays["z"])
        context = None if port is None else subject.contexts(torch.from_numpy(arrays["label"]))
        with torch.no_grad():
            own = decode(model, z, context)
            params = model.likelihood_params(z, context).expand(n, -1)
            others = {named.name: named.value for named in named_parameters(model.likelihood, params, module.units)}
        mean = subject.preparation.invert(own).reshape(n, *schema.shape)
        return {"mean": mean} | {name: value.numpy() for name, value in others.items()}

    return Graph("decoder", "from z to p(x | z)", module, tuple(inputs), tuple(outputs), expected)


def _type(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _unit(subject: Subject) -> Any:
    """Return what errors of means are compared with: the scale that data are divided by, where there is one."""
    scale = subject.preparation.scale
    if scale is None:
        return None
    return np.broadcast_to(scale, (subject.schema.size,)).reshape(subject.schema.shape)
