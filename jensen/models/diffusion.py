r"""Diffusion: a ladder of latents as large as the data, whose guide is fixed and whose rungs share one network.

.. math:: q(z_t|x) = N(\alpha_t x, \sigma_t^2 I), \qquad
          p(z_{0..1}) = N(z_1; 0, I) \prod_{s<t} q(z_s | z_t, x = \hat x(z_t, t))

The rate of the chain is a sum over its levels, in closed form given :math:`z_t`, and over the top:

.. math:: \mathrm{KL}(q(z_1|x) \| p(z_1)) + \sum_{s<t} \tfrac12 \big(e^{\gamma_t - \gamma_s} - 1\big)\,
          E \|\epsilon - \hat\epsilon(z_t, t)\|^2 \quad\to\quad \ldots + \tfrac12 \int_0^1 \gamma'(t)\,
          E \|\epsilon - \hat\epsilon(z_t, t)\|^2\,dt

The sum, or the integral of infinitely many levels, is estimated at sampled times. That is without bias, so that the
bound is one in expectation; its exponential is biased, so that no importance weights can be made of it.

Sources: Sohl-Dickstein et al., "Deep unsupervised learning using nonequilibrium thermodynamics", 2015; Ho, Jain &
Abbeel, "Denoising diffusion probabilistic models", 2020; Kingma, Salimans, Poole & Ho, "Variational diffusion models",
2021.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from ..core.annotations import Steps
from ..core.errors import CompositionError, UsageError
from ..core.parts import part
from ..core.precision import applied
from ..core.validation import require_finite, require_integer
from ..distributions.normal_terms import normal_rate
from ..nets import Net
from .noise_schedules import NoiseSchedule, signal_and_noise

__all__ = ["Diffusion", "lower", "time_features"]

Predicted = Literal["velocity", "noise", "data"]
SAMPLING_STEPS = 256  # of continuous time, unless others are asked for


def time_features(u: Tensor, frequencies: int) -> Tensor:
    """Return features [..., 1 + 2F] of numbers u in [0, 1]: u itself, and sines and cosines of F doubling frequencies.

    Example:
        >>> time_features(torch.zeros(3), 2).shape
        torch.Size([3, 5])
    """
    angles = math.pi * u[..., None] * 2.0 ** torch.arange(frequencies, dtype=u.dtype, device=u.device)
    return torch.cat([u[..., None], angles.sin(), angles.cos()], -1)


def lower(z: Tensor, estimate: Tensor, gamma: Tensor, below: Tensor, noise: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return location [..., D] and scale [] of z_s, given z_t [..., D] and the noise in it; see `Diffusion.descend`.

    With the noise that z_t has over alpha_t x it is q(z_s | z_t, x), and with an estimate of it p(z_s | z_t).

    Args:
        z: at gamma.
        estimate: [..., D] of the noise.
        gamma, below: [] at t, and at s < t.
        noise: eta.

    Example:
        >>> lower(torch.zeros(3), torch.zeros(3), torch.tensor(2.0), torch.tensor(1.0))[0]
        tensor([0., 0., 0.])
    """
    share = -torch.expm1(below - gamma)
    (alpha, sigma), (lower_alpha, lower_sigma) = signal_and_noise(gamma), signal_and_noise(below)
    kept = lower_sigma * (1 - noise**2 * share).sqrt()
    return lower_alpha / alpha * (z - sigma * estimate) + kept * estimate, noise * lower_sigma * share.sqrt()


