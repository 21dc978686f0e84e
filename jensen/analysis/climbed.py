"""The objective that a run climbed, from the words of its record: for which gradient estimators can be compared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..core.errors import CompositionError
from ..objectives import DIP, MMD, Distortion, Elbo, ImportanceWeighted, Objective, Rate, Renyi, Sum, TermKind

__all__ = ["climbed"]

# whose gradient several estimators have, all of one and the same expectation
COMPARED = {kind.__name__: kind for kind in (Distortion, Rate, Elbo, ImportanceWeighted, Renyi, MMD, DIP)}

_ALONE = "reads densities of the whole batch together, whose gradient Pathwise(k) alone has: nothing to compare"
_CRITIC = "hangs on a critic, which is no part of a trained model"
_GUIDE = "is the guide's own, and no bound that the model climbs too"
REASONS = {
    **dict.fromkeys(("FreeBits", "Capacity", "TotalCorrelation"), _ALONE),
    **dict.fromkeys(("Discriminate", "GeneratorLoss", "LogRatio", "FeatureDistortion", "GradientPenalty"), _CRITIC),
    **dict.fromkeys(("SleepPhase", "Inclusive"), _GUIDE),
    "Commitment": "is of a guide that rounds to codes, which has no noise",
    "Classification": "needs labels, which these rows come without",
}

_NUMBER = r"[\d.]+(?:e[+-]?\d+)?"
_RAMP = rf"\({_NUMBER} to (?P<target>{_NUMBER}) in \d+ steps(?:, every \d+)?\)"
_TERM = re.compile(
    rf"\s*(?P<sign>[+-]?)\s*(?:{_RAMP} |(?P<size>{_NUMBER}) )?(?P<name>[A-Z]\w*)(?:\((?P<args>[^()]*)\))?\s*"
)


def climbed(players: Sequence[dict[str, Any]], command: dict[str, Any]) -> dict[str, Any]:
    """What a run says it climbed, as arguments of `compare_gradients`; schedules stand at their last value.

    Of several players' objectives it is the one with the most terms: the others have parts of it.

    Args:
        players: as recorded, the objective's words among them.
        command: the recorded options.

    Raises:
        CompositionError: a term whose gradient cannot be compared, and why.

    Example:
        >>> str(climbed([{"objective": "-Distortion - (0 to 4 in 90 steps) Rate"}], {})["objective"])
        '-Distortion - 4 Rate'
    """
    read = [_read(str(player["objective"])) for player in players]
    weighted = [r for r in read if any(t.kind is TermKind.IMPORTANCE_WEIGHTED for _, t in r.terms)]
    objective = max(weighted or read, key=lambda r: len(r.terms))
    return {"objective": objective, "points": int(command.get("points") or 1)}


def _read(words: str) -> Objective:
    """The inverse of `str`, with the rate of an Elbo in its closed form where there is one."""
    terms: list[tuple[float, Objective]] = []
    at = 0
    while at < len(words):
        found = _TERM.match(words, at)
        if found is None or found["name"] not in COMPARED:
            name = found["name"] if found else words[at:].strip()
            raise CompositionError(
                f"the gradient of {words} cannot be compared: {name} {REASONS.get(name, 'is not known here')}",
                "Compare a run of vae, beta-vae, iwae, renyi, info-vae or dip-vae.",
            )
        at = found.end()
        weight = (-1.0 if found["sign"] == "-" else 1.0) * float(found["target"] or found["size"] or 1)
        term = COMPARED[found["name"]](**_arguments(found["args"]))
        both = [(-weight, Distortion()), (-weight * term.beta, Rate())] if isinstance(term, Elbo) else [(weight, term)]
        terms += both
    return terms[0][1] if len(terms) == 1 and terms[0][0] == 1 else Sum(tuple(terms))


def _arguments(words: str | None) -> dict[str, Any]:
    """Of "of=means, off=10": numbers, words, and tuples of numbers, which have no space after their commas.

    Example:
        >>> _arguments("of=means, off=10")
        {'of': 'means', 'off': 10.0}
    """
    pairs = (part.split("=") for part in words.split(", ")) if words else ()
    return {name: _value(name, value) for name, value in pairs}


def _value(name: str, words: str) -> Any:
    if name == "scales":
        return tuple(map(float, words.split(",")))
    return words if words.isalpha() and words not in ("inf", "nan") else float(words)
