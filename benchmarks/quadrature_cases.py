"""Fifty posteriors over one or two features whose evidence is known, and two that no integration sees."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.integrate import quad
from scipy.special import i0e
from torch import Tensor, nn

from jensen.families import Beta, Gaussian, Laplace, LogNormal, Mixture, StudentT, positive_inverse
from jensen.families.base import Family
from jensen.models.conditionals import Conditional, Unconditional
from jensen.models.model import LatentVariableModel

__all__ = ["LIMITS", "ZOO", "Case", "at", "prior"]

Line = Callable[[float], float]


class Potential(Conditional):
    """A likelihood given as a function: log p(x | z) = f(z), whatever x."""

    def __init__(self, f: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.family, self.f = Gaussian(1), f

    def params(self, c: Tensor | None = None) -> Tensor:
        return torch.zeros(0) if c is None else c

    def scored(self, params: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.f(params)

    @property
    def phrase(self) -> str:
        return "a function of z"


class Later:
    """A number that is computed when it is first asked for, and kept."""

    def __init__(self, compute: Callable[[], float]) -> None:
        self.compute = compute

    @cached_property
    def value(self) -> float:
        """The number."""
        return self.compute()

    def __rmul__(self, factor: float) -> Later:
        return Later(lambda: factor * self.value)


@dataclass(frozen=True)
class Case:
    """A posterior with its evidence.

    Attributes:
        name: of it.
        prior: with its parameters set.
        log_lik: z [..., Z] -> log p(x | z) [...].
        evidence: log p(x), in closed form or by scipy's adaptive integration between the places that are given to it.
        smooth: the integrand has all derivatives.
    """

    name: str
    prior: Unconditional
    log_lik: Callable[[Tensor], Tensor]
    evidence: float | Later
    smooth: bool = True

    @property
    def truth(self) -> float:
        """log p(x); integrated when it is first asked for."""
        return self.evidence.value if isinstance(self.evidence, Later) else self.evidence

    @property
    def latent(self) -> int:
        """The number of latent features."""
        return self.prior.family.dim

    @property
    def model(self) -> LatentVariableModel:
        """The model, in double precision."""
        return LatentVariableModel(self.prior, Potential(self.log_lik)).double()


def prior(family: Family, *params: float) -> Unconditional:
    """The family with these raw parameters, zeros by default."""
    made = Unconditional(family).double()
    if params:
        with torch.no_grad():
            made.value.copy_(torch.tensor(params, dtype=torch.float64))
    return made


def at(loc: float, scale: float) -> tuple[float, float]:
    """Raw parameters of a location and a scale."""
    return loc, float(positive_inverse(torch.tensor(scale, dtype=torch.float64)))


def mixture(*parts: tuple[float, float, float]) -> Unconditional:
    """Gaussians of one feature: weight, mean and standard deviation of each."""
    raw = [r for _, m, s in parts for r in at(m, s)]
    return prior(Mixture(Gaussian(1), len(parts)), *[math.log(w) for w, _, _ in parts], *raw)


# ---------------------------------------------------------------- truths


def integral(log_f: Line, places: Sequence[float], shift: float = 0.0) -> Later:
    """log of the integral of exp(log_f) between the first and last place, when it is asked for."""
    return Later(lambda: integrated(log_f, places, shift))


def integrated(log_f: Line, places: Sequence[float], shift: float) -> float:
    """log of the integral of exp(log_f) between the first and last place, piece by piece."""
    pieces = [
        quad(lambda z: math.exp(log_f(z) - shift), a, b, epsabs=0, epsrel=1e-12, limit=2000)[0]
        for a, b in itertools.pairwise(places)
        if b > a
    ]
    return math.log(math.fsum(pieces)) + shift


def normal(x: float, sd: float = 1.0, mean: float = 0.0) -> float:
    """log N(x; mean, sd^2)."""
    return -0.5 * ((x - mean) / sd) ** 2 - math.log(sd) - 0.5 * math.log(2 * math.pi)


def cdf(x: float) -> float:
    """The distribution function of a standard normal number."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def student(x: float) -> float:
    """The log-density of Student's t with three degrees of freedom."""
    return math.log(2 / (math.pi * math.sqrt(3))) - 2 * math.log1p(x * x / 3)