@part
class Diffusion(nn.Module):
    r"""The chain that prior and guide share: a schedule of noise, and the network that takes it off.

    The network adds to the exact denoiser of :math:`N(0, U \mathrm{diag}(s^2) U^T)` of z_0 without noise, so
    that a network of zeros is this Gaussian: the standard normal, unless `start_from` sets another. Its output is
    scaled by the standard deviation that this Gaussian has given z_t, in each direction, relative to the noise:

    .. math:: v = \alpha_t \epsilon - \sigma_t x \approx
              U \Big(\frac{\alpha\sigma(1-s^2)}{\alpha^2 s^2+\sigma^2}\, U^T z
              + \frac{s}{\sqrt{\alpha^2 s^2+\sigma^2}}\, U^T \mathrm{net}\Big)

    It sees z_t, divided by its standard deviation under this Gaussian in each feature, or in each direction; sines and
    cosines of z_t itself where `fine` asks for them, features of gamma_t, and the context.

    Args:
        dim: D, features of z_t.
        net: [..., (1 + 2 len(fine)) D + 1 + 2 frequencies + context] -> [..., D].
        schedule: of the noise.
        levels: T, of the chain; None is continuous time.
        predicts: whether the network's output is of the velocity v, or stands for :math:`\alpha v` in the estimate of
            the noise, or for :math:`-\sigma v` in that of the data.
        frequencies: of the features of time, see `time_features`.
        axes: sizes whose product is D, of a Gaussian with a covariance: U is the Kronecker product of an orthogonal
            matrix for each, so that (D,) has any covariance, and (H, W C) that of rows and columns of an image; none
            has independent features.
        whitened: whether the network sees z_t divided by its standard deviation in each direction, in which edges of an
            image are as large as its shades; else in each feature.
        fine: angles per unit of z_t, whose sines and cosines the network sees: whole numbers are known by their phase.
        context: C, features of a label; zeros stand for none.
        drop: share of the rows that are trained without their label, which guidance needs.

    Raises:
        CompositionError: a learned schedule in continuous time, where the bound does not depend on it.
        UsageError: a share that is not from 0 to 1, or labels to leave out where there are none.

    Sources: Salimans & Ho, "Progressive distillation for fast sampling of diffusion models", 2022 (velocity); Karras,
    Aittala, Aila & Laine, "Elucidating the design space of diffusion-based generative models", 2022 (scaling); Kingma,
    Salimans, Poole & Ho, "Variational diffusion models", 2021 (fine features); Ho & Salimans, "Classifier-free
    diffusion guidance", 2022 (rows without labels).
    """

    variance: Tensor
    marginal: Tensor

    def __init__(
        self,
        dim: int,
        net: nn.Module,
        schedule: NoiseSchedule,
        levels: Steps | None = None,
        predicts: Predicted = "velocity",
        frequencies: int = 6,
        axes: Sequence[int] = (),
        whitened: bool = False,
        fine: Sequence[float] = (),
        context: int = 0,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        require_integer(dim=dim)
        require_integer(0, frequencies=frequencies, context=context)
        require_finite(fine=tuple(fine), drop=drop)
        require_integer(axes=tuple(axes))
        if axes and math.prod(axes) != dim:
            raise UsageError(f"the axes must have a product of {dim}, got {tuple(axes)}", f"Give ({dim},), or none.")
        if not 0 <= drop <= (1 if context else 0):
            raise UsageError(
                f"the share of rows without a label must be between 0 and {1 if context else 0}, got {drop:g}",
                "Give 0.1, or a context to leave out.",
            )
        if levels is not None:
            require_integer(levels=levels)
        elif schedule.is_learned:
            raise CompositionError(
                "in continuous time the bound does not depend on the schedule, so there is nothing to learn",
                "Give a number of levels, or another schedule.",
            )
        self.dim, self.net, self.schedule, self.levels = dim, net, schedule, levels
        self.predicts, self.frequencies = predicts, frequencies
        self.fine, self.context, self.drop = tuple(fine), context, drop
        self.register_buffer("variance", torch.ones(dim))
        self.register_buffer("marginal", torch.ones(dim))
        self.axes, self.whitened = tuple(axes), whitened
        for i, size in enumerate(self.axes):
            self.register_buffer(f"basis{i}", torch.eye(size))

    @property
    def _bases(self) -> list[Tensor]:
        """The factors of U [size, size], one for each axis; each column is a direction."""
        return [self.get_buffer(f"basis{i}") for i in range(len(self.axes))]

    @torch.no_grad()
    def start_from(self, rows: Tensor, shrink: float = 0.0, least: float = 0.0) -> None:
        """Set the Gaussian that a network of zeros is: that of the second moments of these rows.

        Directions of an axis are the eigenvectors of the moments of its features, summed over the other axes.

        Args:
            rows: [n, D] of z_0 without noise, of mean zero.
            shrink: share of a full covariance whose place its diagonal takes.
            least: lower limit of variances.
        """
        each = rows.double()
        variance = each.square().mean(0).clamp_min(least)
        self.marginal.copy_(variance)
        for i, size in enumerate(self.axes):
            fibres = each.reshape(-1, *self.axes).movedim(i + 1, -1).reshape(-1, size)
            moments = fibres.T @ fibres / len(rows)
            if size == self.dim:
                moments = (1 - shrink) * moments
                moments.diagonal().copy_(variance)
            values, basis = torch.linalg.eigh(moments)
            self.get_buffer(f"basis{i}").copy_(basis)
            variance = values if size == self.dim else variance
        if self.axes and self.dim not in self.axes:
            variance = self._rotated(rows.to(self.marginal)).double().square().mean(0)
        self.variance.copy_(variance.clamp_min(least))

    def _rotated(self, z: Tensor, back: bool = False) -> Tensor:
        """Return U^T z [..., D] of z [..., D], or U z."""
        if not self.axes:
            return z
        if len(self.axes) == 1:
            (basis,) = self._bases
            return z @ (basis.T if back else basis)
        y, after = z, self.dim
        for size, basis in zip(self.axes, self._bases, strict=True):
            after //= size
            factor = basis if back else basis.T
            blocks = y.reshape(-1, size, after)
            y = blocks.squeeze(-1) @ factor.T if after == 1 else factor @ blocks
        return y.reshape(z.shape)

    def velocity(self, z: Tensor, gamma: Tensor, context: Tensor | None = None, guidance: float = 1.0) -> Tensor:
        """Return the estimated velocity [..., D] at z [..., D] and gamma [...].

        Args:
            context: [..., C]; zeros unless given.
            guidance: multiple of what the context adds to the velocity without it: 1 is the model itself.
        """
        if guidance != 1.0 and context is not None:
            without = self.velocity(z, gamma)
            return torch.lerp(without, self.velocity(z, gamma, context), guidance)
        alpha, sigma = (a[..., None] for a in signal_and_noise(gamma))
        y, total = self._rotated(z), alpha.square() * self.variance + sigma.square()
        if self.whitened:
            seen = self._rotated(y / total.sqrt(), back=True)
        else:
            seen = z / (alpha.square() * self.marginal + sigma.square()).sqrt()
        out = applied(self.net, torch.cat([seen, *self._features(z, gamma, context)], -1))
        out = out if self.predicts == "velocity" else out / alpha if self.predicts == "noise" else -out / sigma
        added = self._rotated(out)
        v = alpha * sigma * (1 - self.variance) / total * y + (self.variance / total).sqrt() * added
        return self._rotated(v, back=True)

    def _features(self, z: Tensor, gamma: Tensor, context: Tensor | None) -> list[Tensor]:
        """Return what the network sees beside z_t: fine features, those of time, and the context."""
        u = (gamma - self.schedule.start) / (self.schedule.end - self.schedule.start)
        angles = [w * z for w in self.fine]
        features = [f for angle in angles for f in (angle.sin(), angle.cos())]
        features.append(time_features(u, self.frequencies).expand(*z.shape[:-1], -1))
        if self.context:
            features.append(
                z.new_zeros(*z.shape[:-1], self.context) if context is None else context.expand(*z.shape[:-1], -1)
            )
        return features

    def noise_at(self, z: Tensor, gamma: Tensor, context: Tensor | None = None, guidance: float = 1.0) -> Tensor:
        """Return the estimate [..., D] of the noise in z [..., D]; see `velocity`."""
        alpha, sigma = (a[..., None] for a in signal_and_noise(gamma))
        return alpha * self.velocity(z, gamma, context, guidance) + sigma * z

    def data_at(self, z: Tensor, gamma: Tensor, context: Tensor | None = None, guidance: float = 1.0) -> Tensor:
        """Return the estimate [..., D] of what z [..., D] is without its noise; see `velocity`."""
        alpha, sigma = (a[..., None] for a in signal_and_noise(gamma))
        return alpha * z - sigma * self.velocity(z, gamma, context, guidance)

    def first(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return location and scale [..., D] of q(z_0 | x)."""
        return self._noised(x, x.new_zeros(()))

    def _noised(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        alpha, sigma = signal_and_noise(self.schedule(t))
        return alpha[..., None] * x, sigma[..., None].expand_as(x)

    def top_rate(self, x: Tensor) -> Tensor:
        """Return KL(q(z_1 | x) || N(0, I)) [...] in nats."""
        loc, scale = self._noised(x, x.new_ones(()))
        return normal_rate(loc, scale, torch.zeros_like(loc), torch.ones_like(scale))

    def level_rate(self, x: Tensor, t: Tensor, noise: Tensor, context: Tensor | None = None) -> Tensor:
        r"""Return the term of time t in the rate of the levels [...], in nats, at a z_t of this noise.

        Its mean over uniform t and normal noise is the rate of all levels. With T levels it is T times the KL of the
        level that t lies in, from :math:`s = \lfloor tT \rfloor / T` to s + 1/T. A part of it whose mean over the noise
        is zero is taken off (see `_term`): without it most of its variance would be that of the noise's length.

        Args:
            x: [..., D].
            t: [...] in [0, 1).
            noise: [..., D].
            context: [..., C].
        """
        weight, error, chance = self._term(x, t, noise, context)
        return 0.5 * weight * (error - chance)

    def _term(self, x: Tensor, t: Tensor, noise: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        r"""Return twice the weight of time t, the squared error of the noise there [...], and a control variate [...].

        Of independent Gaussian features of variance s^2 the error of the noise is :math:`r \epsilon` and a part that
        does not depend on it, :math:`r = \alpha^2 s^2 / (\alpha^2 s^2 + \sigma^2)`. So the error varies with
        :math:`\sum_d r_d^2 (\epsilon_d^2 - 1)`, whose mean is zero whatever the data are.
        """
        if self.levels is None:
            gamma, weight = self.schedule(t), self.schedule.slope(t)
        else:
            level = (t * self.levels).floor().clamp_max(self.levels - 1)
            gamma, below = self.schedule((level + 1) / self.levels), self.schedule(level / self.levels)
            weight = self.levels * torch.expm1(gamma - below)
        alpha, sigma = (a[..., None] for a in signal_and_noise(gamma))
        error = self.noise_at(alpha * x + sigma * noise, gamma, context) - noise
        signal = alpha.square() * self.marginal
        left = (signal / (signal + sigma.square())).square()
        return weight, error.square().sum(-1), (left * (noise.square() - 1)).sum(-1)

    def rate_and_error(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return an estimate of the rate of the whole chain [K, B] in nats, at one random time for each x, and half the
        squared error of the noise there.

        The times are evenly spaced over the batch and over the points of each datum, from a random start and in random
        order, so that the noise of their mean is small, also where rows are sorted; each is uniform by itself.

        Args:
            x: [K, B, D].
            context: [B, C].
        """
        k, b = x.shape[:2]
        spaced = torch.arange(k, dtype=x.dtype, device=x.device)[:, None] * b
        spaced = (spaced + torch.randperm(b, device=x.device)) / (k * b)
        t = (torch.rand((), dtype=x.dtype, device=x.device) + spaced) % 1.0
        noise = torch.randn_like(x)
        if self.training and self.drop and context is not None:
            context = context * (torch.rand(b, 1, dtype=x.dtype, device=x.device) >= self.drop)
        weight, error, chance = self._term(x, t, noise, context)
        return self.top_rate(x) + 0.5 * weight * (error - chance), 0.5 * error

    def rate(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return an estimate of the rate of the whole chain [K, B] in nats; see `rate_and_error`."""
        return self.rate_and_error(x, context)[0]

    @torch.no_grad()
    def descend(
        self,
        z: Tensor,
        steps: int | None = None,
        *,
        start: float = 1.0,
        noise: float = 1.0,
        context: Tensor | None = None,
        guidance: float = 1.0,
        watch: Callable[[float], object] | None = None,
    ) -> Tensor:
        r"""Go down from z_t [..., D] to z_0 in steps.

        .. math:: z_s = \alpha_s \hat x + \sqrt{\sigma_s^2 - \eta^2 v}\, \hat\epsilon + \eta \sqrt v\, \epsilon, \qquad
                  v = \sigma_s^2 (1 - e^{\gamma_s - \gamma_t})

        With :math:`\eta = 1` a step is of :math:`q(z_s | z_t, \hat x)`, the p of the bound (ancestral sampling);
        with less noise it is another model (DDIM: Song, Meng & Ermon, "Denoising diffusion implicit models", 2021).

        Args:
            z: at time `start`.
            steps: of equal length in time; the levels of the chain unless given, and 256 of continuous time.
            start: t.
            noise: eta, from 0 (deterministic) to 1.
            context: [..., C].
            guidance: see `velocity`; above 1 samples are nearer to what is typical of their label, and less varied.
            watch: progress callback, called with the fraction done, 0 to 1.

        Raises:
            UsageError: steps below 1, or a noise that is not between 0 and 1.
        """
        if not 0 <= noise <= 1:
            raise UsageError(f"noise must be between 0 and 1, got {noise:g}", "Give 1 for samples of the chain.")
        steps = (self.levels or SAMPLING_STEPS) if steps is None else steps
        require_integer(steps=steps)
        times = torch.linspace(start, 0.0, steps + 1, dtype=z.dtype, device=z.device)
        gammas = self.schedule(times)
        for step, (gamma, below) in enumerate(pairwise(gammas), 1):
            z, scale = lower(z, self.noise_at(z, gamma, context, guidance), gamma, below, noise)
            if noise:
                z = z + scale * torch.randn_like(z)
            if watch is not None:
                watch(step / steps)
        return z

    @property
    def phrase(self) -> str:
        """A short description, for the sentence that describes a model."""
        net = self.net.phrase if isinstance(self.net, Net) else type(self.net).__name__
        chain = "in continuous time" if self.levels is None else f"of {self.levels} levels"
        return f"diffusion {chain} by {net}, {self.schedule.phrase}"
