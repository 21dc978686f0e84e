"""The gaps of the ELBO: approximation by the guide's family, and amortisation by its network."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..core.batch import Rows
from ..core.random import stream
from ..core.wording import plural
from ..families import Categorical
from ..guides import Flowing, Shared
from ..guides.refined import with_more_steps
from ..models.draw import place, weigh
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .estimate import Estimate, exact_products, format_nats
from .exact import Enumerated, number_of_states
from .generalisation import ERRORS
from .importance import widest

__all__ = ["Bounds", "Gaps", "describe_gaps", "elbo_per_datum", "elbos", "gaps", "lower_bounds"]

POINTS = 256  # points per datum of each ELBO: its noise must be small beside the gaps
AT_ONCE, NUMBERS = 32, 1 << 25  # points of a datum at once, and numbers of the widest layer
TIGHT = 0.1  # nats: a gap that is negligible
NOISY = 0.4  # nats: three standard errors of the Monte Carlo beyond which a gap of zero does not show a tight bound


@dataclass(frozen=True)
class Bounds:
    """The ELBO of the guide, and that of the best member of its family for each datum.

    Attributes:
        amortised: [N] the guide's ELBO, and `amortised_mc` [N] its Monte Carlo variance.
        refined: [N] that of the best member, and `refined_mc` [N] its variance; None where it is unknown.
        finite: the family holds every distribution over a finite latent, so that its best member is the posterior
            itself, and `refined` is not needed.
        reads: whether the guide reads x.
        proposal: the origin of the guide's own parameters for a datum, "encoder" or "steps".
    """

    amortised: Tensor
    amortised_mc: Tensor
    refined: Tensor | None = None
    refined_mc: Tensor | None = None
    finite: bool = False
    reads: bool = True
    proposal: str = "encoder"


@dataclass(frozen=True)
class Gaps:
    r"""The gap log p(x) - ELBO, split in two, per datum.

    .. math:: \log p(x) - \mathrm{ELBO}[q_\phi] = \underbrace{\log p(x) - \mathrm{ELBO}[q^*]}_{\text{approximation}}
              + \underbrace{\mathrm{ELBO}[q^*] - \mathrm{ELBO}[q_\phi]}_{\text{amortisation}}

    with q* the best member of the guide's family for each datum by itself. A categorical family holds every
    distribution over a finite latent, so that q* is the posterior and the first gap is zero. Where q* is unknown
    (flows, mixtures, one q for all data) only the sum of the two is measured.

    Neither estimate of the two is a bound. An estimate of log p(x) that is too low makes the first gap, and the sum,
    too small. Steps that stop before q* make ELBO[q*] too low, hence the first gap too large and the second one, the
    amortisation, too small.

    Attributes:
        log_px: the estimate that the gaps are measured against.
        bounds: the ELBOs.
        converged: whether that estimate has converged; where not, a small gap does not show that the ELBO is tight.
        weighted: whether the model was trained by the importance-weighted bound, which is then not advised.

    Source: Cremer, Li & Duvenaud, "Inference suboptimality in variational autoencoders", 2018.
    """

    log_px: Estimate
    bounds: Bounds
    converged: bool = True
    weighted: bool = False

    def shifted(self, nats: float | Tensor) -> Gaps:
        """Return the gaps in other units: a log-Jacobian, one for all or one each [N], added to log-densities."""
        b = self.bounds
        refined = None if b.refined is None else b.refined + nats
        bounds = replace(b, amortised=b.amortised + nats, refined=refined)
        return replace(self, log_px=self.log_px.shifted(nats), bounds=bounds)

    @property
    def _nats(self) -> Tensor:
        return torch.as_tensor(self.log_px.nats).double()

    @property
    def refined(self) -> Tensor | None:
        """[N], the ELBO of the best member of the family; None where it is unknown."""
        return self._nats if self.bounds.finite else self.bounds.refined

    @property
    def whole(self) -> Tensor:
        """[N], log p(x) - ELBO."""
        return self._nats - self.bounds.amortised

    @property
    def approximation(self) -> Tensor | None:
        """[N], the part of the gap due to the guide's family; None where the gap cannot be split."""
        return None if self.refined is None else self._nats - self.refined

    @property
    def amortisation(self) -> Tensor | None:
        """[N], the part of the gap due to the network that proposes parameters; None where the gap cannot be split."""
        return None if self.refined is None else self.refined - self.bounds.amortised

    @property
    def advice(self) -> str:
        """Advice on the part of the guide to enlarge; with a warning where log p(x) has not converged.

        A part of the gap is called the larger one only where it is so by more than three standard errors.
        """
        mean, error = float(self.whole.mean()), self._noise
        if not math.isfinite(mean):
            return "No gap is known: a value is not finite."
        if mean < -ERRORS * error - TIGHT:
            return "The ELBO is above the estimate of log p(x), which is therefore too low: no gap is known."
        if self.converged:
            return self._advice
        warning = "The estimate has not converged, so the gap may be larger than measured."
        return warning if mean < TIGHT else f"{self._advice} {warning}"

    @property
    def _noise(self) -> float:
        """The standard error of the mean gap over the Monte Carlo."""
        truth = 0.0 if self.log_px.variance_mc is None else float(self.log_px.variance_mc.double().sum())
        return math.sqrt(truth + float(self.bounds.amortised_mc.sum())) / len(self.bounds.amortised)

    @property
    def _advice(self) -> str:
        if float(self.whole.mean()) < TIGHT:
            if float(self.whole.mean()) + ERRORS * self._noise >= TIGHT + NOISY:
                return "The gap is within the noise of the Monte Carlo: whether the bound is tight is not clear."
            return f"The bound is tight: encoder and guide's family together cost less than {TIGHT:g} nats."
        if float(self.whole.mean()) < ERRORS * self._noise and self._noise > NOISY:
            return "The gap is within the noise of the Monte Carlo: neither its size nor its parts are clear."
        if not self.bounds.reads:
            return "The guide does not read x, which is the cause of the gap: use an amortised guide."
        if self.bounds.finite:
            return (
                "A categorical guide can be any distribution over the states, so the whole gap is the encoder's: "
                "enlarge the encoder, or train it longer."
            )
        if self.approximation is None or self.amortisation is None:
            return (
                "This guide's family is not refined datum by datum yet, so the gap is not split: "
                f"enlarge the encoder{self._or_weighted}."
            )
        if not _is_beyond_chance(self.amortisation - self.approximation):
            parts = f"the two differ by less than {ERRORS:.0f} standard errors"
            return f"Whether encoder or family costs more is not clear, {parts}: enlarge both{self._or_weighted}."
        if float(self.amortisation.mean()) > float(self.approximation.mean()):
            if self.bounds.proposal == "steps":
                return "Most of the gap is left by the guide's steps: let it take more of them."
            return "Most of the gap is the encoder's: enlarge the encoder, or train it longer."
        return f"Most of the gap is the guide's family: use a richer guide{self._or_weighted}."

    @property
    def _or_weighted(self) -> str:
        return "" if self.weighted else ", or train by the importance-weighted bound"

    def to_dict(self) -> dict[str, Any]:
        """Return means and standard errors over rows and over the Monte Carlo, in nats per datum, JSON-serialisable."""
        b, zero = self.bounds, torch.zeros_like(self.bounds.amortised)
        truth = zero if self.log_px.variance_mc is None else self.log_px.variance_mc.double()
        best = zero if b.refined_mc is None else b.refined_mc
        own = b.amortised_mc
        return {
            # for a finite latent the approximation gap is exactly zero
            "approximation": _mean_and_errors(self.approximation, zero if b.finite else truth + best),
            "amortisation": _mean_and_errors(self.amortisation, (truth if b.finite else best) + own),
            "gap": _mean_and_errors(self.whole, truth + own),
            "elbo": _mean_and_errors(b.amortised, own),
            "elbo_refined": _mean_and_errors(self.refined, truth if b.finite else best),
            "advice": self.advice,
            "against": str(self.log_px.kind),
            "proposal": b.proposal,
            "n": len(b.amortised),
        }