def gauss(x: Tensor, mean: Tensor | float, sd: float) -> Tensor:
    """log N(x; mean, sd^2)."""
    return -0.5 * ((x - mean) / sd).square() - math.log(sd) - 0.5 * math.log(2 * math.pi)


def grid(low: float, high: float, n: int, *more: float) -> list[float]:
    """Places that are equally far apart, and others."""
    return sorted([*np.linspace(low, high, n).tolist(), *more])


def mixed(*terms: tuple[float, float]) -> float:
    """log of sum_j w_j e^{l_j}, of pairs (w, l)."""
    top = max(log for _, log in terms)
    return top + math.log(math.fsum(w * math.exp(log - top) for w, log in terms))


# ---------------------------------------------------------------- one feature


class Observed:
    """log N(x; f(z), sd^2) for a decoder f of one feature, and the truth under a standard normal prior."""

    def __init__(self, x: float, sd: float, f: Callable[[Tensor], Tensor]) -> None:
        self.x, self.sd, self.f = x, sd, f

    def __call__(self, z: Tensor) -> Tensor:
        return gauss(self.f(z[..., 0]), self.x, self.sd)

    def line(self, z: float) -> float:
        """log p(x, z)."""
        return normal(z) + float(self(torch.tensor([z], dtype=torch.float64)))

    def truth(self, places: Sequence[float]) -> Later:
        """The evidence, by integration."""
        on = np.linspace(places[0], places[-1], 20001)
        return Later(lambda: integrated(self.line, places, max(self.line(z) for z in on)))


def decoders() -> Iterator[Case]:
    """A standard normal prior, and a decoder with Gaussian noise."""
    flat = prior(Gaussian(1))
    yield Case("Gaussian", flat, lambda z: gauss(z[..., 0], 1.0, 0.5), normal(1.0, math.hypot(1, 0.5)))
    yield Case("outlier, 20 scales away", flat, lambda z: gauss(z[..., 0], 20.2, 0.1), normal(20.2, math.hypot(1, 0.1)))
    yield Case(
        "narrow outlier", flat, lambda z: gauss(1e-3 * z[..., 0], 0.01, 1e-5), normal(0.01, math.hypot(1e-3, 1e-5))
    )
    tanh = Observed(4.0, 0.1, lambda z: 3 * z.tanh())
    yield Case("saturated decoder", flat, tanh, tanh.truth(grid(-2, 14, 65)))
    for sd in (0.02, 0.001):
        roots = Observed(1.0, sd, Tensor.square)
        width = 40 * sd
        places = [-8.0, -1 - width, -1 - width / 8, -1, -1 + width / 8, -1 + width]
        yield Case(f"two roots, sd {sd}", flat, roots, roots.truth(sorted({*places, 0.0, *[-p for p in places]})))
    many = Observed(0.3, 0.1, lambda z: (5 * z).sin())
    yield Case("sine, 30 modes", flat, many, many.truth(grid(-9, 9, 361)))
    more = Observed(0.3, 0.2, lambda z: (30 * z).sin())
    yield Case("sine, 170 modes", flat, more, more.truth(grid(-9, 9, 1441)))
    kink = Observed(1.0, 0.05, Tensor.abs)
    yield Case("absolute value", flat, kink, kink.truth(grid(-9, 9, 361, 0.0)), smooth=False)
    two = (cdf(0.3), cdf(-0.3))
    step = Observed(1.4, 0.5, lambda z: (z > 0.3).double())
    yield Case("step", flat, step, mixed((two[0], normal(1.4, 0.5)), (two[1], normal(0.4, 0.5))), smooth=False)
    stairs = Observed(1.1, 0.2, lambda z: (4 * z).floor() / 4)
    terms = [(cdf((k + 1) / 4) - cdf(k / 4), normal(1.1, 0.2, k / 4)) for k in range(-16, 24)]
    yield Case("staircase", flat, stairs, mixed(*terms), smooth=False)


def spike(name: str, loc: float, sd: float) -> Case:
    """A narrow mode beside the prior, of one feature."""

    def log_lik(z: Tensor) -> Tensor:
        return torch.logaddexp(torch.zeros_like(z[..., 0]), gauss(z[..., 0], loc, sd))

    return Case(name, prior(Gaussian(1)), log_lik, mixed((1.0, 0.0), (1.0, normal(loc, math.hypot(1, sd)))))


