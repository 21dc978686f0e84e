"""log p(x) by importance sampling with three proposals, held against the exact evidence: docs/proposals.md.

python -m benchmarks.proposals
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from benchmarks.pictures import COLOURS, save, subplots, table, write
from jensen.core.batch import Batch, Rows
from jensen.core.random import stream
from jensen.estimators.reparameterized import Pathwise
from jensen.families import Gaussian
from jensen.guides import Amortized, Exact, Shared
from jensen.models.conditionals import Given, Linear, Unconditional
from jensen.models.draw import Draw
from jensen.models.guide import Guide
from jensen.models.model import LatentVariableModel
from jensen.objectives import ImportanceWeighted
from jensen.training.closed import PrincipalComponents

LATENT, DIGIT, ROWS = 8, 3, 100
POINTS = (1, 10, 100, 1000, 10000)
RELATIVE = 0.1  # the error of p(x) that points are counted for


@dataclass(frozen=True)
class Row:
    """What a proposal does.

    Attributes:
        name: of the proposal.
        gap: nats per datum between log p(x) and the ELBO: KL(q || p(z | x)).
        needed: points for a standard error of a tenth of p(x), the median over data, exactly; infinite if no number
            of points is enough.
        short: by how much the average of log (1/K) sum_k w_k falls short of log p(x), for each K.
        error: of that, over data.
    """

    name: str
    gap: float
    needed: float
    short: tuple[float, ...]
    error: tuple[float, ...]


def fitted() -> tuple[LatentVariableModel, Batch]:
    """Probabilistic PCA of all digits at its maximum, its latent axes turned; and some images of one digit."""
    x, y = load_digits(return_X_y=True)
    pixels = torch.as_tensor(x / 16, dtype=torch.float64)
    model = LatentVariableModel(Unconditional(Gaussian(LATENT)), Linear(LATENT, pixels.shape[1])).double()
    PrincipalComponents()(model, Rows(pixels))
    lik = model.likelihood
    # p(x) does not change, but posteriors are no longer diagonal: a diagonal guide has a gap
    turn = torch.linalg.qr(torch.randn(LATENT, LATENT, dtype=torch.float64, generator=stream(0, "turn")))[0]
    lik.assign(lik.W.detach() @ turn, lik.b.detach(), lik.noise_variance.detach())
    return model, Batch(pixels[torch.as_tensor(y == DIGIT)][:ROWS])


def normal(mean: Tensor, scale: Tensor) -> Shared:
    """One q(z) for all data."""
    family = Gaussian(LATENT)
    guide = Shared(Unconditional(family, learn=True)).double()
    with torch.no_grad():
        guide.conditional.value.copy_(torch.cat([mean, family.raw(scale)]))
    return guide


def diagonal(model: LatentVariableModel, wide: bool = False) -> Amortized:
    """q(z | x) with the posterior's mean, by a linear network, and a diagonal covariance: the best for the ELBO, or, if
    `wide`, that of the posterior's features."""
    lik, family = model.likelihood, Gaussian(LATENT)
    precision = torch.eye(LATENT, dtype=torch.float64) + lik.W.mT @ lik.W / lik.noise_variance
    to_mean = torch.linalg.solve(precision, lik.W.mT / lik.noise_variance)
    net = nn.Linear(to_mean.shape[1], 2 * LATENT).double()
    scale = precision.inverse().diagonal().sqrt() if wide else precision.diagonal().rsqrt()
    with torch.no_grad():
        net.weight.copy_(torch.cat([to_mean, torch.zeros_like(to_mean)]))
        net.bias.copy_(torch.cat([-to_mean @ lik.b, family.raw(scale)]))
    return Amortized(Given(net, family))


def excess(model: LatentVariableModel, guide: Guide, batch: Batch) -> Tensor:
    r"""The relative variance of one weight [B], exactly: \int p(z|x)^2 / q(z) dz - 1, a Gaussian integral."""
    q, p = guide(batch), model.posterior(batch)
    a, mean = p.covariance_matrix.inverse(), p.mean
    b, place = torch.diag_embed(q.variance.reciprocal()), q.mean
    c = 2 * a - b
    if bool((torch.linalg.eigvalsh(c) <= 0).any()):
        return torch.full((len(batch),), math.inf, dtype=torch.float64)
    h = 2 * (a @ mean[..., None]) - b @ place[..., None]
    square = (mean[..., None, :] @ a @ mean[..., None]).flatten()
    other = (place[..., None, :] @ b @ place[..., None]).flatten()
    exponent = 0.5 * (h.mT @ torch.linalg.solve(c, h)).flatten() - square + 0.5 * other
    volume = torch.logdet(a) - 0.5 * torch.logdet(b) - 0.5 * torch.logdet(c)
    return torch.expm1(volume + exponent)


def proposals(model: LatentVariableModel, batch: Batch) -> dict[str, Guide]:
    """Prior; one Gaussian for all of these data, of the moments of their posteriors; two for each; the exact one."""
    p = model.posterior(batch)
    spread = p.covariance_matrix.diagonal(dim1=-2, dim2=-1).mean(0) + p.mean.var(0, correction=0)
    zero = torch.zeros(LATENT, dtype=torch.float64)
    return {
        "the prior p(z)": normal(zero, zero + 1),
        "one q(z) for all": normal(p.mean.mean(0), spread.sqrt()),
        "q(z \\| x), best ELBO": diagonal(model),
        "q(z \\| x), wider": diagonal(model, wide=True),
        "p(z \\| x), exact": Exact(model),
    }


