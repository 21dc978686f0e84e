"""The objective of a run, rebuilt from its record for a comparison of gradient estimators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..core.errors import CompositionError, CorruptRunError
from ..core.parts import build
from ..objectives import DIP, MMD, Distortion, Elbo, ImportanceWeighted, Objective, Rate, Renyi, Sum, TermKind

__all__ = ["compared_objective"]

# terms whose gradient several estimators give, all with the same expectation
COMPARED = {kind.__name__ for kind in (Distortion, Rate, Elbo, ImportanceWeighted, Renyi, MMD, DIP)}

_ALONE = "reads densities of the whole batch together, and only Pathwise(k) gives its gradient: nothing to compare"
_CRITIC = "needs a critic, which is not part of a trained model"
_GUIDE = "trains the guide alone, and is not a bound by which the model is trained"
REASONS = {
    **dict.fromkeys(("FreeBits", "Capacity", "TotalCorrelation"), _ALONE),
    **dict.fromkeys(("Discriminate", "GeneratorLoss", "LogRatio", "FeatureDistortion", "GradientPenalty"), _CRITIC),
    **dict.fromkeys(("SleepPhase", "Inclusive"), _GUIDE),
    "Commitment": "needs a guide that rounds to codes, which has no noise",
    "Classification": "needs labels, which these rows do not have",
}


def compared_objective(players: Sequence[Mapping[str, Any]]) -> Objective:
    """Return the objective that a run maximised, schedules at their target, the rate of an ELBO in its closed form.

    For several players, that with the most terms: the others have parts of it.

    Args:
        players: as recorded, each with the tree of its objective.

    Raises:
        CompositionError: the gradient of a term cannot be compared; with the reason.

    Example:
        >>> from jensen.core.parts import spec_of
        >>> from jensen.objectives import Ramp
        >>> [node] = spec_of(-Distortion() - Ramp(4.0, 90) * Rate())
        >>> str(compared_objective([{"objective": "", "parts": {"objective": node}}]))
        '-Distortion - 4 Rate'
    """
    objectives = [_rebuilt(player["parts"]["objective"], str(player["objective"])) for player in players]
    weighted = [o for o in objectives if any(t.kind is TermKind.IMPORTANCE_WEIGHTED for _, t in o.terms)]
    return max(weighted or objectives, key=lambda objective: len(objective.terms))


def _rebuilt(node: Mapping[str, Any], words: str) -> Objective:
    """Return the objective of a tree, with the ELBO split into distortion and rate."""
    terms: list[tuple[float, Objective]] = []
    for weight, tree in _terms(node):
        name = str(tree.get("part", tree.get("custom")))
        if name == "CustomObjective":
            name = str(tree["args"].get("name", name))
        if name not in COMPARED:
            raise CompositionError(
                f"the gradient of {words} cannot be compared: {name} {REASONS.get(name, 'is not a known term')}",
                "Compare a run of vae, beta-vae, iwae, renyi, info-vae or dip-vae.",
            )
        [term] = build([tree])
        if not isinstance(term, Objective):
            raise CorruptRunError(f"{name} is not an objective", "Restore spec.json from a copy, or train again.")
        split = [(-weight, Distortion()), (-weight * term.beta, Rate())] if isinstance(term, Elbo) else [(weight, term)]
        terms += split
    return terms[0][1] if len(terms) == 1 and terms[0][0] == 1 else Sum(tuple(terms))


def _terms(node: Mapping[str, Any]) -> Iterator[tuple[float, Mapping[str, Any]]]:
    """Yield the coefficients, at their target, and the trees of the terms."""
    if node.get("part") != Sum.__name__:
        yield 1.0, node
        return
    for weight, term in node["args"]["weighted"]:
        yield float(weight["args"]["target"] if isinstance(weight, Mapping) else weight), term
