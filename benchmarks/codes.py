"""Codes that are used and codes that are not, by how a codebook starts and learns: docs/codes.md.

python -m benchmarks.codes
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import ClassVar

import torch
from torch import Tensor, nn

from benchmarks.pictures import COLOURS, save, subplots, table, write
from jensen.core.batch import Batch, Rows
from jensen.core.random import drawing_from, stream
from jensen.data import read, split
from jensen.estimators.reparameterized import Pathwise
from jensen.families import DiscretizedLogistic
from jensen.guides import Quantized
from jensen.models.autoregressive import over_codes
from jensen.models.codebooks import Codebook, CodePrior, Codes, Lattice, perplexity
from jensen.models.conditionals import Given
from jensen.models.draw import Draw
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP, Chain, Standardize
from jensen.objectives import Commitment, Distortion, Objective, Rate
from jensen.training import Budget, EpochEnded, Player, Trainer

CODES, WIDTH, LATENT = 128, 4, 8
LEVELS = (8, 4, 4)  # as many codes
HIDDEN = (100,)
EPOCHS, SHARE = 40, 0.6  # of the epochs are for the codes, the others for their prior
SEEDS = 3
LEVEL_COUNT = 17


class Pulled(Codes):
    """Codes that are parameters, to be pulled by gradients towards what is rounded to them.

    Args:
        clusters: whether they start as the clusters of the first batch; else at random.
    """

    def __init__(self, n: int, width: int, clusters: bool) -> None:
        super().__init__()
        self.n, self.width, self.starts = n, width, clusters
        self.table = nn.Parameter(torch.randn(n, width))

    @property
    def phrase(self) -> str:
        return f"codebook of {self.n} x {self.width}, learned by gradients"

    def nearest(self, h: Tensor) -> Tensor:
        return torch.cdist(h.detach(), self.table.detach()).argmin(-1)

    def vectors(self, index: Tensor) -> Tensor:
        return nn.functional.embedding(index, self.table)

    @torch.no_grad()
    def begin(self, h: Tensor) -> None:
        if not self.starts:
            return
        self.starts = len(h) < self.n * LATENT // 2  # a rehearsal shows few rows, and is taken back
        like = Codebook(self.n, self.width)
        like.begin(h)
        self.table.copy_(like.table)


@dataclass(frozen=True)
class Pull(Objective):
    """|h - e|^2 [B] by the codes e alone, h being constants: the second term of van den Oord et al., 2017."""

    codes: Codes

    needs_density: ClassVar[bool] = False
    needs_likelihood: ClassVar[bool] = False

    def __call__(self, draw: Draw) -> Tensor:
        state = draw.guide
        return (state.h.detach() - self.codes.flat_vectors(state.codes)).square().sum(-1)  # pyright: ignore[reportAttributeAccessIssue]


def _random() -> Codebook:
    codes = Codebook(CODES, WIDTH, revive=0.0)
    codes.steps.fill_(1)  # as if its first vectors had been seen: it stays where it was drawn
    return codes


WAYS: dict[str, Callable[[], Codes]] = {
    "gradients, random start": lambda: Pulled(CODES, WIDTH, clusters=False),
    "gradients, k-means start": lambda: Pulled(CODES, WIDTH, clusters=True),
    "moving averages, random start": _random,
    "moving averages, k-means start": lambda: Codebook(CODES, WIDTH, revive=0.0),
    "the same, dead codes revived": lambda: Codebook(CODES, WIDTH),
    "a lattice (FSQ)": lambda: Lattice(LEVELS),
}


@dataclass(frozen=True)
class Fit:
    """One training.

    Attributes:
        perplexities, shares: of the codes, and how many of all occur, over the training rows after each epoch.
        bound: -distortion - rate of the test rows with the learned prior, nats per datum; a lower bound without noise.
        distortion: of the same.
    """

    perplexities: tuple[float, ...]
    shares: tuple[float, ...]
    bound: float
    distortion: float


def digits() -> tuple[Rows, Rows]:
    """Training and test rows."""
    found = read("digits")
    where = split(len(found))
    x = torch.as_tensor(found.x).float()
    return Rows(x[where.train]), Rows(x[where.test])


def fit(way: str, seed: int, train: Rows, test: Rows, epochs: int = EPOCHS, hidden: Sequence[int] = HIDDEN) -> Fit:
    """Train, look at the codes after each epoch, and score the test rows."""
    scaled = Standardize(train.stored.shape[1]).set(train.stored.mean(0), train.stored.std(0))
    family = DiscretizedLogistic(train.stored.shape[1], LEVEL_COUNT)
    with drawing_from(stream(seed, "codes used")):
        codes = WAYS[way]()
        size = LATENT * codes.width
        over = over_codes(LATENT, codes.n)
        model = LatentVariableModel(CodePrior(codes, LATENT, over), Given(MLP(size, family.size, hidden), family))
        guide = Quantized(Chain((scaled, MLP(train.stored.shape[1], size, hidden))), codes, LATENT)
    climb = -Distortion() - Rate()
    if isinstance(codes, Pulled):
        climb = climb - Pull(codes)
    climb = climb if isinstance(codes, Lattice) else climb - 0.25 * Commitment()
    both = [*model.likelihood.parameters(), *guide.parameters()]
    first = Player(climb, both, Pathwise(), during=(0.0, SHARE))
    second = Player(-Rate(), list(over.parameters()), Pathwise(), during=(SHARE, 1.0))
    used: list[Tensor] = []

    def listen(event: object) -> None:
        if isinstance(event, EpochEnded):
            with torch.no_grad():
                used.append(guide(Batch(train.stored)).codes)  # pyright: ignore[reportAttributeAccessIssue]

    Trainer(seed=seed, listeners=[listen]).fit(model, guide, [first, second], train, Budget(epochs))
    with torch.no_grad():
        draw = Pathwise().draw(model, guide, Batch(test.stored), stream(seed, "test"))
        bound, distortion = -(draw.distortion + draw.rate).mean().item(), draw.distortion.mean().item()
    shares = tuple(len(index.unique()) / codes.n for index in used)
    return Fit(tuple(perplexity(index, codes.n) for index in used), shares, bound, distortion)


def _told(values: Sequence[float], places: int) -> str:
    """The mean over seeds, with its standard error."""
    return f"{mean(values):.{places}f} ± {stdev(values) / len(values) ** 0.5:.{places}f}"


def picture(found: dict[str, list[Fit]]) -> str:
    """Perplexity and share in use over epochs: lines are means over seeds, bands reach from the least to the most."""
    figure, axes = subplots(8.4, 4.6, 1, 2)
    epochs = range(1, round(EPOCHS * SHARE) + 1)
    dashes = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
    for column, name in enumerate(("perplexities", "shares")):
        for (way, fits), colour, dash in zip(found.items(), COLOURS, dashes, strict=True):
            lines = [[100 * v if column else v for v in getattr(f, name)[: len(epochs)]] for f in fits]
            each = list(zip(*lines, strict=True))
            axes[0, column].plot(epochs, [mean(v) for v in each], color=colour, ls=dash, label=way)
            axes[0, column].fill_between(
                epochs, [min(v) for v in each], [max(v) for v in each], color=colour, alpha=0.15, linewidth=0
            )
    axes[0, 0].set(xlabel="epoch", ylabel=f"perplexity, of {CODES} codes", ylim=(0, CODES))
    axes[0, 1].set(xlabel="epoch", ylabel="codes that occur (%)", ylim=(0, 102))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return save(figure, "codes.svg")


def page(found: dict[str, list[Fit]]) -> None:
    """Draw, and write the page."""
    rows = [
        [
            way,
            _told([f.perplexities[-1] for f in fits], 0),
            f"{mean(100 * f.shares[-1] for f in fits):.0f} %",
            _told([f.distortion for f in fits], 1),
            _told([-f.bound - f.distortion for f in fits], 1),
            _told([f.bound for f in fits], 1),
        ]
        for way, fits in found.items()
    ]
    heads = ["codes learn by", "perplexity", "codes that occur", "distortion", "rate", "log p(x) ≥"]
    over = {way: [mean(v) for v in zip(*(f.perplexities for f in fits), strict=True)] for way, fits in found.items()}
    pulled, clustered, random, averaged, revived, lattice = over.values()
    low = min(range(len(averaged)), key=averaged.__getitem__)
    later = low + 4
    bounds = [mean(f.bound for f in fits) for fits in found.values()]
    told = {"codes": CODES, "latent": LATENT, "width": WIDTH, "levels": " x ".join(map(str, LEVELS)), "seeds": SEEDS}
    told |= {"first": round(EPOCHS * SHARE), "last": EPOCHS - round(EPOCHS * SHARE), "table": table(heads, rows)}
    told |= {"low": averaged[low], "when": low + 1, "later": later + 1, "bounds": (min(bounds), max(bounds))}
    told |= {"revived": revived[later], "unrevived": averaged[later], "start": clustered[0]}
    ends = [each[-1] for each in (pulled, clustered, random, averaged, revived, lattice)]
    write("codes", PAGE.format(image=picture(found), alt=ALT, ends=ends, **told), "codes")


def main() -> None:
    """Train each with several seeds, draw, write the page."""
    train, test = digits()
    page({way: [fit(way, seed, train, test) for seed in range(SEEDS)] for way in WAYS})


ALT = (
    "Perplexity and share of codes in use over epochs: codes that are pulled by gradients from clusters lose most of "
    "their perplexity and never get it back; those that are moving averages come back, sooner with revival; all of a "
    "lattice is in use from early on."
)

PAGE = """
# Codes in use

