"""From a ladder to T levels to continuous time, with exact denoisers: docs/diffusion-theory.md.

python -m benchmarks.levels
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from benchmarks.pictures import COLOURS, save, subplots, table, write
from jensen.models.diffusion import Diffusion
from jensen.models.noise_schedules import CosineSchedule, LinearSchedule, NoiseSchedule, signal_and_noise
from jensen.models.probability_flow import follow_flow

START, END = -9.0, 6.0
LEVELS = tuple(2**n for n in range(9))
NODES = 64  # of Gauss and Hermite, for x of each component and for the noise
FACTOR = 0.7  # of the velocity, where the network is wrong


@dataclass(frozen=True)
class Data:
    """A mixture of Gaussians: what is known of it, and points with weights by which means over it are computed.

    Attributes:
        weights, loc, covariance: [C], [C, D], [C, D, D].
        points, measure: [N, D] and [N] of x.
        noise, noise_measure: [M, D] and [M] of the noise.
    """

    weights: Tensor
    loc: Tensor
    covariance: Tensor
    points: Tensor
    measure: Tensor
    noise: Tensor
    noise_measure: Tensor

    @property
    def dim(self) -> int:
        return self.loc.shape[-1]

    def at(self, gamma: Tensor) -> MixtureSameFamily:
        """The distribution of z_t at one gamma."""
        alpha, sigma = signal_and_noise(gamma)
        covariance = alpha**2 * self.covariance + sigma**2 * torch.eye(self.dim).to(self.loc)
        return MixtureSameFamily(Categorical(self.weights), MultivariateNormal(alpha * self.loc, covariance))

    @property
    def log_px(self) -> float:
        """E log p(x) in nats."""
        own = MixtureSameFamily(Categorical(self.weights), MultivariateNormal(self.loc, self.covariance))
        return float(self.measure @ own.log_prob(self.points))

    def mean_log_p(self, gamma: Tensor) -> float:
        """E log p(z_t) in nats."""
        alpha, sigma = signal_and_noise(gamma)
        values = self.at(gamma).log_prob(alpha * self.points + sigma * self.noise[:, None])
        return float(self.noise_measure @ values @ self.measure)


def hermite(n: int) -> tuple[Tensor, Tensor]:
    """Points and weights of a mean over a standard normal."""
    points, weights = np.polynomial.hermite_e.hermegauss(n)
    return torch.from_numpy(points), torch.from_numpy(weights / weights.sum())


def gaussian() -> Data:
    """Three correlated features; what is averaged is quadratic, so that points with the right two moments are exact."""
    loc = torch.tensor([[0.3, -0.8, 0.1]], dtype=torch.float64)
    root = torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.4, 0.0], [-0.5, 0.2, 0.7]], dtype=torch.float64)
    noise = math.sqrt(3) * torch.cat([torch.eye(3), -torch.eye(3)]).double()
    sixth = torch.full((6,), 1 / 6, dtype=torch.float64)
    return Data(torch.ones(1).double(), loc, (root @ root.T)[None], loc + noise @ root.T, sixth, noise, sixth)


def mixture() -> Data:
    """0.3 N(-2, 0.5^2) + 0.7 N(1, 0.3^2)."""
    weights = torch.tensor([0.3, 0.7], dtype=torch.float64)
    loc, scale = torch.tensor([-2.0, 1.0], dtype=torch.float64), torch.tensor([0.5, 0.3], dtype=torch.float64)
    nodes, own = hermite(NODES)
    points, measure = (loc[:, None] + scale[:, None] * nodes).reshape(-1, 1), (weights[:, None] * own).flatten()
    return Data(weights, loc[:, None], scale.square()[:, None, None], points, measure, nodes[:, None], own)


class Denoiser(nn.Module):
    """[z, features of gamma] -> the velocity (alpha z - E[x | z]) / sigma, exactly."""

    def __init__(self, data: Data, factor: float = 1.0) -> None:
        super().__init__()
        self.data, self.factor = data, factor

    def forward(self, inputs: Tensor) -> Tensor:
        d = self.data.dim
        z, gamma = inputs[..., :d], START + (END - START) * inputs[..., d].flatten()[0]
        alpha, sigma = signal_and_noise(gamma)
        noisy = self.data.at(gamma)
        parts = noisy.component_distribution
        log_p = noisy.mixture_distribution.logits + parts.log_prob(z[..., None, :])
        inside = torch.linalg.solve(parts.covariance_matrix, (z[..., None, :] - parts.mean)[..., None])
        x = self.data.loc + alpha * (self.data.covariance @ inside)[..., 0]
        mean = (torch.softmax(log_p, -1)[..., None] * x).sum(-2)
        return self.factor * (alpha * z - mean) / sigma


def chain(data: Data, levels: int | None, schedule: NoiseSchedule, factor: float = 1.0) -> Diffusion:
    return Diffusion(data.dim, Denoiser(data, factor), schedule, levels).double()


def term(data: Data, diffusion: Diffusion, t: float) -> float:
    """The mean of the rate's term of time t, over data and noise."""
    noise = data.noise[:, None].expand(-1, len(data.points), -1)
    values = diffusion.level_rate(data.points.expand_as(noise), torch.full(noise.shape[:2], t).double(), noise)
    return float(data.noise_measure @ values @ data.measure)


