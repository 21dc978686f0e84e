"""Codes: finite sets of vectors that latents are rounded to, learned or on a lattice, and priors over them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..core.errors import CompositionError, UsageError
from ..core.parts import part
from ..core.random import stream
from ..core.validation import require_integer
from ..distributions import Coded
from ..families import Gaussian, OneHots
from .conditionals import Conditional, Unconditional

__all__ = ["CodePrior", "Codebook", "Codes", "Lattice", "perplexity"]

SMALL = 1e-5  # added to the counts of codes before means are taken
ROUNDS = 10  # iterations of k-means
NUMBERS = 1 << 24  # distances that are formed at once


class Codes(nn.Module, ABC):
    """n vectors of E numbers.

    Attributes:
        n: the number of codes.
        width: E.
    """

    n: int
    width: int

    @abstractmethod
    def nearest(self, h: Tensor) -> Tensor:
        """Return the indices [...] of the codes nearest to h [..., E]."""

    def index_of(self, z: Tensor) -> Tensor:
        """Return the indices [...] of the codes that z [..., E] are; of what is no code, those of the nearest.

        Of equal codes it is the first: their common vector is one state of the latent.
        """
        return self.nearest(z)

    @abstractmethod
    def vectors(self, index: Tensor) -> Tensor:
        """Return the codes [..., E] at these indices [...]."""

    @property
    @abstractmethod
    def phrase(self) -> str:
        """A short description, for the sentence that describes a model."""

    def bounded(self, h: Tensor) -> Tensor:
        """Return h [..., E] as it is rounded: h itself, unless the codes fill a bounded space."""
        return h

    def begin(self, h: Tensor) -> None:
        """Initialise the codes from the first vectors [M, E] of training; the default keeps them."""
        return

    def learn(self, h: Tensor, index: Tensor) -> None:
        """Update the codes by the vectors [M, E] that a step of training rounded to these codes [M]."""
        return

    def flat_vectors(self, index: Tensor) -> Tensor:
        """Return the concatenated codes [..., G * E] at indices [..., G]."""
        return self.vectors(index).flatten(-2)

    def flat_index(self, z: Tensor) -> Tensor:
        """Return the indices [..., G] of the codes that z [..., G * E] are; see `index_of`."""
        return self.index_of(z.unflatten(-1, (-1, self.width)))


@part
class Codebook(Codes):
    r"""Learned codes: each is an exponential moving average of the vectors that are rounded to it.

    .. math:: N_j \gets \gamma N_j + (1-\gamma) n_j, \qquad m_j \gets \gamma m_j + (1-\gamma) \sum_{i \to j} h_i, \qquad
              e_j = m_j / N_j

    The codes start as the means of k-means over the first vectors of training. A code whose count falls below
    `revive` times the average count is moved onto a vector of the current batch. Both are random, seeded by the number
    of the step alone, so that training is reproducible.

    Args:
        n: codes.
        width: E.
        decay: gamma.
        revive: share of the average count; 0 leaves unused codes as they are.

    Source: van den Oord, Vinyals & Kavukcuoglu, "Neural discrete representation learning", 2017 (appendix A.1);
    Dhariwal et al., "Jukebox", 2020 (random restarts).

    Raises:
        UsageError: sizes below 1, or shares outside 0 to 1.

    Example:
        >>> codes = Codebook(4, 2)
        >>> codes.nearest(codes.vectors(torch.tensor([3, 1])))
        tensor([3, 1])
    """

    table: Tensor
    counts: Tensor
    sums: Tensor
    steps: Tensor

    def __init__(self, n: int, width: int, decay: float = 0.95, revive: float = 0.05) -> None:
        super().__init__()
        require_integer(n=n, width=width)
        if not 0 <= decay < 1 or not 0 <= revive < 1:
            raise UsageError(
                f"decay and revive must be at least 0 and below 1, got {decay:g} and {revive:g}",
                "Give shares from 0 to below 1.",
            )
        self.n, self.width, self.decay, self.revive = n, width, decay, revive
        table = torch.randn(n, width)
        self.register_buffer("table", table)
        self.register_buffer("counts", torch.ones(n))
        self.register_buffer("sums", table.clone())
        self.register_buffer("steps", torch.zeros(()))

    def nearest(self, h: Tensor) -> Tensor:
        flat = h.detach().reshape(-1, self.width)
        indices = [self.closest(piece) for piece in flat.split(max(NUMBERS // self.n, 1))]
        return torch.cat(indices).reshape(h.shape[:-1])

    def closest(self, h: Tensor) -> Tensor:
        """Return the indices [M] of the codes nearest to h [M, E], whose distances are formed all at once."""
        # |h - e|^2 / 2 without |h|^2 / 2, which is the same for all codes
        half = 0.5 * self.table.square().sum(-1)
        return torch.addmm(half, h, self.table.T.to(h), alpha=-1).argmin(-1)

    def index_of(self, z: Tensor) -> Tensor:
        table, flat = self.table.to(z), z.detach().reshape(-1, self.width)
        index = self.nearest(flat)
        # distances of codes that are equal, or nearly, differ by rounding alone: those codes are told apart by value
        first = _first_of_equals(table)
        index = first[index]
        other = torch.nonzero((table[index] != flat).any(-1))[:, 0]
        for rows in other.split(max(NUMBERS // self.table.numel(), 1)):
            same = (flat[rows][:, None] == table).all(-1)
            index[rows] = torch.where(same.any(-1), same.int().argmax(-1), index[rows])
        return index.reshape(z.shape[:-1])

    def vectors(self, index: Tensor) -> Tensor:
        return nn.functional.embedding(index, self.table)

    @torch.no_grad()
    def begin(self, h: Tensor) -> None:
        if float(self.steps):
            return
        self.steps.add_(1)
        flat = h.detach()
        order = torch.randperm(len(flat), generator=stream(0, "codes")).to(flat.device)
        self._set(flat[order[torch.arange(self.n, device=flat.device) % len(flat)]])
        for _ in range(ROUNDS):
            counts, sums = self._tally(flat, self.nearest(flat))
            means = sums / counts.clamp_min(1.0)[:, None]
            self._set(torch.where(counts[:, None] > 0, means, self.table))
        counts, _ = self._tally(flat, self.nearest(flat))
        self.counts.copy_(counts)
        self.sums.copy_(self.table * counts[:, None])

    def _set(self, table: Tensor) -> None:
        self.table.copy_(table)

    def _tally(self, h: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the number [n] of vectors that were rounded to each code, and their sum [n, E]."""
        counts = torch.zeros_like(self.counts).index_add_(0, index, torch.ones_like(h[:, 0]))
        return counts, torch.zeros_like(self.sums).index_add_(0, index, h)

    @torch.no_grad()
    def learn(self, h: Tensor, index: Tensor) -> None:
        counts, sums = self._tally(h, index)
        self.counts.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        total = self.counts.sum()
        smooth = (self.counts + SMALL) / (total + self.n * SMALL) * total
        self._set(self.sums / smooth[:, None])
        self.steps.add_(1)
        least = self.revive * total / self.n
        dead = torch.nonzero(self.counts < least)[:, 0]
        if len(dead):
            noise = stream(int(self.steps), "revived codes")
            chosen = torch.randint(len(h), (len(dead),), generator=noise).to(h.device)
            self.table[dead] = h[chosen]
            # the least count of a code in use, or it would be moved again at once
            self.counts[dead] = least
            self.sums[dead] = h[chosen] * least

    @property
    def phrase(self) -> str:
        return f"codebook of {self.n} x {self.width}"


