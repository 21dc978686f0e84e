"""Priors richer than one family at fixed parameters: the aggregate of a guide, and a flow."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal
from torch.utils.checkpoint import checkpoint

from ..core.batch import Batch
from ..core.errors import CompositionError, UsageError
from ..core.parts import part
from ..core.validation import require_integer
from ..distributions import Flowed
from ..distributions.numbers import LOG_2PI
from ..families import BOUND, Gaussian
from ..flows import Flow
from .conditionals import Conditional
from .guide import Guide

__all__ = ["FlowPrior", "VampPrior"]

NUMBERS = 1 << 22  # densities of points under the components, formed at once


@part
class VampPrior(Conditional):
    r"""The guide's average over n learned pseudo-inputs: :math:`p(z) = \frac1n \sum_j q(z \mid u_j)`.

    Under a diagonal Gaussian guide the densities of all points under all components come from two matrix products, in
    double precision (the squares that they expand would cancel in single precision), and are the mixture's exactly.
    Other guides are evaluated in pieces.

    The prior holds the guide: they share their weights, which are recorded once.

    Args:
        guide: q; it scores any point.
        dim: D.
        n: pseudo-inputs. They start as independent standard normal numbers; `start_from` sets them to data.
        weighted: learn the components' weights too, rather than 1/n.
        low, high: the range of pseudo-inputs, such as 0 and 1 for pixels; None is no limit.

    Source: Tomczak & Welling, "VAE with a VampPrior", 2018.

    Raises:
        UsageError: a size below 1, or an empty range.
        CompositionError: the guide is exact, discrete, a point mass, cannot score points that it did not draw, or does
            not take data of D features.

    Example:
        >>> from jensen.models.conditionals import Given
        >>> from jensen.guides import Amortized
        >>> prior = VampPrior(Amortized(Given(nn.Linear(5, 4), Gaussian(2))), dim=5, n=10)
        >>> prior.log_prob(torch.zeros(3, 2)).shape
        torch.Size([3])
    """

    def __init__(
        self,
        guide: Guide,
        dim: int,
        n: int = 500,
        weighted: bool = False,
        low: float | None = None,
        high: float | None = None,
    ) -> None:
        super().__init__()
        require_integer(n=n, dim=dim)
        least, most = (-math.inf if low is None else low), (math.inf if high is None else high)
        if not least < most:
            raise UsageError(f"low must be below high, got {low} and {high}", "Give low < high, or None.")
        if guide.is_exact:
            raise CompositionError(
                "the exact posterior depends on the prior, and a VampPrior on the guide: neither can come first",
                "Use Amortized(...) as the guide.",
            )
        if not (guide.has_density and guide.scores_any_point):
            raise CompositionError(
                f"a VampPrior needs the guide's density at any point, and {guide.phrase} has none there",
                "Use a Gaussian guide, or a flow with a cheap inverse (AffineCoupling, SplineCoupling).",
            )
        self.guide, self.n, self.low, self.high = guide, n, low, high
        self.inputs = nn.Parameter(torch.randn(n, dim))
        self.weights = nn.Parameter(torch.zeros(n), requires_grad=weighted)
        self.family = Gaussian(self._latent(dim))

    def _latent(self, dim: int) -> int:
        like = next(self.guide.parameters(), self.inputs)
        try:
            with torch.no_grad():
                q = self.guide(Batch(like.new_zeros(2, dim)))
        except RuntimeError as error:  # from the guide's net, which alone knows its inputs
            raise CompositionError(
                f"{self.guide.phrase} cannot read pseudo-inputs of {dim} features ({str(error).splitlines()[0]})",
                "Give dim=D, the features of a datum that the guide's net takes.",
            ) from error
        if not q.has_rsample and not isinstance(q, MixtureSameFamily):
            raise CompositionError(
                f"a VampPrior is for real latents, not for {self.guide.phrase}",
                "Use Unconditional(Categorical(n), learn=True).",
            )
        return q.event_shape[0]

    def start_from(self, rows: Tensor) -> None:
        """Set the pseudo-inputs to these data [M, D] in place, repeated if there are fewer than n."""
        index = torch.arange(self.n, device=rows.device) % len(rows)
        with torch.no_grad():
            self.inputs.copy_(rows[index])

    @property
    def components(self) -> Distribution:
        """The guide q(z | u_j) at the pseudo-inputs, batch shape [n]."""
        low, high = (-BOUND if self.low is None else self.low), (BOUND if self.high is None else self.high)
        return self.guide(Batch(self.inputs.clamp(low, high)))

    def params(self, c: Tensor | None = None) -> Tensor:
        raise CompositionError("a VampPrior has no flat parameters", "Use VampPrior.log_prob and VampPrior().")

    def forward(self, c: Tensor | None = None) -> Distribution:
        weights = Categorical(logits=self.weights, validate_args=False)
        return MixtureSameFamily(weights, self.components, validate_args=False)

    def log_prob(self, y: Tensor, c: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            raise CompositionError("a latent cannot be observed in part", "Leave the mask out.")
        q, log_weights = self.components, self.weights.log_softmax(-1)
        flat = y.reshape(-1, y.shape[-1])
        if isinstance(q, Independent) and isinstance(q.base_dist, Normal):
            each, wide = _Products(q.base_dist, log_weights), self.n
        else:

            def each(z: Tensor) -> Tensor:
                return torch.logsumexp(q.log_prob(z[:, None]) + log_weights, -1)

            wide = self.n * max(y.shape[-1], 1)
        pieces = flat.split(max(NUMBERS // wide, 1))
        if len(pieces) > 1 and torch.is_grad_enabled():  # activations of a piece are recomputed in the backward pass
            log_probs = [checkpoint(each, piece, use_reentrant=False) for piece in pieces]
        else:
            log_probs = [each(piece) for piece in pieces]
        return torch.cat(log_probs).reshape(y.shape[:-1])  # pyright: ignore[reportCallIssue, reportArgumentType]

    @property
    def phrase(self) -> str:
        return f"VampPrior of {self.n} pseudo-inputs"


class _Products:
    r"""The log-density log sum_j pi_j N(z; mu_j, sigma_j^2) [M] at points [M, Z], by matrix products.

    The products are of z^2 with 1/sigma^2 and of z with mu/sigma^2, about the components' common centre.
    """

    def __init__(self, normal: Normal, log_weights: Tensor) -> None:
        loc, self.dtype = normal.loc.double(), normal.loc.dtype
        self.centre = loc.detach().mean(0)
        loc, scale = loc - self.centre, normal.scale.double()
        self.precision = scale.reciprocal().square()
        self.tilt = loc * self.precision
        logs = scale.log().sum(-1) + 0.5 * loc.shape[-1] * LOG_2PI
        self.constant = log_weights.double() - logs - 0.5 * (loc * self.tilt).sum(-1)

    def __call__(self, z: Tensor) -> Tensor:
        z = z.double() - self.centre
        each = z @ self.tilt.T - 0.5 * (z.square() @ self.precision.T) + self.constant
        return torch.logsumexp(each, -1).to(self.dtype)


@part
class FlowPrior(Conditional):
    r"""z = f(u), u from a simpler prior: :math:`\log p(z) = \log p_0(f^{-1}(z)) + \log|\det \partial u/\partial z|`.

    Before training the flow is the identity, and this prior the simpler one.

    Args:
        base: p_0, over Z features.
        flow: with a cheap inverse, since the prior scores the guide's points.

    Source: Dinh, Sohl-Dickstein & Bengio, "Density estimation using real NVP", 2017; Chen et al., "Variational lossy
    autoencoder", 2017.

    Raises:
        CompositionError: the flow has no cheap inverse, a context, or another number of features.

    Example:
        >>> from jensen.models.conditionals import Unconditional
        >>> from jensen.flows import SplineCoupling
        >>> FlowPrior(Unconditional(Gaussian(2)), SplineCoupling(2)).log_prob(torch.zeros(3, 2)).shape
        torch.Size([3])
    """

    def __init__(self, base: Conditional, flow: Flow) -> None:
        super().__init__()
        if not flow.invertible:
            raise CompositionError(
                f"a prior scores the guide's points, and {flow.phrase} has no cheap inverse",
                "Use a coupling flow: AffineCoupling, SplineCoupling.",
            )
        if flow.context or flow.dim != base.family.dim:
            raise CompositionError(
                f"a flow over {flow.dim} features with a context of {flow.context} cannot follow {base.phrase}",
                "Give it the prior's number of features, and no context.",
            )
        self.base, self.flow = base, flow
        self.family = Gaussian(flow.dim)

    def params(self, c: Tensor | None = None) -> Tensor:
        raise CompositionError("a flow has no flat parameters", "Use FlowPrior.log_prob and FlowPrior().")

    def forward(self, c: Tensor | None = None) -> Distribution:
        return Flowed(self.base(c), self.flow, self.flow.inverse)

    def log_prob(self, y: Tensor, c: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            raise CompositionError("a latent cannot be observed in part", "Leave the mask out.")
        u, log_det = self.flow.inverse(y)
        return self.base.log_prob(u, c) + log_det

    @property
    def phrase(self) -> str:
        return f"{self.base.phrase}, then {self.flow.phrase}"