def _is_beyond_chance(values: Tensor) -> bool:
    """Return whether the mean of values [N] is above or below zero by more than three standard errors over rows."""
    return len(values) < 2 or abs(float(values.mean())) > ERRORS * float(values.std()) / math.sqrt(len(values))


def _mean_and_errors(values: Tensor | None, variance: Tensor) -> dict[str, float | None] | None:
    """Return the mean and its standard errors: over rows (None for a single one), and over the Monte Carlo."""
    if values is None:
        return None
    n = len(values)
    over_rows = float(values.std() / math.sqrt(n)) if n > 1 else None
    return {"mean": float(values.mean()), "stderr": over_rows, "stderr_mc": float(variance.sum().sqrt() / n)}


def describe_gaps(record: dict[str, Any]) -> str:
    """Return the gaps of a record (see `Gaps.to_dict`) in words, with their errors.

    Example:
        >>> part = {"mean": 1.204, "stderr": 0.05, "stderr_mc": 0.01}
        >>> describe_gaps({"approximation": part, "amortisation": {**part, "mean": 0.3}, "gap": None, "n": 100})
        'family 1.20 ± 0.05, encoder 0.30 ± 0.05 nats (100 rows; ± over rows, and at most 0.01 over Monte Carlo)'
    """
    proposal = record.get("proposal", "encoder")
    parts = {"family": record["approximation"], proposal: record["amortisation"]}
    if None in parts.values():
        parts = {f"family and {proposal}": record["gap"]}
    words = ", ".join(f"{name} {format_nats(part['mean'], part['stderr'])}" for name, part in parts.items())
    noise = max(part["stderr_mc"] for part in parts.values())
    over = "± over rows" if record["n"] > 1 else "a single row has no error over rows"
    return f"{words} nats ({plural(record['n'], 'row')}; {over}, and at most {noise:.2g} over Monte Carlo)"