def spot(name: str, sd: float) -> Case:
    """A narrow mode beside the prior, of two features."""

    def log_lik(z: Tensor) -> Tensor:
        return torch.logaddexp(torch.zeros_like(z[..., 0]), gauss(z, 1.2, sd).sum(-1))

    return Case(name, prior(Gaussian(2)), log_lik, mixed((1.0, 0.0), (1.0, 2 * normal(1.2, math.hypot(1, sd)))))


def curves() -> Iterator[Case]:
    """A standard normal prior, and other likelihoods."""
    flat = prior(Gaussian(1))

    yield spike("mode of width 0.004", 1.234, 0.004)
    box = [(cdf(0.6) - cdf(0.4), 0.0)]
    box.append((1 - box[0][0], -9.0))
    yield Case(
        "window", flat, lambda z: torch.where((z[..., 0] - 0.5).abs() < 0.1, 0.0, -9.0), mixed(*box), smooth=False
    )
    for count, rate in ((200, 1.0), (0, 5.0)):

        def poisson(z: Tensor, count: int = count, rate: float = rate) -> Tensor:
            return count * rate * z[..., 0] - (rate * z[..., 0]).exp() - math.lgamma(count + 1)

        def line(z: float, count: int = count, rate: float = rate) -> float:
            return normal(z) + count * rate * z - math.exp(min(rate * z, 700.0)) - math.lgamma(count + 1)

        yield Case(
            f"Poisson count {count}",
            flat,
            poisson,
            integral(line, grid(-10, 9, 153), max(map(line, np.linspace(-9, 9, 3601)))),
        )

    def steep(z: float) -> float:
        return normal(z) - float(np.logaddexp(0, -200 * (z - 1)))

    yield Case(
        "steep sigmoid",
        flat,
        lambda z: nn.functional.logsigmoid(200 * (z[..., 0] - 1)),
        integral(steep, grid(-6, 9, 61, 0.8, 0.9, 0.95, 1.02, 1.1), -2),
    )

    def cauchy(z: float) -> float:
        return normal(z) - math.log1p((z - 9) ** 2 / 0.01)

    yield Case(
        "Cauchy likelihood",
        flat,
        lambda z: -torch.log1p((z[..., 0] - 9).square() / 0.01),
        integral(cauchy, grid(-9, 12, 85, 8.9, 8.99, 9.01, 9.1), -8),
    )

    def cusp(z: float) -> float:
        return normal(z) - 10 * math.sqrt(abs(z))

    places = [10.0**-k for k in range(17)]
    yield Case(
        "cusp",
        flat,
        lambda z: -10 * z[..., 0].abs().sqrt(),
        integral(cusp, sorted([*places, 0.0, 9.0, -9.0, *[-p for p in places]]), 0),
        smooth=False,
    )

    def pair(z: Tensor) -> Tensor:
        return torch.logaddexp(gauss(z[..., 0], 8.0, 0.5), gauss(z[..., 0], -8.0, 0.5))

    yield Case(
        "modes 16 apart",
        flat,
        pair,
        mixed((1.0, normal(8.0, math.hypot(1, 0.5))), (1.0, normal(-8.0, math.hypot(1, 0.5)))),
    )