@torch.no_grad()
def measure(model: LatentVariableModel, batch: Batch, name: str, guide: Guide) -> Row:
    """Every number about one proposal."""
    exact = ImportanceWeighted()(Pathwise(1).draw(model, Exact(model), batch, stream(0, "exact")))
    draw: Draw = Pathwise(max(POINTS)).draw(model, guide, batch, stream(0, "points"))
    log_w, short, error = draw.log_weight, [], []
    for k in POINTS:
        # the average over as many estimates as the points allow: 10,000 of one point, one of 10,000
        groups = log_w.reshape(-1, k, len(batch))
        away = (exact - (torch.logsumexp(groups, 1) - math.log(k))).mean(0)
        short.append(float(away.mean()))
        error.append(float(away.std() / len(away) ** 0.5))
    from torch.distributions import kl_divergence

    q, p = guide(batch), model.posterior(batch)
    dense = torch.distributions.MultivariateNormal(
        q.mean, q.covariance_matrix if guide.is_exact else torch.diag_embed(q.variance)
    )
    gap = float(kl_divergence(dense, p).mean())
    over = torch.zeros(1) if guide.is_exact else excess(model, guide, batch)
    return Row(name, gap, max(1.0, float(over.median()) / RELATIVE**2), tuple(short), tuple(error))


def main() -> None:
    """Measure, draw, write the page."""
    model, batch = fitted()
    found = [measure(model, batch, name, guide) for name, guide in proposals(model, batch).items()]
    exact = ImportanceWeighted()(Pathwise(1).draw(model, Exact(model), batch, stream(0, "exact"))).mean()
    figure, axes = subplots(7.2, 3.6)
    for row, colour, dash, marker in zip(found, COLOURS, ("-", "--", "-.", ":", "-"), "os^Dv", strict=False):
        label = row.name.replace("\\", "")
        axes[0, 0].errorbar(POINTS, row.short, row.error, color=colour, ls=dash, marker=marker, label=label)
    axes[0, 0].set(xscale="log", yscale="symlog", xlabel="points per datum, K", ylabel="log p(x) - estimate (nats)")
    axes[0, 0].set_ylim(-0.1, None)
    axes[0, 0].legend(frameon=False)
    image = save(figure, "proposals.svg")
    rows = [
        [r.name, f"{r.gap:.2f}", "none is enough" if math.isinf(r.needed) else f"{r.needed:,.0f}"]
        + [f"{v:.2f}" for v in r.short]
        for r in found
    ]
    heads = [
        "proposal r",
        "KL(r \\|\\| p(z \\| x))",
        f"points for {RELATIVE:.0%} of p(x)",
        *(f"K = {k:,}" for k in POINTS),
    ]
    prior, shared, own, wide = found[:4]
    write(
        "proposals",
        PAGE.format(
            alts=ALTS,
            image=image,
            table=table(heads, rows),
            exact=exact.item(),
            latent=LATENT,
            n=len(batch),
            digit=DIGIT,
            prior=prior.short[-1],
            prior_needed=prior.needed,
            shared_needed=shared.needed,
            own=own.short[2],
            wide=wide.short[2],
            wide_needed=wide.needed,
        ),
        "proposals",
    )


ALTS = {
    "image": (
        "The gap of estimates of log p(x) against the number of points: the prior stays nats too low, "
        "one q for all data is better, q(z | x) is exact with a few points."
    ),
}

PAGE = """
# Three proposals

p(x) is an average over any r that is positive wherever p(x, z) is: p(x) = E_r[p(x | z) p(z) / r(z)]. Which r
decides how many points the average takes. Here the answer is known: probabilistic PCA of the digits with {latent}
latent features, at its maximum, for {n} images of the digit {digit}, whose exact evidence is {exact:.2f} nats per
datum on average.

![{alts[image]}]({image})

*Less is better. The s.e. over data is drawn where it can be seen; the prior's curve is still falling at 10,000
points.*

{table}

The columns K are log p(x) less the mean of log (1/K) sum_k w_k, in nats per datum: a lower bound on average, as
tight as the proposal is good. The second column is the exact gap of the ELBO; the third, from the variance of a weight
in closed form, the number of points that brings the standard error of p(x) to a tenth of it, for the median image.

- **The prior** fails: the likelihood is negligible at most of its points. It takes {prior_needed:,.0f} points, and with
  10,000 the estimate is still {prior:.2f} nats too low.
- **One q for all data** (a Gaussian with the average mean and spread of these images' posteriors) is poor: it takes
  {shared_needed:,.0f}. For *all* digits it would be no better than the prior: at the maximum of the likelihood the
  posteriors of the data average to the prior.
- **q(z | x)**, a diagonal Gaussian at the posterior's mean, is good, although posteriors here are not diagonal:
  {own:.3f} nats too low with 100 points. But the one that is best for the ELBO is narrower than the posterior in some
  direction, so that its weights have infinite variance: no number of points guarantees a small error of p(x). One as
  wide as the posterior's features takes {wide_needed:,.0f} points. With the exact posterior one is
  enough: every weight is p(x).

`Shared` and `Amortized` are jensen's guides of the second and the third kind; `jensen evaluate` uses the run's own.
"""

if __name__ == "__main__":
    main()