A VQ-VAE rounds each of its latents to the nearest of its codes. A code that is nearest to no latent carries no
information: where there are many, the effective codebook is smaller than its nominal size. The perplexity, exp of the
entropy of the codes' frequencies, is the number of codes in use if all of them were used equally often.

Here {latent} latents of a digit are rounded to {codes} codes of {width} numbers. Codes start at random, or at the
clusters (k-means) of the first batch. They are parameters, moved by gradients towards the vectors that are rounded to
them (the loss of van den Oord et al., 2017), or moving averages of these vectors; in the last variant, unused codes are
moved onto data, as in the recipe `vq-vae`. For comparison, a lattice of {levels} levels (`fsq`), which has no codes to
learn. Networks, data and schedule are the same for all. The codes are trained for {first} epochs; then they are fixed,
and an autoregressive prior over them is trained for {last}.

![{alt}]({image})

*On the training rows, after each epoch. Lines are means over {seeds} seeds, bands the range. A good line rises and
stays
high; one that falls and stays low has lost codes.*

{table}

Perplexity and codes that occur are those of the training rows at the end; distortion, rate and bound, in nats per
datum, are of the test rows with the learned prior. ± is a standard error over seeds.

- **A good initialisation is not enough.** The first batch is encoded by an untrained network, and its vectors lie close
  together. As they spread, a few codes at the edge become the nearest to most of them: with gradients, the perplexity
  falls from {start:.0f} after the first epoch to {ends[1]:.0f}. A code without vectors has no gradient, and does not
  move. Codes that start at random, and wider than the vectors, end at {ends[0]:.0f}.
- **Moving averages recover.** From clusters the perplexity falls too, to {low:.0f} in epoch {when}, but a code that is
  the mean of its vectors follows them: it returns to {ends[3]:.0f}, and from a random start ends at {ends[2]:.0f}.
- **Revival speeds the recovery.** In epoch {later} the perplexity is {revived:.0f} with it, {unrevived:.0f} without.
- **A lattice loses no codes:** all of them occur, if not equally often, and its perplexity ends at {ends[5]:.0f}.
- **More codes in use do not by themselves raise the bound.** The bounds lie between {bounds[0]:.1f} and {bounds[1]:.1f}
  nats, in another order than the perplexities: what more codes save in distortion, their prior pays as rate. Unused
codes
  are wasted capacity, which `jensen doctor` notes above nine tenths; the quality of a model is measured by the bound.
"""

if __name__ == "__main__":
    main()