@torch.no_grad()
def rate(data: Data, diffusion: Diffusion) -> float:
    """The rate of the levels, or in continuous time by a quadrature of 200 points."""
    if diffusion.levels is not None:
        return float(np.mean([term(data, diffusion, (i + 0.5) / diffusion.levels) for i in range(diffusion.levels)]))
    nodes, weights = np.polynomial.legendre.leggauss(200)
    return sum(w / 2 * term(data, diffusion, (t + 1) / 2) for t, w in zip(nodes, weights, strict=True))


@torch.no_grad()
def bound(data: Data, diffusion: Diffusion) -> float:
    """The mean bound with p(x | z_0) of the data's own distribution, in nats per datum.

    By Bayes' rule the distortion is -E log p(x) - E log q(z_0 | x) + E log p(z_0).
    """
    gamma = diffusion.schedule(torch.zeros((), dtype=torch.float64))
    entropy = 0.5 * data.dim * float(torch.log(2 * math.pi * math.e * torch.sigmoid(gamma)))
    distortion = -data.log_px + entropy + data.mean_log_p(gamma)
    top = float(diffusion.top_rate(data.points) @ data.measure)
    return -distortion - top - rate(data, diffusion)


def top_cost(data: Data, schedule: NoiseSchedule) -> float:
    """KL(p(z_1) || N(0, I)): what the top loses."""
    gamma = schedule(torch.ones((), dtype=torch.float64))
    alpha, sigma = signal_and_noise(gamma)
    square = data.measure @ (alpha**2 * data.points.square().sum(-1)) + data.dim * sigma**2
    cross = -0.5 * float(square) - 0.5 * data.dim * math.log(2 * math.pi)
    return data.mean_log_p(gamma) - cross


def bottom_cost(data: Data, schedule: NoiseSchedule) -> float:
    """What p(x | z_0) = N(z_0 / alpha_0, sigma_0^2 / alpha_0^2) loses against that of the data's own distribution."""
    gamma = schedule(torch.zeros((), dtype=torch.float64))
    alpha, sigma = signal_and_noise(gamma)
    exact = data.log_px - 0.5 * data.dim * float(torch.log(2 * math.pi * math.e * sigma**2)) - data.mean_log_p(gamma)
    simple = -0.5 * data.dim * float(torch.log(2 * math.pi * math.e * sigma**2 / alpha**2))
    return exact - simple


def flow(data: Data, diffusion: Diffusion) -> float:
    """E log p(z_0) by the probability flow, less the exact one, in nats."""
    gamma = diffusion.schedule(torch.zeros((), dtype=torch.float64))
    alpha, sigma = signal_and_noise(gamma)
    z = alpha * data.points + sigma * data.noise[:, None, :]
    mass = data.noise_measure[:, None] * data.measure
    kept = mass > 1e-9  # farther points are weighed by nothing
    values = follow_flow(diffusion, z[kept], tolerance=1e-6).log_prob
    return float(mass[kept] @ (values - data.at(gamma).log_prob(z[kept])))


SCHEDULES: tuple[type[LinearSchedule] | type[CosineSchedule], ...] = (LinearSchedule, CosineSchedule)
Bounds = list[tuple[float, float]]


def bounds(data: Data) -> Bounds:
    """The bound with each schedule, of every number of levels and at last in continuous time."""
    return [tuple(bound(data, chain(data, t, s(START, END))) for s in SCHEDULES) for t in (*LEVELS, None)]  # type: ignore[misc]


def rows(limit: float, found: Bounds) -> list[list[str]]:
    """The table of one data set: T, the bound with both schedules, its gap, and T times the gap."""
    lines = []
    for levels, pair in zip((*LEVELS, None), found, strict=True):
        gaps = [abs(round(limit - b, 3)) if levels is None else limit - b for b in pair]
        cells = [*(f"{b:,.3f}" for b in pair), *(f"{g:,.3f}" for g in gaps)]
        lines.append(["continuous" if levels is None else f"{levels}", *cells])
        lines[-1].append("" if levels is None else f"{levels * gaps[0]:,.1f}")
    return lines


