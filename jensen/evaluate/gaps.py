"""Where the bound is lost: the guide's family, or the network that proposes its parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..batch import Rows
from ..draw import place, weigh
from ..guides import Amortized, Guide
from ..model import LatentVariableModel
from ..randomness import stream
from ..refine import Refined
from .estimate import Estimate

__all__ = ["Gaps", "elbo_per_datum", "gaps"]

POINTS = 256  # points per datum of each ELBO: its noise must be small beside the gaps


@dataclass(frozen=True)
class Gaps:
    r"""log p(x) - ELBO, split in two, per datum.

    .. math:: \log p(x) - \mathrm{ELBO}[q_\phi] = \underbrace{\log p(x) - \mathrm{ELBO}[q^*]}_{\text{approximation}}
              + \underbrace{\mathrm{ELBO}[q^*] - \mathrm{ELBO}[q_\phi]}_{\text{amortisation}}

    with q* the best member of the guide's family for each datum by itself.

    Attributes:
        log_px: the estimate that the gaps are measured against; where it is a lower bound, so is the first gap.
        amortised, refined: [N] the two ELBOs.

    Source: Cremer, Li & Duvenaud, "Inference suboptimality in variational autoencoders", 2018.
    """

    log_px: Estimate
    amortised: Tensor
    refined: Tensor

    def shifted(self, nats: float) -> Gaps:
        """The same in other units: a log-Jacobian added to every log-density."""
        return Gaps(self.log_px.shifted(nats), self.amortised + nats, self.refined + nats)

    @property
    def approximation(self) -> Tensor:
        """[N]."""
        return torch.as_tensor(self.log_px.nats).double() - self.refined

    @property
    def amortisation(self) -> Tensor:
        """[N]."""
        return self.refined - self.amortised

    @property
    def advice(self) -> str:
        """What to enlarge, in a sentence."""
        near, far = float(self.amortisation.mean()), float(self.approximation.mean())
        if near + far < 0.1:
            return "The bound is tight: neither the encoder nor the guide's family costs more than 0.1 nats."
        if near > far:
            return "Most of the gap is the encoder's: enlarge the encoder, or train it longer."
        return "Most of the gap is the guide's family: use a richer guide, or the importance-weighted bound."

    def to_dict(self) -> dict[str, Any]:
        """Means and standard errors over data, in nats per datum."""

        def both(values: Tensor) -> dict[str, float]:
            return {"mean": float(values.mean()), "stderr": float(values.std() / math.sqrt(len(values)))}

        return {
            "approximation": both(self.approximation),
            "amortisation": both(self.amortisation),
            "elbo": both(self.amortised),
            "elbo_refined": both(self.refined),
            "advice": self.advice,
            "against": str(self.log_px.kind),
            "n": len(self.amortised),
        }


@torch.no_grad()
def elbo_per_datum(
    model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0, points: int = POINTS, size: int = 64
) -> Tensor:
    """The ELBO [N], E_q[log w] with many points per datum: its noise is the spread of log w, small where q is good."""
    noise, found = stream(seed, "elbo", data.device), []
    for batch in data.batches(size, noise):
        q = guide(batch)
        total = torch.zeros(len(batch), dtype=torch.float64, device=data.device)
        for _ in range(0, points, 32):
            z, eps = place(q, 32, noise)
            draw = weigh(model, q, z, batch, noise=eps)
            total += draw.log_weight.double().mean(0)
        found.append(total / math.ceil(points / 32))
    return torch.cat(found).cpu()


def gaps(
    model: LatentVariableModel, guide: Amortized, data: Rows, log_px: Estimate, seed: int = 0, steps: int = 300
) -> Gaps:
    """Measure both gaps on these rows, of which log p(x) has been estimated already.

    Args:
        steps: refinement steps per datum.
    """
    refined = Refined(model, guide, steps=steps, seed=seed)
    return Gaps(log_px, elbo_per_datum(model, guide, data, seed), elbo_per_datum(model, refined, data, seed, size=256))
