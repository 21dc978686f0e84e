r"""Noise schedules: how much noise a diffusion has added at time t, from almost none at 0 to almost nothing else at 1.

A schedule is :math:`\gamma(t) = \log(\sigma_t^2/\alpha_t^2)`, the negative log of the signal-to-noise ratio, with
:math:`\alpha_t^2 = \mathrm{sigmoid}(-\gamma)` and :math:`\sigma_t^2 = \mathrm{sigmoid}(\gamma)`, so that data of unit
variance keep it. It rises with t. In continuous time the bound depends on its two ends alone.

Source: Kingma, Salimans, Poole & Ho, "Variational diffusion models", 2021.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ..core.annotations import Depth
from ..core.errors import UsageError
from ..core.parts import part
from ..core.validation import require_finite, require_integer

__all__ = ["CosineSchedule", "LearnedSchedule", "LinearSchedule", "NoiseSchedule", "signal_and_noise"]

START, END = -13.3, 5.0  # of Kingma et al., for data of unit variance


def signal_and_noise(gamma: Tensor) -> tuple[Tensor, Tensor]:
    """Return alpha and sigma of a log ratio of noise to signal, with alpha^2 + sigma^2 = 1.

    Example:
        >>> signal_and_noise(torch.zeros(()))
        (tensor(0.7071), tensor(0.7071))
    """
    return torch.sigmoid(-gamma).sqrt(), torch.sigmoid(gamma).sqrt()


class NoiseSchedule(nn.Module, ABC):
    """gamma(t), rising from `start` at t = 0 to `end` at t = 1.

    Args:
        start, end: log(sigma^2 / alpha^2) at the ends.

    Raises:
        UsageError: they are not finite, or do not rise.
    """

    def __init__(self, start: float, end: float) -> None:
        super().__init__()
        require_finite(start=start, end=end)
        if not start < end:
            raise UsageError(f"a noise schedule must rise, got {start:g} to {end:g}", "Give start < end.")
        self.start, self.end = start, end

    @abstractmethod
    def forward(self, t: Tensor) -> Tensor:
        """Return gamma(t) [...] at times t [...] in [0, 1]."""

    @abstractmethod
    def slope(self, t: Tensor) -> Tensor:
        """Return the derivative of gamma by t [...]."""

    @property
    def is_learned(self) -> bool:
        """True if the schedule has parameters; these matter for a finite number of levels only."""
        return False

    @property
    @abstractmethod
    def phrase(self) -> str:
        """A short description, for the sentence that describes a model."""


@part
class LinearSchedule(NoiseSchedule):
    """gamma(t) = start + (end - start) t.

    Args:
        start, end: log(sigma^2 / alpha^2) at the ends.

    Source: Kingma, Salimans, Poole & Ho, "Variational diffusion models", 2021.

    Example:
        >>> LinearSchedule(-4.0, 4.0)(torch.tensor([0.0, 0.5, 1.0]))
        tensor([-4.,  0.,  4.])
    """

    def __init__(self, start: float = START, end: float = END) -> None:
        super().__init__(start, end)

    def forward(self, t: Tensor) -> Tensor:
        return self.start + (self.end - self.start) * t

    def slope(self, t: Tensor) -> Tensor:
        return torch.full_like(t, self.end - self.start)

    @property
    def phrase(self) -> str:
        return f"linear schedule {self.start:g} to {self.end:g}"


@part
class CosineSchedule(NoiseSchedule):
    r"""alpha_t = cos of an angle that grows evenly with t, so that :math:`\gamma = 2 \log \tan(\mathrm{angle})`.

    Args:
        start, end: log(sigma^2 / alpha^2) at the ends, which cut the angles near 0 and pi/2 off.

    Source: Nichol & Dhariwal, "Improved denoising diffusion probabilistic models", 2021.

    Example:
        >>> CosineSchedule(-4.0, 4.0)(torch.tensor([0.0, 0.5, 1.0])).round(decimals=4) + 0.0
        tensor([-4.,  0.,  4.])
    """

    def __init__(self, start: float = START, end: float = END) -> None:
        super().__init__(start, end)
        self.first, self.last = (math.atan(math.exp(gamma / 2)) for gamma in (start, end))

    def _angle(self, t: Tensor) -> Tensor:
        return self.first + (self.last - self.first) * t

    def forward(self, t: Tensor) -> Tensor:
        return 2 * self._angle(t).tan().log()

    def slope(self, t: Tensor) -> Tensor:
        return 4 * (self.last - self.first) / (2 * self._angle(t)).sin()

    @property
    def phrase(self) -> str:
        return f"cosine schedule {self.start:g} to {self.end:g}"


@part
class LearnedSchedule(NoiseSchedule):
    r"""A polynomial of Bernstein's form with rising coefficients; zero parameters are the linear schedule.

    .. math:: \gamma(t) = \mathrm{start} + (\mathrm{end} - \mathrm{start})
              \sum_{j=0}^n c_j \binom{n}{j} t^j (1-t)^{n-j},
              \qquad c_j = \sum_{i<j} \mathrm{softmax}(\ell)_i

    It rises for all parameters, and any rising continuous function is its limit as n grows. The bound of T levels is
    maximised over it with the other parameters.

    Args:
        start, end: log(sigma^2 / alpha^2) at the ends, which are not learned.
        degree: n.

    Source: Kingma, Salimans, Poole & Ho, "Variational diffusion models", 2021 (who use a monotone network).

    Example:
        >>> LearnedSchedule(-4.0, 4.0)(torch.tensor([0.0, 0.5, 1.0])).detach()
        tensor([-4.,  0.,  4.])
    """

    binomials: Tensor
    lower_binomials: Tensor

    def __init__(self, start: float = START, end: float = END, degree: Depth = 12) -> None:
        super().__init__(start, end)
        require_integer(degree=degree)
        self.logits = nn.Parameter(torch.zeros(degree))
        for name, n in (("binomials", degree), ("lower_binomials", degree - 1)):
            counts = torch.tensor([math.comb(n, j) for j in range(n + 1)], dtype=torch.get_default_dtype())
            self.register_buffer(name, counts, persistent=False)

    @staticmethod
    def _basis(t: Tensor, binomials: Tensor) -> Tensor:
        """Return Bernstein's polynomials [..., n + 1] at t [...]."""
        j = torch.arange(len(binomials), device=t.device)
        t = t[..., None]
        return binomials.to(t) * t**j * (1 - t) ** j.flip(0)

    def forward(self, t: Tensor) -> Tensor:
        steps = torch.softmax(self.logits, 0)
        coefficients = torch.cat([steps.new_zeros(1), steps.cumsum(0)])
        share = self._basis(t, self.binomials) @ coefficients.to(t)
        return self.start + (self.end - self.start) * share

    def slope(self, t: Tensor) -> Tensor:
        steps = torch.softmax(self.logits, 0)
        share = len(steps) * (self._basis(t, self.lower_binomials) @ steps.to(t))
        return (self.end - self.start) * share

    @property
    def is_learned(self) -> bool:
        return True

    @property
    def phrase(self) -> str:
        return f"learned schedule {self.start:g} to {self.end:g}"
