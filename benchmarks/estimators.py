"""The gradient of the ELBO by the score function and by the path, against the exact one: docs/estimators.md.

python -m benchmarks.estimators
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.pictures import COLOURS, save, subplots, table, write
from jensen.core.batch import Batch
from jensen.core.random import drawing_from, stream
from jensen.estimators.base import GradientEstimator
from jensen.estimators.reparameterized import Pathwise, StickTheLanding
from jensen.estimators.score import Score
from jensen.families import Gaussian
from jensen.guides import Amortized
from jensen.models.conditionals import Given, Linear, Unconditional
from jensen.models.draw import weigh
from jensen.models.model import LatentVariableModel
from jensen.objectives import Elbo

LATENTS = (1, 2, 4, 8, 16)
DIM, POINTS, REPEATS = 20, 2, 4000


class Fixed(nn.Module):
    """A net [B, D] -> [B, P] that is a table of B rows: the gradient of each row is that of one repetition."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(values)

    def forward(self, x: Tensor) -> Tensor:
        return self.values


@dataclass(frozen=True)
class Found:
    """What an estimator's gradients are like.

    Attributes:
        name: of the estimator.
        latent: Z.
        bias: the largest distance of a mean from the exact gradient, in standard errors of that mean.
        variance: of one gradient, summed over the guide's parameters.
        signal: the exact gradient's square, summed likewise.
    """

    name: str
    latent: int
    bias: float
    variance: float
    signal: float


def case(latent: int, repeats: int) -> tuple[LatentVariableModel, Batch, Amortized]:
    """Probabilistic PCA, one datum it made, and a Gaussian guide that is off: the same for every repetition."""
    with drawing_from(stream(0, f"model {latent}")):
        model = LatentVariableModel(Unconditional(Gaussian(latent)), Linear(latent, DIM)).double()
    x = model.sample(1, stream(0, f"datum {latent}")).expand(repeats, -1)
    family = Gaussian(latent)
    values = torch.cat([torch.full((latent,), 0.3), family.raw(torch.full((latent,), 0.6))]).double()
    return model, Batch(x), Amortized(Given(Fixed(values.expand(repeats, -1).clone()), family))


def closed(model: LatentVariableModel, batch: Batch, guide: Amortized) -> Tensor:
    """The ELBO [B] in closed form: a linear model's expected log-likelihood is quadratic in z."""
    q, lik = guide(batch), model.likelihood
    at_mean = lik.log_prob(batch.x, q.mean[None])[0]
    spread = 0.5 * (q.variance * lik.W.square().sum(0)).sum(-1) / lik.noise_variance
    rate = 0.5 * (q.mean.square() + q.variance - 1 - q.variance.log()).sum(-1)
    return at_mean - spread - rate


def plain_score(model: LatentVariableModel, batch: Batch, guide: Amortized) -> Tensor:
    """[B] whose gradient is that of the score function without a baseline."""
    with torch.no_grad():
        z = Pathwise(POINTS).draw(model, guide, batch, stream(0, "score")).z
        log_w = weigh(model, guide(batch), z, batch).log_weight
    return (log_w * guide(batch).log_prob(z)).mean(0)


def by(estimator: GradientEstimator) -> Callable[[LatentVariableModel, Batch, Amortized], Tensor]:
    """[B] whose gradient is the estimator's."""

    def surrogate(model: LatentVariableModel, batch: Batch, guide: Amortized) -> Tensor:
        return estimator.surrogate(Elbo(), estimator.draw(model, guide, batch, stream(0, str(estimator))))

    return surrogate


ESTIMATORS = {
    "score function": plain_score,
    "score, with a baseline": by(Score(POINTS)),
    "reparameterised": by(Pathwise(POINTS)),
    "path alone": by(StickTheLanding(POINTS)),
}