def priors() -> Iterator[Case]:
    """Priors that are not normal, of one feature."""
    three = prior(StudentT(1, 3.0))
    tails = [0.0, 1, 3, 10, 30, 100, 300, 1e3, 1e4, 1e5]
    both = sorted({*tails, *[-t for t in tails]})

    def wide(z: float) -> float:
        return student(z) + normal(z, 30.0)

    yield Case("Student prior, 3 degrees", three, lambda z: torch.zeros_like(z[..., 0]), 0.0)
    yield Case("Student prior, wide noise", three, lambda z: gauss(z[..., 0], 0.0, 30.0), integral(wide, both))
    yield Case("Student prior, 2.1 degrees", prior(StudentT(1, 2.1)), lambda z: torch.zeros_like(z[..., 0]), 0.0)

    def torn(z: float) -> float:
        return student(z) - 2 * math.log1p((z - 30) ** 2 / 3)

    yield Case(
        "Student against Student",
        three,
        lambda z: -2 * torch.log1p((z[..., 0] - 30).square() / 3),
        integral(torn, sorted({*both, *np.linspace(20, 40, 41).tolist()})),
    )

    def laplace(z: float) -> float:
        return -abs(z) - math.log(2) + normal(z, 0.3, 0.2)

    yield Case(
        "Laplace prior",
        prior(Laplace(1)),
        lambda z: gauss(z[..., 0], 0.2, 0.3),
        integral(laplace, grid(-4, 5, 37, 0.0)),
        smooth=False,
    )

    def positive(z: float) -> float:
        return normal(math.log(z)) - math.log(z) + normal(z, 0.3, 0.2)

    yield Case(
        "log-normal prior",
        prior(LogNormal(1)),
        lambda z: gauss(z[..., 0], 0.2, 0.3),
        integral(positive, grid(0.05, 5, 100, 1e-9, 1e-4, 1e-3, 0.01)),
    )
    yield Case(
        "uniform prior",
        prior(Beta(1)),
        lambda z: gauss(z[..., 0], 0.1, 0.2),
        math.log(cdf(4.5) - cdf(-0.5)),
        smooth=False,
    )
    yield Case(
        "prior far from zero",
        prior(Gaussian(1), *at(1e4, 1.0)),
        lambda z: gauss(z[..., 0], 1e4 + 3, 0.1),
        normal(3.0, math.hypot(1, 0.1)),
    )
    yield Case(
        "narrow part of the prior", mixture((0.5, -3, 1e-3), (0.5, 2, 1.0)), lambda z: torch.zeros_like(z[..., 0]), 0.0
    )
    parts = [(0.2, float(m), 0.05) for m in (-4, -1, 0, 2, 5)]
    yield Case(
        "five parts in the prior",
        mixture(*parts),
        lambda z: gauss(z[..., 0], 1.0, 2.0),
        mixed(*[(w, normal(1.0, math.hypot(2.0, s), m)) for w, m, s in parts]),
    )


# ---------------------------------------------------------------- two features


def radius(z: Tensor, centre: float = 0.0) -> Tensor:
    """The distance from a point on the first axis."""
    return torch.hypot(z[..., 0] - centre, z[..., 1])


def rings() -> Iterator[Case]:
    """A ring, about the prior's centre and about another point, and a disc."""
    flat = prior(Gaussian(2))
    for centre, r, width in ((0.0, 2.0, 0.1), (0.0, 2.0, 0.03), (1.0, 1.5, 0.1)):

        def ring(z: Tensor, centre: float = centre, r: float = r, width: float = width) -> Tensor:
            return -0.5 * ((radius(z, centre) - r) / width).square()

        def line(s: float, centre: float = centre, r: float = r, width: float = width) -> float:
            angles = math.log(i0e(s * centre)) + s * centre  # the mean over angles of exp(-s c cos)
            return math.log(s) - 0.5 * (s * s + centre**2) + angles - 0.5 * ((s - r) / width) ** 2

        name = f"ring of width {width}" if centre == 0 else "ring about another centre"
        places = grid(max(r - 12 * width, 1e-300), r + 12 * width, 25)
        yield Case(name, flat, ring, integral(line, places))
    inside = 1 - math.exp(-0.5)
    yield Case(
        "disc",
        flat,
        lambda z: torch.where(radius(z) < 1, 0.0, -5.0),
        mixed((inside, 0.0), (1 - inside, -5.0)),
        smooth=False,
    )


