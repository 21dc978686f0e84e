"""The sandwich of log p(x) for the model of a run: bounds from both sides, on data that it simulates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..evaluate import Annealed, Sandwich, Sandwiched
from ..evaluate.estimate import ProgressCallback
from .evaluation import circumstances
from .run import Run
from .simulated import like_part

__all__ = ["Certificate", "certify"]


@dataclass(frozen=True)
class Certificate:
    """A sandwich with the circumstances under which it holds; of simulated data, not of the run's own rows.

    Attributes:
        bounds: in the data's own units.
        run: its folder.
        weights: "raw" or "averaged".
        seed: of the simulated data and of all other noise.
        notes: for the user.
        replay: the request, with weights and versions.
    """

    bounds: Sandwiched
    run: str
    weights: str
    seed: int
    notes: tuple[str, ...]
    replay: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of every number."""
        lower = self.bounds.lower.to_dict()
        return {
            **self.bounds.to_dict(),
            "units": "nats per datum",
            **{name: lower[name] for name in ("acceptance", "spread", "settings", "seconds")},
            "run": self.run,
            "weights": self.weights,
            "seed": self.seed,
            "notes": list(self.notes),
            "replay": self.replay,
        }


def certify(
    run: Run,
    *,
    annealing: Annealed | None = None,
    rows: int = 100,
    seed: int = 0,
    watch: ProgressCallback | None = None,
) -> Certificate:
    """Return the sandwich of a run's model by bidirectional Monte Carlo; see `Sandwich`.

    Args:
        annealing: temperatures, leapfrog_steps, chains and start; `Annealed()` unless given.
        rows: data to simulate.
        seed: of all randomness.
        watch: progress callback, called with the fraction done, 0 to 1.

    Raises:
        UsageError: rows < 1.
        CompositionError: the model or the guide cannot be annealed.
    """
    chain, (part, notes) = annealing or Annealed(), like_part(run, seed)
    like, shift = (None, run.preparation.log_jacobian(run.schema.size)) if part is None else (part.rows, part.shift)
    bounds = Sandwich(chain, rows)(run.model, run.guide, seed, run.device, watch, like).shifted(shift)
    replay = circumstances(
        run.path, method="sandwich", k=None, assessment=None, halves=None, device=run.device, evaluator=chain
    )
    return Certificate(
        bounds=bounds,
        run=str(run.path),
        weights=run.weights,
        seed=seed,
        notes=(*run.unfinished, *notes),
        replay={**replay, "rows": rows},
    )