def limits(data: Data) -> float:
    """E log p(x) less what the top costs: the bound of infinitely many levels."""
    return data.log_px - top_cost(data, LinearSchedule(START, END))


def slope(data: Data) -> float:
    """What T times the gap approaches with the linear schedule: a quarter of the integral of |dSNR/dt| d error/dt."""
    gammas = torch.linspace(START, END, 401, dtype=torch.float64)
    error, snr = curve(data, gammas), (-gammas).exp()
    between = (snr[:-1] + snr[1:]) / 2  # |dSNR/dt| is SNR times the length of the schedule
    return float(0.25 * (END - START) * (between * error.diff()).sum())


def curve(data: Data, gammas: Tensor) -> Tensor:
    """E ||x - E[x | z_t]||^2 at each gamma, from the rate of continuous time: twice that per unit of SNR."""
    linear = chain(data, None, LinearSchedule(START, END))
    values = [term(data, linear, float((g - START) / (END - START))) for g in gammas]
    return torch.tensor(values).double() * 2 / (END - START) * gammas.exp()  # the error of x, of that of the noise


def picture(data: Data, limit: dict[str, float], found: dict[str, Bounds]) -> str:
    """The gap against T, and the rate of the mixture as an area under a curve, with the steps of eight levels."""
    figure, ((left, right),) = subplots(9.6, 3.8, 1, 2)
    for i, name in enumerate(found):
        for j, (word, dash) in enumerate((("linear", "-"), ("cosine", "--"))):
            gaps = [limit[name] - pair[j] for pair in found[name][:-1]]
            left.plot(LEVELS, gaps, dash, color=COLOURS[i], marker="os"[i], markersize=4, label=f"{name}, {word}")
    first = 300.0
    left.plot([16, 256], [first, first / 16], color="#888888", linewidth=1)
    left.annotate("1/T", (64, first / 4), (4, 4), textcoords="offset points", color="#555555")
    left.set(xscale="log", yscale="log", xlabel="levels T", ylabel="gap to continuous time, nats per datum")
    left.set_xticks(LEVELS[::2], [str(n) for n in LEVELS[::2]])
    left.minorticks_off()
    left.legend(frameon=False, fontsize=9)
    gammas = torch.linspace(START, END, 121, dtype=torch.float64)
    error = curve(data, gammas) * (-gammas).exp() / 2
    ends = torch.linspace(START, END, 9, dtype=torch.float64)
    at_ends = curve(data, ends)
    right.plot(gammas, error, color=COLOURS[1])
    right.annotate("continuous time", (-8.9, 0.5), (0, -16), textcoords="offset points", color="#A34700", fontsize=9)
    for below, above, value in zip(ends[:-1], ends[1:], at_ends[1:], strict=True):
        height = 0.5 * value * ((-below).exp() - (-above).exp()) / (above - below)
        right.fill_between([below, above], [height] * 2, color=COLOURS[0], alpha=0.2, linewidth=0)
        right.plot([below, above], [height] * 2, color=COLOURS[0], linewidth=1.5)
    right.annotate("8 levels", (ends[0], 1.25), (6, 0), textcoords="offset points", color=COLOURS[0], fontsize=9)
    right.set(xlabel=r"$\gamma = \log(\sigma^2/\alpha^2)$", ylabel=r"rate per unit of $\gamma$, nats", ylim=(0, None))
    return save(figure, "levels.svg")


def main() -> None:
    """Measure, draw, and write the page."""
    cases = {"Gaussian": gaussian(), "mixture": mixture()}
    limit, found = ({name: f(data) for name, data in cases.items()} for f in (limits, bounds))
    schedule = LinearSchedule(START, END)
    heads = ["levels T", "bound, linear", "bound, cosine", "gap, linear", "gap, cosine", "T times the gap, linear"]
    of_mixture = cases["mixture"]
    wrong = chain(of_mixture, None, schedule, FACTOR)
    numbers = {
        f"{name}_{what}": value
        for name, data in cases.items()
        for what, value in (
            ("exact", data.log_px),
            ("top", top_cost(data, schedule)),
            ("slope", slope(data)),
            ("bottom", bottom_cost(data, schedule)),
            ("flow", flow(data, chain(data, None, schedule))),
        )
    }
    page = PAGE.format(
        alt=ALT,
        image=picture(of_mixture, limit, found),
        gaussian=table(heads, rows(limit["Gaussian"], found["Gaussian"])),
        mixture=table(heads, rows(limit["mixture"], found["mixture"])),
        start=START,
        end=END,
        factor=FACTOR,
        wrong_bound=limit["mixture"] - bound(of_mixture, wrong),
        wrong_flow=flow(of_mixture, wrong),
        **numbers,
    )
    write("diffusion-theory", page, "levels")


