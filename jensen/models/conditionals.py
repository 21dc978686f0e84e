"""Conditionals: one noun in three roles (prior, likelihood, guide), each a net followed by a family."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..core.batch import Batch
from ..core.errors import CompositionError
from ..core.parts import part
from ..core.precision import applied
from ..core.shares import mean_of_batch
from ..core.validation import require_integer
from ..families import BOUND, FLOOR, Family, Gaussian, positive
from ..nets import MLP, ConvDecoder, Net

__all__ = ["Conditional", "Given", "Linear", "Table", "Unconditional"]

MEMORY = 0.01  # the weight of one batch in a running average


def _check_learned(family: Family, where: str) -> None:
    if family.profiled:
        raise CompositionError(
            f"a {where} cannot set a scale to its optimum while it is trained",
            'Use Given(net, ...), or scale="shared".',
        )


class Conditional(nn.Module, ABC):
    """p(y | c): parameters from a context, then a family.

    Attributes:
        family: of the parameters.
    """

    family: Family

    @abstractmethod
    def params(self, c: Tensor | None = None) -> Tensor:
        """Return the family's parameters [..., P] at the context c [..., C]."""

    @property
    @abstractmethod
    def phrase(self) -> str:
        """A short description, for the sentence that describes a model."""

    @property
    def has_density(self) -> bool:
        """True if y can be scored (an implicit likelihood only samples)."""
        return self.family.has_density

    @property
    def sees_context(self) -> bool:
        """True if a likelihood takes the batch's context after z: c = [z, context]."""
        return False

    @property
    def is_constant(self) -> bool:
        """True if p(y | c) does not depend on the context."""
        return False

    @property
    def models_mask(self) -> bool:
        """True if `scored` is of which entries are observed too (see `SelfMasked`)."""
        return False

    @property
    def is_quadrature(self) -> bool:
        """True if `scored` holds integrals that are computed by nodes (see `SelfMasked`)."""
        return False

    @property
    def samples_density(self) -> bool:
        """True if log p(y | c) is an estimate without bias: its mean is right, and importance weights are not."""
        return False

    @property
    def is_differentiable(self) -> bool:
        """True if log p(y | c) has gradients by y and by what is learned."""
        return True

    def at(self, params: Tensor) -> Distribution:
        """Return p(y | c) with these parameters [..., P] of `params(c)`."""
        return self.family(params)

    def missing(self, params: Tensor, hidden: Tensor | None = None) -> Distribution:
        """Return the distribution of y where it is missing, or `hidden` [..., D] on purpose (see `Batch`): p(y | c),
        unless that depends on y itself."""
        return self.at(params)

    def missing_summary(self, params: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Return the family's summary [..., S] of y where it is missing, or hidden."""
        return self.family.summary(params)

    def draw_mask(self, y: Tensor) -> Tensor | None:
        """Draw which entries of y [..., D] are observed; None unless `models_mask`."""
        return None

    def scored(self, params: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return log p(y | c) [...] in nats, with these parameters [..., P] of `params(c)`."""
        return self.family.log_prob(params, y, mask)

    def scored_batch(self, params: Tensor, batch: Batch) -> Tensor:
        """Return `scored` of a batch; it differs where entries are hidden on purpose and their pattern is modelled."""
        return self.scored(params, batch.x, batch.mask)

    def forward(self, c: Tensor | None = None) -> Distribution:
        return self.at(self.params(c))

    def adapted(self, params: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the parameters that score y in training: these, unless some are profiled out (see `Given`)."""
        return params

    def log_prob(self, y: Tensor, c: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Return log p(y | c) [...] in nats, without building the distribution."""
        return self.scored(self.params(c), y, mask)


@part
class Given(Conditional):
    """p(y | c) = family(net(c)); parameters that the family shares across contexts are learned separately.

    The scale of a Gaussian of optimal scale is in closed form instead. While training, each batch is scored with the
    scale that is best for it, the root of its mean squared error; there the gradient by the scale is zero, so that the
    gradient of the net is that of the profiled likelihood. The running average of the mean squared error is kept, over
    the last hundred batches or so, and outside training it is the scale for all data: p(y | c) is one fixed density.

    Args:
        net: [..., C] -> [..., P - shared].
        family: P parameters.
        context: as a likelihood, whether the net takes [z, context] and not z alone.

    Example:
        >>> Given(nn.Linear(3, 4), Gaussian(2))(torch.zeros(5, 3)).batch_shape
        torch.Size([5])
    """

    free: Tensor | None
    batches: Tensor

    def __init__(self, net: nn.Module, family: Family, context: bool = False) -> None:
        super().__init__()
        self.net, self.family, self.context = net, family, context
        if family.profiled:
            self.register_buffer("free", torch.zeros(family.shared))
            self.register_buffer("batches", torch.zeros(()))
            self.training = False  # the scale changes in training alone, and a trainer sets the mode
        else:
            self.free = nn.Parameter(torch.zeros(family.shared)) if family.shared else None

    @classmethod
    def mlp(cls, inputs: int, hidden: Sequence[int], family: Family, activation: str = "silu") -> Given:
        """Return family(MLP(c)): a multilayer perceptron from c [..., C] to the family's parameters.

        Args:
            inputs: C.
            hidden: sizes of the hidden layers.
            family: of y.
            activation: by name.

        Example:
            >>> Given.mlp(16, (200,), Gaussian(3)).phrase
            'Gaussian(3) by MLP 16-200-6'
        """
        return cls(MLP(inputs, family.size - family.shared, tuple(hidden), activation), family)

    @classmethod
    def conv(
        cls, inputs: int, shape: tuple[int, int, int], family: Family, width: int = 32, activation: str = "silu"
    ) -> Given:
        """Return family(ConvDecoder(c)): upsampling convolutions from c [..., C] to parameters of each pixel.

        Args:
            inputs: C.
            shape: (H, W, channels) of the images y.
            family: of the flat images [..., H * W * channels].
            width: channels of the convolutions at the finest level.
            activation: by name.

        Raises:
            CompositionError: the family's parameters are not a whole number of planes of the image.

        Example:
            >>> Given.conv(2, (4, 4, 1), Gaussian(16), width=8)(torch.zeros(5, 2)).event_shape
            torch.Size([16])
        """
        outputs, size = family.size - family.shared, math.prod(shape)
        if outputs % size:
            what = f"{family.phrase} has {outputs} parameters, which are no whole number of planes of {shape}"
            raise CompositionError(what, f"Give a family of {size} features.")
        return cls(ConvDecoder(inputs, shape, outputs // size, width, activation), family)

    def params(self, c: Tensor | None = None) -> Tensor:
        out = applied(self.net, c)
        return out if self.free is None else torch.cat([out, self.free.expand(*out.shape[:-1], -1)], -1)

    def adapted(self, params: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        family = self.family
        if not (isinstance(family, Gaussian) and family.profiled and self.training and torch.is_grad_enabled()):
            return params
        free = torch.as_tensor(self.free)
        with torch.no_grad():
            best = mean_of_batch(family.mean_square(params, y, mask), len(y) if mask is None else mask.sum())
            kept = positive(free, family.floor).square()
            kept = torch.lerp(kept, best, (self.batches + 1).reciprocal().clamp_min(MEMORY))
            self.batches.add_(1)
            free.copy_(family.raw(kept.sqrt()))
            raw = family.raw(best.sqrt())
        return torch.cat([params[..., :-1], raw.expand(*params.shape[:-1], -1)], -1)

    @property
    def sees_context(self) -> bool:
        return self.context

    @property
    def phrase(self) -> str:
        context = " that sees the context" if self.context else ""
        net = self.net.phrase if isinstance(self.net, Net) else type(self.net).__name__
        return f"{self.family.phrase} by {net}{context}"


@part
class Unconditional(Conditional):
    """p(y) = family(params), independent of the context; zero parameters are the standard member.

    Args:
        family: P parameters.
        learn: whether the parameters are trained.
    """

    def __init__(self, family: Family, learn: bool = False) -> None:
        super().__init__()
        _check_learned(family, "Unconditional")
        self.family = family
        self.value = nn.Parameter(torch.zeros(family.size), requires_grad=learn)

    @property
    def is_constant(self) -> bool:
        return True

    def params(self, c: Tensor | None = None) -> Tensor:
        return self.value

    @property
    def phrase(self) -> str:
        return f"{'learned ' if self.value.requires_grad else ''}{self.family.phrase}"


@part
class Table(Conditional):
    """p(y | z) = family(z @ table): one row of parameters for each class of a one-hot z.

    Args:
        family: P parameters.
        classes: rows.
    """

    def __init__(self, family: Family, classes: int) -> None:
        super().__init__()
        _check_learned(family, "Table")
        require_integer(classes=classes)
        self.family = family
        self.table = nn.Parameter(torch.randn(classes, family.size - family.shared))
        self.free = nn.Parameter(torch.zeros(family.shared)) if family.shared else None

    def params(self, c: Tensor | None = None) -> Tensor:
        if c is None:
            raise CompositionError("a Table has one row per class, and no class was given", "Pass a one-hot z.")
        out = c @ self.table
        return out if self.free is None else torch.cat([out, self.free.expand(*out.shape[:-1], -1)], -1)

    def rows(self, start: int = 0, stop: int | None = None) -> Tensor:
        """Return the parameters [n, P] of the classes from `start` to `stop`, without a one-hot of each."""
        out = self.table[start:stop]
        return out if self.free is None else torch.cat([out, self.free.expand(len(out), -1)], -1)

    @property
    def phrase(self) -> str:
        return f"{self.family.phrase} from a table of {len(self.table)} rows"


@part
class Linear(Conditional):
    r"""p(x | z) = N(W z + b, Psi), with Psi = s^2 I (probabilistic PCA) or diagonal (factor analysis).

    Args:
        latent: Z.
        dim: D.
        noise: "shared" for one learned scale, "feature" for one per data feature.
        floor: the lower limit of the learned scale.

    Source: Tipping & Bishop, "Probabilistic principal component analysis", 1999.
    """

    family: Gaussian  # pyright: ignore[reportIncompatibleUnannotatedOverride]

    def __init__(
        self, latent: int, dim: int, noise: Literal["shared", "feature"] = "shared", floor: float = FLOOR
    ) -> None:
        super().__init__()
        require_integer(0, latent=latent)
        require_integer(dim=dim)
        self.family = Gaussian(dim, noise, floor)
        self.W = nn.Parameter(torch.randn(dim, latent) / max(latent, 1) ** 0.5)
        self.b = nn.Parameter(torch.zeros(dim))
        self.raw_scale = nn.Parameter(torch.zeros(self.family.shared))

    @property
    def noise_variance(self) -> Tensor:
        """The diagonal of Psi, [1] or [D]."""
        return positive(self.raw_scale, self.family.floor).square()

    def assign(self, W: Tensor, b: Tensor, noise_variance: Tensor) -> None:
        """Set the parameters in place: W [D, Z], b [D], noise_variance [1] or [D]."""
        with torch.no_grad():
            self.W.copy_(W)
            self.b.copy_(b.clamp(-BOUND, BOUND))
            self.raw_scale.copy_(self.family.raw(noise_variance.sqrt()).expand_as(self.raw_scale))

    def params(self, c: Tensor | None = None) -> Tensor:
        loc = nn.functional.linear(c if c is not None else self.b.new_zeros(self.W.shape[1]), self.W, self.b)
        return torch.cat([loc, self.raw_scale.expand(*loc.shape[:-1], -1)], -1)

    @property
    def phrase(self) -> str:
        return f"{self.family.phrase} about a linear map"
