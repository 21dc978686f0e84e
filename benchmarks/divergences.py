"""One Gaussian guide, two divergences, a posterior with two modes: docs/divergences.md and its picture.

python benchmarks/divergences.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from jensen.core.batch import Batch, Rows
from jensen.estimators.reparameterized import Pathwise
from jensen.estimators.wake_sleep import DetachedSamples
from jensen.families import Gaussian
from jensen.guides import Shared
from jensen.models.conditionals import Given, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.objectives import Elbo
from jensen.objectives.wake_sleep import Inclusive
from jensen.training import Budget, Optimizer, Player, Trainer

DOCS = Path(__file__).resolve().parent.parent / "docs"
STEPS = 250


class Square(nn.Module):
    """z -> z^2 - 4."""

    def forward(self, z: Tensor) -> Tensor:
        return z.square() - 4


def main() -> None:
    """Train both, measure both divergences of both on a grid, write the page."""
    model = LatentVariableModel(Unconditional(Gaussian(1)), Given(Square(), Gaussian(1, 1.0))).double()
    batch = Batch(torch.zeros(1, 1).double())
    z = torch.linspace(-6, 6, 6001).double()
    step = float(z[1] - z[0])
    with torch.no_grad():
        log_joint = model.log_joint(batch, z[:, None, None])[:, 0]
        log_p = log_joint - torch.logsumexp(log_joint, 0) - torch.tensor(step).log()
    found = {}
    for name in ("exclusive", "inclusive"):
        guide = Shared(Unconditional(Gaussian(1), learn=True)).double()
        with torch.no_grad():
            guide.conditional.value.copy_(torch.tensor([1.5, -1.0] if name == "exclusive" else [1.0, 1.0]))
        phi, how = list(guide.parameters()), Optimizer("Adam", 0.05)
        player = Player(Elbo(), phi, Pathwise(100), how)
        if name == "inclusive":
            player = Player(Inclusive(), phi, DetachedSamples(1000), how)
        Trainer().fit(model, guide, [player], Rows(batch.x.expand(STEPS, 1)), Budget(1, 1))
        with torch.no_grad():
            q = guide(batch)
            log_q = q.log_prob(z[:, None])
            down = float((log_q.exp() * (log_q - log_p)).sum() * step)
            up = float((log_p.exp() * (log_p - log_q)).sum() * step)
            found[name] = (float(q.mean), float(q.stddev), down, up, log_q.exp().numpy())
    _draw(z, log_p.exp(), found)
    rows = [
        f"| {name} | {mean:.2f} | {sd:.2f} | {down:.2f} | {up:.2f} |" for name, (mean, sd, down, up, _) in found.items()
    ]
    (DOCS / "divergences.md").write_text(PAGE.format(rows="\n".join(rows)), encoding="utf-8")


def _draw(z: Tensor, p: Tensor, found: dict[str, tuple]) -> None:
    plt.rcParams |= {"svg.hashsalt": "divergences", "font.family": "sans-serif"}
    figure, axes = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
    axes.fill_between(z, p, color="#D0D0D0", label="posterior p(z | x)", linewidth=0)
    for (name, (*_, q)), colour, dash in zip(found.items(), ("#0072B2", "#D55E00"), ("-", "--"), strict=True):
        axes.plot(z, q, dash, color=colour, label={"exclusive": "KL(q || p)", "inclusive": "KL(p || q)"}[name])
    axes.set(xlabel="z", ylabel="density", xlim=(-5, 5), ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(DOCS / "images" / "divergences.svg", metadata={"Date": None})


PAGE = """# Two divergences

A guide can be fitted by two divergences. The ELBO minimises the exclusive KL(q || p), which penalises mass where the
posterior has none: of two modes it selects one. Wake-sleep and importance weights minimise the inclusive KL(p || q),
which penalises missing mass: it covers both modes, and what lies between them.

Here z ~ N(0, 1) and x ~ N(z² - 4, 1), observed at x = 0: z is near 1.8 or near -1.8. The guide is one Gaussian,
trained by
`Player(Elbo(), phi, Pathwise(100))` and by `Player(Inclusive(), phi, DetachedSamples(1000))`. The divergences are
integrals over a grid, in nats; each guide is the better one by its own divergence. The first is initialised near a
mode:
from a wide initialisation it stays wide, in a worse optimum. The second is initialised wide: importance weights contain
no information on a mode that no point of the guide reaches, so that from a narrow initialisation it stays at one mode.

| trained on | mean | s.d. | KL(q \\|\\| p) | KL(p \\|\\| q) |
|---|---|---|---|---|
{rows}

![A posterior of two modes: one Gaussian sits on the right one, a wider one covers both.](images/divergences.svg)

The recipes `wake-sleep` and `reweighted-wake-sleep` train guides by the inclusive one. This page is written by
`python benchmarks/divergences.py`.
"""

if __name__ == "__main__":
    main()