ALT = (
    "The gap between the bound of T levels and that of continuous time falls as 1/T for both data sets and schedules; "
    "the rate of eight levels is a staircase above the curve of continuous time."
)

PAGE = r"""
# From a ladder to continuous time

A hierarchical VAE has a ladder of latents, z_1 on top, and its rate is a sum over rungs: KL(q(z_1 | x) || p(z_1)) and,
for each rung below, the KL of q(z_s | z_t, x) from p(z_s | z_t). A diffusion is the ladder in which q is not learned:
it adds noise, z_t ~ N(alpha_t x, sigma_t^2), in T levels from gamma = log(sigma^2 / alpha^2) = {start:g} to {end:g}.
Its p is the same step with x replaced by an estimate from z_t, so that each rung costs, in nats,

    (SNR_s - SNR_t) / 2 * E ||x - x^(z_t)||^2,        SNR = alpha^2 / sigma^2 = e^-gamma.

Here nothing is trained. The estimate is the best there is, E[x | z_t] in closed form, and p(x | z_0) is the data's
own: what the bound loses is what the *chain* loses. The data are three correlated Gaussian features, and by quadrature
the mixture 0.3 N(-2, 0.5^2) + 0.7 N(1, 0.3^2). E log p(x) is {Gaussian_exact:.3f} and {mixture_exact:.3f} nats.

![{alt}]({image})

*Left: what T levels lose against continuous time; the slope is that of 1/T. Right: the rate of the mixture is an area.
Eight levels take the estimate at the noisy end of each level, so that their staircase lies above the curve.*

Gaussian, nats per datum:

{gaussian}

Mixture, nats per datum:

{mixture}

- **It rises with T.** A level from s to t pays for its whole range of SNR with the error at its noisy end. To split it
  at m makes the part from s to m cheaper by (SNR_s - SNR_m) / 2 times E ||x - x^(z_t)||^2 - E ||x - x^(z_m)||^2, and
  this is not negative: less noise is a better view of x.
- **The gap is of order 1/T.** It is the error of a sum over rectangles of one side: T times the gap approaches a
  quarter of the integral of |dSNR/dt| d error/dt, which is {Gaussian_slope:.1f} and {mixture_slope:.1f} with the linear
  schedule; see the last columns.
- **In continuous time the schedule does not matter.** The rate is the area under half the error as a function of SNR,
  and a schedule only says at which time each SNR is passed. With the same ends both have the same limit. With few
  levels they differ, by where their steps are fine; a learned one (`--noise-schedule learned --levels T`) places them.
- **The limit is log p(x) less what the ends cost.** The area is the mutual information of x with z_0 less that with z_1
  (Guo, Shamai & Verdu, 2005), so that only the top is lost: KL(p(z_1) || N(0, I)) is {Gaussian_top:.5f} and
  {mixture_top:.5f} nats. The bottom costs something where p(x | z_0) is not the data's own: a Gaussian about
  z_0 / alpha_0 of scale sigma_0 / alpha_0 costs {Gaussian_bottom:.5f} and {mixture_bottom:.5f} nats.
- **The probability flow is another density.** The ordinary differential equation dz/dgamma = alpha sigma v / 2 carries
  the same marginals if the velocity v is exact, and has a log p(z_0) by the divergence along its path (Song et al.,
  2021). On average it is {Gaussian_flow:+.5f} and {mixture_flow:+.5f} nats from the exact one: it loses the top too.
  With a wrong v the two densities differ. With {factor:g} v, for the mixture, the chain's bound is
  {wrong_bound:.3f} nats below its limit, and the flow's log p(z_0) is {wrong_flow:+.3f} nats from the exact one:
  neither bounds the other. So `jensen evaluate RUN --method flow` says of which density its number is.

In training the sum, or the integral, is estimated at one random time for each datum; `jensen evaluate RUN --levels
1,4,16,64,256` measures the bounds of T levels with the network that was trained. Sources: Sohl-Dickstein et al., 2015;
Kingma, Salimans, Poole & Ho, "Variational diffusion models", 2021.
"""

if __name__ == "__main__":
    main()