@torch.no_grad()
def elbos(
    model: LatentVariableModel,
    guide: Guide,
    data: Rows,
    seed: int = 0,
    points: int = POINTS,
    size: int = 64,
    name: str = "elbo",
) -> tuple[Tensor, Tensor]:
    """Return the ELBO [N], E_q[log w] with many points per datum, and its Monte Carlo variance [N]: small where q is
    good.

    For a finite latent it is a sum over all states, without noise.

    Args:
        size: rows at once; fewer where a layer is so wide that their points would not fit into the memory.
        name: name of the random stream.
    """
    if number_of_states(model) is not None:
        elbo = torch.as_tensor(Enumerated()(model, guide, data, seed).elbo).double()
        return elbo, torch.zeros_like(elbo)
    noise, means, errors = stream(seed, name, data.device), [], []
    size = max(min(size, NUMBERS // (AT_ONCE * widest(model))), 1)
    with exact_products(data.device):
        for batch in data.batches(size, noise):
            q, parts = guide(batch), []
            for _ in range(0, points, AT_ONCE):
                z, eps = place(q, AT_ONCE, noise)
                parts.append(weigh(model, q, z, batch, noise=eps).log_weight.double())
            log_w = torch.cat(parts)
            means.append(log_w.mean(0))
            errors.append(log_w.var(0) / len(log_w))
    return torch.cat(means).cpu(), torch.cat(errors).cpu()


def elbo_per_datum(
    model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0, points: int = POINTS, size: int = 64
) -> Tensor:
    """Return the ELBO [N] of every row; see `elbos`."""
    return elbos(model, guide, data, seed, points, size)[0]


def lower_bounds(model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0, steps: int = 300) -> Bounds:
    """Return the ELBOs between which the gaps are measured.

    Args:
        steps: refinement steps per datum.
    """
    (own, own_mc), reads = elbos(model, guide, data, seed), _reads(guide)
    if isinstance(model.prior.family, Categorical):
        return Bounds(own, own_mc, finite=True, reads=reads)
    refined = with_more_steps(model, guide, steps, seed)
    if refined is None:
        return Bounds(own, own_mc, reads=reads)
    with exact_products(data.device):
        best, best_mc = elbos(model, refined, data, seed, size=256, name="elbo refined")
    return Bounds(own, own_mc, best, best_mc, proposal="steps" if guide.takes_steps else "encoder")


def _reads(guide: Guide) -> bool:
    """Return whether q depends on x: for a flow, through its base guide or by a context of its own."""
    if isinstance(guide, Flowing):
        return guide.context is not None or _reads(guide.guide)
    return not isinstance(guide, Shared)


def gaps(
    model: LatentVariableModel, guide: Guide, data: Rows, log_px: Estimate, seed: int = 0, steps: int = 300
) -> Gaps:
    """Measure both gaps on these rows, given an estimate of their log p(x).

    Args:
        steps: refinement steps per datum.
    """
    return Gaps(log_px, lower_bounds(model, guide, data, seed, steps))