def measure(name: str, latent: int, repeats: int = REPEATS) -> Found:
    """Gradients of every repetition, against the exact one."""
    model, batch, guide = case(latent, repeats)
    values = guide.conditional.net.values
    (exact,) = torch.autograd.grad(closed(model, batch, guide).sum(), values)
    (found,) = torch.autograd.grad(ESTIMATORS[name](model, batch, guide).sum(), values)
    away = (found.mean(0) - exact[0]) / (found.std(0) / math.sqrt(repeats))
    return Found(name, latent, float(away.abs().max()), float(found.var(0).sum()), float(exact[0].square().sum()))


def main() -> None:
    """Measure, draw, write the page."""
    found = {(name, z): measure(name, z) for name in ESTIMATORS for z in LATENTS}
    figure, axes = subplots(6.8, 3.6)
    for name, colour, dash, marker in zip(ESTIMATORS, COLOURS, ("--", "-.", "-", ":"), "os^D", strict=False):
        noise = [found[name, z].variance / found[name, z].signal for z in LATENTS]
        axes[0, 0].plot(LATENTS, noise, color=colour, ls=dash, marker=marker, label=name)
    axes[0, 0].set(xscale="log", yscale="log", xlabel="latent features, Z", ylabel="variance / squared gradient")
    axes[0, 0].set_xticks(LATENTS, [str(z) for z in LATENTS])
    axes[0, 0].minorticks_off()
    axes[0, 0].legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    image = save(figure, "estimators.svg")
    path = "reparameterised"
    rows = [
        [str(z)]
        + [f"{found[name, z].bias:.1f}" for name in ESTIMATORS]
        + [f"{found[name, z].variance / found[path, z].variance:,.2f}" for name in ESTIMATORS if name != path]
        for z in LATENTS
    ]
    heads = ["Z", *(f"bias, {name}" for name in ESTIMATORS), *(f"variance, {n}" for n in ESTIMATORS if n != path)]
    first, last = LATENTS[0], LATENTS[-1]
    ratio = {z: found["score function", z].variance / found[path, z].variance for z in (first, last)}
    told = {"dim": DIM, "points": POINTS, "repeats": REPEATS, "image": image, "table": table(heads, rows)}
    write("estimators", PAGE.format(alts=ALTS, **told, first=ratio[first], last=ratio[last], most=last), "estimators")


ALTS = {
    "image": (
        "Variance of a gradient over its square, against the number of latent features: the score function is"
        " tens to thousands of times noisier than the path, with a baseline it is in between."
    ),
}

PAGE = """
# Two ways to a gradient

The ELBO is an average over points z ~ q, and q moves with its parameters phi: differentiating by the product rule
leaves a term that is not an average over q. Two ways turn it into one. The *score function*, f(z) d log q(z) / d phi,
needs no path through z, and multiplies the noise of log q's slope with the whole value of f. *Reparameterised*, z =
mu + sigma eps with eps ~ N(0, 1), the gradient passes through z itself.

Here both are compared with the exact gradient: in probabilistic PCA ({dim} features of x, one datum, a Gaussian q
that is off
its posterior) the ELBO and its gradient have a closed form. Each gradient is from {points} points, and there are
{repeats:,} of each kind.

![{alts[image]}]({image})

*Lower is better. At 1 the noise of one gradient is as large as the gradient.*

{table}

- **Bias** is the largest distance of a mean gradient from the exact one, over all of phi, in standard errors of
  that mean: about 2 to 3 is what unbiased gradients give for so many parameters. All four are unbiased.
- **Variance** is in units of the reparameterised gradient's. The score function has {first:,.0f} times as much for
  one latent feature and {last:,.0f} times for {most}. A baseline (the other point of the same datum) removes what
  both points share.
- The *path alone* leaves out the score's own term, whose average is 0 (Roeder et al., 2017): it has the least
  variance near the posterior, where it goes to 0, but not necessarily far from it.

`Score`, `Pathwise` and `StickTheLanding` are jensen's names; `jensen gradients RUN` measures them on a run's own
model.
"""

if __name__ == "__main__":
    main()
