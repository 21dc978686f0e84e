"""A mixture of normal distributions for each feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution

from ..core.errors import UsageError
from ..core.parts import part
from ..core.validation import require_above, require_integer
from ..distributions import FeatureMixture, LinkedNormal
from .base import BOUND, FLOOR, Factorised, PerFeature, check_floor, constant, limited, positive_each
from .continuous import LogitNormal, LogNormal
from .support import ABOVE_ZERO, OPEN_UNIT, REALS, Support, Supports

__all__ = ["GaussianMixtures", "components"]

Values = Literal["real", "positive", "unit"]
SUPPORTS = {"real": REALS, "positive": ABOVE_ZERO, "unit": OPEN_UNIT}
SPREAD = 1.5  # scales from the mean to the outermost component where a decoder starts
INSIDE = 0.5  # of every support


def components(loc: Tensor, n: int) -> Tensor:
    """Return the first parameters [2 D n] of n components of equal weights, spread about these locations [D]."""
    offsets = torch.linspace(-SPREAD, SPREAD, n, dtype=loc.dtype, device=loc.device) if n > 1 else loc.new_zeros(1)
    places = (loc[:, None] + offsets).flatten()
    return torch.cat([torch.zeros_like(places), places])


@part
@dataclass(frozen=True)
class GaussianMixtures(PerFeature, Factorised):
    r"""Independent features, each a mixture of n normal distributions: several modes, or heavy tails.

    .. math:: \log p(x) = \sum_d \log\sum_j \pi_{dj} N(x_d; \mu_{dj}, \sigma_{dj}^2)

    Features above 0, or between 0 and 1, have their logarithms, or logits, in the place of x, and the density is that
    of x itself.

    The parameters are the logits of the weights, the locations and the scales, n of each for every feature. Unlike in a
    `Mixture`, the components of one feature are independent of those of another. Zero parameters are N(0, 1);
    with an upper limit of the scales, which is approached smoothly, they are narrower.

    Args:
        dim: D.
        n: components of each feature.
        floor: the lower limit of the scales, in (0, 1), of all features or of each.
        of: "real", "positive" (components are log-normal) or "unit" (logit-normal), all features or each.
        widest: the upper limit of the scales, of all features or of each: the mean of a log-normal component grows as
            exp of the square of its scale.

    Source: Bishop, "Mixture density networks", 1994.

    Example:
        >>> round(float(GaussianMixtures(1, 3).log_prob(torch.zeros(9), torch.zeros(1))), 4)
        -0.9189
    """

    dim: int
    n: int
    floor: float | tuple[float, ...] = FLOOR
    of: Values | tuple[Values, ...] = "real"
    widest: float | tuple[float, ...] = BOUND

    def __post_init__(self) -> None:
        super().__post_init__()
        require_integer(n=self.n)
        if not len(self.floors) == len(self.values) == len(self.limits) == self.dim:
            raise UsageError(
                f"{self.dim} features have {len(self.floors)} floors, {len(self.limits)} upper limits and "
                f"{len(self.values)} kinds of values",
                "Give one for all features, or one for each.",
            )
        require_above(0, widest=self.limits)
        for floor, limit in zip(self.floors, self.limits, strict=True):
            check_floor(floor)
            if limit <= floor:
                raise UsageError(f"scales are to be from {floor:g} to {limit:g}", "Give widest above the floor.")
        for of in self.values:
            if of not in SUPPORTS:
                raise UsageError(f"there are no mixtures of {of!r} values", f"Choose from {', '.join(SUPPORTS)}.")

    @property
    def floors(self) -> tuple[float, ...]:
        """The lower limit of the scales of each feature [D]."""
        return self.floor if isinstance(self.floor, tuple) else (self.floor,) * self.dim

    @property
    def limits(self) -> tuple[float, ...]:
        """The upper limit of the scales of each feature [D]."""
        return self.widest if isinstance(self.widest, tuple) else (self.widest,) * self.dim

    @property
    def values(self) -> tuple[Values, ...]:
        """The kind of values of each feature [D]."""
        return self.of if isinstance(self.of, tuple) else (self.of,) * self.dim

    @property
    def inside(self) -> float:
        return 0.0 if self.of == "real" else INSIDE

    @property
    def support(self) -> Support | Supports:
        return Supports.of([SUPPORTS[of] for of in self.values])

    @property
    def size(self) -> int:
        return 3 * self.n * self.dim

    @property
    def phrase(self) -> str:
        number = {"logarithms": self.values.count("positive"), "logits": self.values.count("unit")}
        of = ", ".join(f"{n} of {what}" for what, n in number.items() if n)
        return f"GaussianMixtures({self.dim}, {self.n} components{f', {of}' if of else ''})"

    @property
    def scale_floor(self) -> float | None:
        return min(self.floors)

    def _split(self, params: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, locations and scales [..., D, n]."""
        logits, loc, raw = limited(params).unflatten(-1, (3, self.dim, self.n)).unbind(-3)
        return logits, loc, positive_each(raw, self.floors, self.limits)

    @property
    def scale_floors(self) -> tuple[float, ...]:
        return self.floors

    def scales(self, params: Tensor) -> Tensor:
        return self._split(params)[2].amin(-1)

    def start(self, mean: Tensor) -> Tensor:
        """Return equal weights, and locations spread about these means."""
        one = {"positive": LogNormal(1), "unit": LogitNormal(1)}
        loc = [one[of].start(m) if of in one else m for m, of in zip(mean, self.values, strict=True)]
        return components(torch.stack(loc), self.n)

    def features(self, params: Tensor) -> Distribution:
        logits, loc, scale = self._split(params)
        links = [self._link(of, params) if of in self.values else None for of in ("positive", "unit")]
        return FeatureMixture(logits, LinkedNormal(loc, scale, *links, validate_args=False), validate_args=False)

    def _link(self, of: str, like: Tensor) -> Tensor:
        """Return [D, 1], True for the features of these values."""
        return constant(tuple(v == of for v in self.values), like, torch.bool).unsqueeze(-1)