def planes() -> Iterator[Case]:
    """A standard normal prior of two features, and a likelihood whose integral reduces to one feature or none."""
    flat = prior(Gaussian(2))
    yield Case(
        "Gaussian, two features", flat, lambda z: gauss(z, 1.0, 0.5).sum(-1), 2 * normal(1.0, math.hypot(1, 0.5))
    )
    yield Case(
        "two outliers",
        flat,
        lambda z: gauss(z, torch.tensor([15.0, -15.0]).double(), 0.1).sum(-1),
        2 * normal(15.0, math.hypot(1, 0.1)),
    )
    yield Case(
        "correlation 0.9998",
        flat,
        lambda z: gauss(z[..., 0] - z[..., 1], 0.3, 0.02),
        normal(0.3, math.hypot(math.sqrt(2), 0.02)),
    )
    for sd in (0.1, 0.03):

        def banana(z: Tensor, sd: float = sd) -> Tensor:
            return gauss(z[..., 1] + z[..., 0].square(), 2.0, sd)

        def line(z: float, sd: float = sd) -> float:
            return normal(z) + normal(z * z, math.hypot(1, sd), 2.0)

        yield Case(f"banana of width {sd}", flat, banana, integral(line, grid(-6, 6, 49)))
    four = Observed(1.0, 0.1, Tensor.square)
    places = sorted({s * p for s in (-1, 1) for p in (0.0, 0.5, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.5, 8.0)})
    yield Case("four roots", flat, lambda z: four(z[..., :1]) + four(z[..., 1:]), 2 * four.truth(places))
    waves = Observed(0.3, 0.3, lambda z: (3 * z).sin())
    yield Case(
        "sines, 100 modes", flat, lambda z: waves(z[..., :1]) + waves(z[..., 1:]), 2 * waves.truth(grid(-9, 9, 181))
    )
    stripe = Observed(0.3, 0.3, lambda z: (4 * z).sin())
    yield Case(
        "slanted stripes", flat, lambda z: stripe((z.sum(-1) / math.sqrt(2))[..., None]), stripe.truth(grid(-9, 9, 181))
    )

    def funnel(z: float) -> float:
        return normal(z) + normal(1.0, math.sqrt(1 + math.exp(2 * z)))

    def funnelled(z: Tensor) -> Tensor:
        return -0.5 * ((z[..., 1] - 1.0) / z[..., 0].exp()).square() - z[..., 0] - 0.5 * math.log(2 * math.pi)

    yield Case("funnel", flat, funnelled, integral(funnel, grid(-9, 9, 73)))
    yield spot("spot of width 0.05", 0.05)


def edges() -> Iterator[Case]:
    """Two features and a discontinuity, or a prior that is not normal."""
    flat = prior(Gaussian(2))
    half = [(cdf(0.3), 0.0), (cdf(-0.3), -4.0)]
    yield Case("step along an axis", flat, lambda z: -4.0 * (z[..., 0] > 0.3).double(), mixed(*half), smooth=False)
    yield Case(
        "slanted step",
        flat,
        lambda z: -4.0 * (0.6 * z[..., 0] + 0.8 * z[..., 1] > 0.3).double(),
        mixed(*half),
        smooth=False,
    )
    yield Case("Student prior, two features", prior(StudentT(2, 3.0)), lambda z: torch.zeros_like(z[..., 0]), 0.0)

    def heavy(z: float) -> float:
        return student(z) + normal(z, 0.5, 6.0)

    one = math.log(cdf(4.5) - cdf(-0.5))
    yield Case(
        "uniform prior, two features", prior(Beta(2)), lambda z: gauss(z, 0.1, 0.2).sum(-1), 2 * one, smooth=False
    )
    both = integral(heavy, grid(0, 12, 49, -20.0, -5.0, 20.0, 40.0), -7)
    yield Case("Student prior, two outliers", prior(StudentT(2, 3.0)), lambda z: gauss(z, 6.0, 0.5).sum(-1), 2 * both)

    def laplace(z: float) -> float:
        return -abs(z) - math.log(2) + normal(z, 0.3, 0.2)

    yield Case(
        "Laplace prior, two features",
        prior(Laplace(2)),
        lambda z: gauss(z, 0.2, 0.3).sum(-1),
        2 * integral(laplace, grid(-4, 5, 37, 0.0)),
        smooth=False,
    )
    raw = [0.0, 0.0, *[r for m, s in ((-2.0, 0.1), (3.0, 0.3)) for r in (m, m, *[at(m, s)[1]] * 2)]]
    two = [(0.5, 2 * normal(1.0, math.hypot(1.5, s), m)) for m, s in ((-2.0, 0.1), (3.0, 0.3))]
    yield Case(
        "two parts in the prior",
        prior(Mixture(Gaussian(2), 2), *raw),
        lambda z: gauss(z, 1.0, 1.5).sum(-1),
        mixed(*two),
    )


ZOO: tuple[Case, ...] = tuple(case for part in (decoders, curves, priors, rings, planes, edges) for case in part())
LIMITS: tuple[Case, ...] = (spike("mode of width 0.0005", 2.2, 0.0005), spot("spot of width 0.01", 0.01))
