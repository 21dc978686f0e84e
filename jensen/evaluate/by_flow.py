"""log p(x) by the probability flow of a chain: another density than the chain's, by the same network."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..core.batch import Batch, Rows
from ..core.errors import CompositionError
from ..core.random import copied, drawing_from, stream
from ..core.rows import evenly_spaced
from ..core.validation import require_finite, require_integer
from ..models.diffused import DiffusionPrior
from ..models.diffusion import Diffusion
from ..models.draw import place
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..models.probability_flow import EXACT_MOST, FlowPath, ProbabilityFlow, follow_flow
from .estimate import Estimate, Evaluator, Kind, ProgressCallback, exact_products
from .importance import importance_estimate

__all__ = ["ByFlow", "chain_of_model"]

POINTS = 5  # of q(z_0 | x), which is narrow, for each datum; of fewer the error is not known
TOLERANCE = 1e-4
NUMBERS, MOST = 1 << 18, 2048  # features of all points that are followed together, and points
CHECKED = 16  # rows whose paths are followed again, more exactly


@dataclass(frozen=True)
class ByFlow(Evaluator):
    r"""log p(x) of the model whose prior is the probability flow, at K points of q(z_0 | x) for each datum.

    .. math:: \log \tfrac1K \sum_k \frac{p(x|z_k)\, p_{\mathrm{flow}}(z_k)}{q(z_k|x)}, \qquad z_k \sim q(z_0|x)

    It is a stochastic lower bound, up to the error of the solver. With more than 32 features log p(z_0) is an unbiased
    estimate by random probes, of which the mean over points is a bound and importance weights are not: then it is the
    mean of the log-weights. Some rows are followed twice more by themselves, with this tolerance and a tenth of it,
    from the same points and with the same probes: `settings` has the largest difference as `solver_error`. In a batch
    steps are chosen for all of its points, so that a hard one may be less accurate there.

    Args:
        k: points per datum.
        tolerance: of the solver, absolute and relative, for each step.

    Source: Song et al., "Score-based generative modeling through stochastic differential equations", 2021.
    """

    k: int = POINTS
    tolerance: float = TOLERANCE

    def __post_init__(self) -> None:
        require_integer(1, **{"points per datum": self.k})
        require_finite(0, tolerance=self.tolerance)

    @torch.no_grad()
    def __call__(
        self, model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0, watch: ProgressCallback | None = None
    ) -> Estimate:
        chain, started = chain_of_model(model), time.monotonic()
        noise = stream(seed, "evaluation", data.device)
        points = min(max(NUMBERS // chain.dim, 1), MOST)
        parts, counts = [], []
        with exact_products(data.device):
            for batch in data.batches(max(points // self.k, 1), noise):
                *columns, path = self._weights(model, guide, batch, noise)
                parts.append(columns)
                counts.append(path.evaluations)
                if watch is not None:
                    watch(min(batch.before + len(batch) / len(data), 1.0))
            error = self._solver_error(model, guide, data, seed)
        log_w, distortion = (torch.cat(list(column), 1) for column in zip(*parts, strict=True))
        settings = {
            "points": self.k,
            "tolerance": self.tolerance,
            "evaluations": round(sum(counts) / len(counts)),
            "solver_error": error,
            "checked": min(CHECKED, len(data)),
            "trace": "exact" if chain.dim <= EXACT_MOST else "estimated",
        }
        return replace(
            self._estimate(log_w, chain.dim <= EXACT_MOST),
            distortion=distortion.mean(0),
            rate=-distortion.mean(0) - log_w.mean(0),
            settings=settings,
            seconds=time.monotonic() - started,
        )

    def _weights(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, noise: torch.Generator
    ) -> tuple[Tensor, Tensor, FlowPath]:
        """Return log-weights and distortions [K, B], and the paths."""
        q = guide(batch)
        z, _ = place(q, self.k, noise)
        log_lik = model.likelihood.scored_batch(model.likelihood_params(z, batch.context), batch).expand(z.shape[:2])
        with drawing_from(noise):
            path = follow_flow(chain_of_model(model), z, tolerance=self.tolerance, context=_label(model, batch))
        log_w = log_lik + path.log_prob - q.log_prob(z)
        return log_w.double().cpu(), -log_lik.double().cpu(), path

    def _estimate(self, log_w: Tensor, is_exact: bool) -> Estimate:
        """Return the estimate of log-weights [K, N], which are importance weights if the trace is exact."""
        if is_exact:
            shares = torch.softmax(log_w, 0)
            log_mean = log_w.logsumexp(0) - math.log(self.k)
            return importance_estimate(log_mean, shares.square().sum(0), self.k)
        variance = None if self.k == 1 else log_w.var(0) / self.k
        return Estimate(Kind.STOCHASTIC_LOWER, log_w.mean(0), variance_mc=variance)

    def _solver_error(self, model: LatentVariableModel, guide: Guide, data: Rows, seed: int) -> float:
        """Return the largest difference of log p(z_0) of some rows by this tolerance and by a tenth of it, in nats.

        The rows are followed by themselves, at new points; in a larger batch steps are chosen for all of it.
        """
        chain, noise = chain_of_model(model), stream(seed, "error of the solver", data.device)
        batch = data.take(evenly_spaced(len(data), CHECKED, data.device), noise)
        z, _ = place(guide(batch), 1, noise)
        values = []
        for tolerance in (self.tolerance, self.tolerance / 10):
            with drawing_from(copied(noise)):  # the same probes
                path = follow_flow(chain, z, tolerance=tolerance, context=_label(model, batch))
            values.append(path.log_prob.double())
        return float((values[0] - values[1]).abs().max())


def _label(model: LatentVariableModel, batch: Batch) -> Tensor | None:
    return batch.context if chain_of_model(model).context else None


def chain_of_model(model: LatentVariableModel) -> Diffusion:
    """Return the chain whose flow is followed.

    Raises:
        CompositionError: the prior has none.
    """
    prior = model.prior
    if not isinstance(prior, DiffusionPrior | ProbabilityFlow):
        raise CompositionError(
            f"the method flow follows the probability flow of a diffusion, and the prior is {prior.phrase}",
            "Leave --method out; or train a diffusion: --recipe diffusion, or latent-diffusion.",
        )
    return prior.diffusion
