"""Prior and guide of a diffusion: what a model is made of, beside a likelihood of z_0.

The chain itself, and its sources, are in `diffusion`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from ..core.annotations import Steps
from ..core.batch import Batch
from ..core.errors import CompositionError
from ..core.parts import part
from ..core.precision import applied
from ..core.validation import require_finite, require_integer
from ..distributions.normal_terms import normal_log_prob
from ..families import Gaussian
from ..nets import Net
from .conditionals import Conditional
from .diffusion import Diffusion
from .guide import Guide
from .walks import Walk, Walked

__all__ = ["Diffused", "DiffusedDistribution", "DiffusionPrior", "NoisedWalk"]

AT_ONCE = 512  # points that go down together


@dataclass(frozen=True)
class NoisedWalk(Walk):
    """A walk through a diffusion, at one time for each point.

    Attributes:
        error: [K, B] half the squared error of the noise at that time.
    """

    error: Tensor


class DiffusedDistribution(Walked):
    """q(z_0 | x), with the rest of the chain above it: its walk has an estimate of the rate of all levels.

    Args:
        diffusion: the chain.
        x: [B, D] what it starts from.
        context: [B, C], of a chain with labels.
    """

    has_rsample = True
    arg_constraints: dict[str, constraints.Constraint] = {}
    support = constraints.real_vector  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def __init__(self, diffusion: Diffusion, x: Tensor, context: Tensor | None = None) -> None:
        self.diffusion, self.x, self.context = diffusion, x, context
        self.loc, self.scale = diffusion.first(x)
        self.last: Walk | None = None
        super().__init__(x.shape[:-1], x.shape[-1:], validate_args=False)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        z = self.loc + self.scale * torch.randn(
            *sample_shape, *self.loc.shape, dtype=self.x.dtype, device=self.x.device
        )
        self.last = self._walk(z) if z.dim() == 3 else None
        return z

    def _walk(self, z: Tensor) -> Walk:
        """Return the walk at z [K, B, D], with a new estimate of the rate."""
        rate, error = self.diffusion.rate_and_error(self.x.expand_as(z), self.context)
        log_prob = self.log_prob(z)[..., None]
        return NoisedWalk(z, log_prob, log_prob - rate[..., None], rate[..., None], z, error)

    def walk_at(self, z: Tensor) -> Walk:
        made = self.last
        if made is None or made.z is not z or (torch.is_grad_enabled() and not made.rate.requires_grad):
            return self._walk(z)
        return made

    def is_of(self, prior: Conditional) -> bool:
        return isinstance(prior, DiffusionPrior) and prior.diffusion is self.diffusion

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log q(z_0 | x) [...]."""
        return normal_log_prob(value, self.loc, self.scale)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale.square()


class _Chain(Distribution):
    """p(z_0) of a diffusion, which is sampled and not scored."""

    arg_constraints: dict[str, constraints.Constraint] = {}
    support = constraints.real_vector  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def __init__(self, prior: DiffusionPrior, context: Tensor | None, batch: Sequence[int] = ()) -> None:
        self.prior, self.context = prior, context
        super().__init__(torch.Size(batch), torch.Size((prior.diffusion.dim,)), validate_args=False)

    def expand(self, batch_shape: Sequence[int], _instance: None = None) -> _Chain:
        return _Chain(self.prior, self.context, batch_shape)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        prior, chain = self.prior, self.prior.diffusion
        shape = (*sample_shape, *self._batch_shape)
        like = next((p for p in chain.parameters() if p.is_floating_point()), torch.zeros(()))
        top = torch.randn(*shape, chain.dim, dtype=like.dtype, device=like.device).reshape(-1, chain.dim)
        contexts = None if self.context is None else self.context.expand(*shape, -1).reshape(len(top), -1)
        how: dict[str, Any] = {"noise": prior.noise, "guidance": prior.guidance}
        z = torch.empty_like(top)
        for start in range(0, len(top), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            how["context"] = None if contexts is None else contexts[part]
            how["watch"] = self._within(start, len(top))
            z[part] = chain.descend(top[part], prior.steps, **how)
        return z.reshape(*shape, chain.dim)

    def _within(self, start: int, n: int) -> Callable[[float], object] | None:
        """Return the progress callback of the points from `start` on, of n."""
        watch, share = self.prior.watch, min(AT_ONCE, n - start)
        return None if watch is None else lambda done: watch((start + done * share) / n)


@part
class DiffusionPrior(Conditional):
    """p(z_0) of a diffusion: the chain from z_1 ~ N(0, I) down.

    How samples are drawn is no part of the bound, which is that of all levels without guidance.

    Args:
        diffusion: the chain, which the guide shares.
        steps, noise, guidance: of samples, see `Diffusion.descend`.

    Attributes:
        watch: progress callback of a descent, called with the fraction done; no part of the model.
    """

    def __init__(
        self, diffusion: Diffusion, steps: Steps | None = None, noise: float = 1.0, guidance: float = 1.0
    ) -> None:
        super().__init__()
        if steps is not None:
            require_integer(steps=steps)
        require_finite(0, noise=noise, guidance=guidance)
        self.diffusion, self.family = diffusion, Gaussian(diffusion.dim)
        self.steps, self.noise, self.guidance = steps, noise, guidance
        self.watch: Callable[[float], object] | None = None

    @property
    def has_density(self) -> bool:
        return False

    def params(self, c: Tensor | None = None) -> Tensor:
        raise CompositionError("a diffusion is no single Gaussian: it has no flat parameters", "Use DiffusionPrior().")

    def forward(self, c: Tensor | None = None) -> Distribution:
        context = c if self.diffusion.context else None
        return _Chain(self, context, () if context is None else context.shape[:-1])

    def log_prob(self, y: Tensor, c: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Refuse: log p(z_0) has no closed form.

        Raises:
            CompositionError: always.
        """
        raise CompositionError(
            "log p(z_0) of a diffusion has no closed form: its chain is scored with its guide",
            "Use the guide Diffused of the same chain.",
        )

    @property
    def phrase(self) -> str:
        return self.diffusion.phrase


@part
class Diffused(Guide):
    r"""q(z_0 | x) = N(alpha_0 c(x), sigma_0^2 I), and the fixed chain above it: nothing in it is learned by itself.

    Args:
        diffusion: the chain, which the prior shares.
        code: c, [..., D of the data] -> [..., D of the chain]; the identity unless given.
    """

    def __init__(self, diffusion: Diffusion, code: nn.Module | None = None) -> None:
        super().__init__()
        self.diffusion, self.code = diffusion, code

    def forward(self, batch: Batch) -> Distribution:
        if batch.mask is not None and not bool(batch.mask.all()):
            raise CompositionError(
                "noise is added to all of a datum, and entries of these data are missing",
                "Give complete rows; or train a model of missing entries: --recipe table, or miwae.",
            )
        x = batch.x if self.code is None else applied(self.code, batch.x)
        if self.diffusion.context and batch.context is None:
            raise CompositionError("this chain needs a context, and none was given", "Pass Batch(x, context=...).")
        return DiffusedDistribution(self.diffusion, x, batch.context if self.diffusion.context else None)

    @property
    def samples_rate(self) -> bool:
        return True

    @property
    def phrase(self) -> str:
        code = "x" if self.code is None else f"{self.code.phrase if isinstance(self.code, Net) else 'code'} of x"
        return f"noise added to {code}"