@part
class Lattice(Codes):
    r"""Codes without a codebook: each of E numbers is bounded by a tanh and rounded to one of L_e levels in [-1, 1].

    Args:
        levels: L_1, ..., L_E, each two or more; there are as many codes as their product.

    Source: Mentzer, Minnen, Agustsson & Tschannen, "Finite scalar quantization: VQ-VAE made simple", 2024.

    Raises:
        UsageError: a number of levels below 2, or too many codes.

    Example:
        >>> Lattice((3, 2)).vectors(torch.arange(6))
        tensor([[-1., -1.],
                [ 0., -1.],
                [ 1., -1.],
                [-1.,  0.],
                [ 0.,  0.],
                [ 1.,  0.]])
    """

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        require_integer(2, levels=tuple(levels) or None)
        if math.prod(levels) > 1 << 24:
            raise UsageError(
                f"levels must make at most {1 << 24:,} codes, got {math.prod(levels):,}", "Give levels such as 8,5,5."
            )
        self.levels = tuple(levels)
        self.n, self.width = math.prod(self.levels), len(self.levels)

    def _sizes(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return L [E], and L / 2 rounded down."""
        levels = torch.tensor(self.levels, dtype=like.dtype, device=like.device)
        return levels, (levels / 2).floor()

    def bounded(self, h: Tensor) -> Tensor:
        levels, half = self._sizes(h)
        wide = (levels - 1) * (1 + 1e-3) / 2
        offset = torch.where(levels % 2 == 0, 0.5, 0.0).to(h)  # an even number has no middle level
        return (torch.tanh(h + torch.atanh(offset / wide)) * wide - offset) / half

    def nearest(self, h: Tensor) -> Tensor:
        levels, half = self._sizes(h)
        digits = torch.minimum((h.detach() * half).round() + half, levels - 1).clamp_min(0).long()
        base = [math.prod(self.levels[:e]) for e in range(self.width)]
        return (digits * torch.tensor(base, device=h.device)).sum(-1)

    def vectors(self, index: Tensor) -> Tensor:
        digits, quotient = [], index
        for level in self.levels:
            digits.append(quotient % level - level // 2)
            quotient = quotient // level
        halves = torch.tensor([level // 2 for level in self.levels], device=index.device)
        return torch.stack(digits, -1).to(torch.get_default_dtype()) / halves

    @property
    def phrase(self) -> str:
        return f"lattice of {'x'.join(map(str, self.levels))} codes"


@part
class CodePrior(Conditional):
    """p(z) of G code vectors by a distribution of their indices: the mass of vectors is that of their codes.

    Args:
        codes: shared with the guide.
        groups: G.
        over: p of the indices as one-hot groups [..., G * n]; None for uniform; `over_codes` makes a learned one.

    Raises:
        CompositionError: the distribution has another number of features.

    Example:
        >>> prior = CodePrior(Lattice((3, 3)), 2)
        >>> round(float(prior.log_prob(torch.zeros(2 * 2)).exp() * 9**2), 4)
        1.0
    """

    def __init__(self, codes: Codes, groups: int, over: Conditional | None = None) -> None:
        super().__init__()
        require_integer(groups=groups)
        self.codes, self.groups = codes, groups
        self.over = Unconditional(OneHots(groups, codes.n)) if over is None else over
        if self.over.family.dim != groups * codes.n:
            raise CompositionError(
                f"{self.over.phrase} has {self.over.family.dim} features, and {groups} groups of {codes.n} codes have"
                f" {groups * codes.n}",
                "Give a distribution of as many one-hot groups.",
            )
        self.family = Gaussian(groups * codes.width)  # for the size of an event alone

    def params(self, c: Tensor | None = None) -> Tensor:
        return self.over.params(c)

    def at(self, params: Tensor) -> Distribution:
        codes = self.codes
        width = self.groups * codes.width
        return Coded(self.over.at(params), codes.flat_vectors, codes.flat_index, codes.n, width)

    def scored(self, params: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            raise CompositionError("a latent cannot be observed in part", "Leave the mask out.")
        index = self.codes.flat_index(y)
        one_hot = nn.functional.one_hot(index, self.codes.n).flatten(-2).to(y.dtype)
        return self.over.scored(params, one_hot)

    @property
    def phrase(self) -> str:
        return f"{self.over.phrase} over the indices of a {self.codes.phrase}"


def _first_of_equals(table: Tensor) -> Tensor:
    """Return for each row of a table [n, E] the number [n] of the first row that is equal to it."""
    _, group = torch.unique(table, dim=0, return_inverse=True)
    numbers = torch.arange(len(table), device=table.device)
    first = torch.full_like(numbers, len(table)).scatter_reduce_(0, group, numbers, "amin")
    return first[group]


def perplexity(index: Tensor, n: int) -> float:
    """Return exp of the entropy of the frequencies of codes [...] among n: the effective number of codes in use.

    Example:
        >>> round(perplexity(torch.tensor([0, 1, 2, 2]), 8), 3)
        2.828
    """
    share = torch.bincount(index.flatten(), minlength=n).double() / max(index.numel(), 1)
    return float(torch.special.entr(share).sum().exp())
