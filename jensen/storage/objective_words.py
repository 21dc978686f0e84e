"""Objectives and estimators of formats 1 and 2, which recorded them in words: read into trees of parts.

Sums of plain terms can be rebuilt from their words. What cannot (a term that held a critic, or code) is recorded by its
name alone, as a part of the user's own is.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["RENAMED", "player_parts", "renamed_words"]

# parts and objectives whose names changed with format 3
RENAMED = {
    "Beside": "AppendContext",
    "Dream": "SleepPhase",
    "Dreaming": "FromModel",
    "Fool": "GeneratorLoss",
    "Sized": "SizeFactor",
    "Still": "DetachedSamples",
}

_REBUILT = {"Distortion", "Rate", "Elbo", "ImportanceWeighted", "Renyi", "MMD", "DIP"}
_NUMBER = r"[\d.]+(?:e[+-]?\d+)?"
_RAMP = rf"\((?P<start>{_NUMBER}) to (?P<target>{_NUMBER}) in (?P<steps>\d+) steps(?:, every (?P<every>\d+))?\)"
_TERM = re.compile(
    rf"\s*(?P<sign>[+-]?)\s*(?:{_RAMP} |(?P<size>{_NUMBER}) )?(?P<name>[A-Z]\w*)(?:\((?P<args>[^()]*)\))?\s*"
)
_ESTIMATOR = re.compile(r"(?P<name>[A-Z]\w*)\((?P<args>(?:\w+=\d+(?:, )?)*)\)")


def renamed_words(words: str) -> str:
    """Return the words of an objective, an estimator or a sentence with the present names of parts.

    Example:
        >>> renamed_words("Elbo by Still(k=1), Adam and Dream by Dreaming(), Adam")
        'Elbo by DetachedSamples(k=1), Adam and SleepPhase by FromModel(), Adam'
    """
    return re.sub(rf"\b({'|'.join(RENAMED)})\b", lambda match: RENAMED[match[1]], words)


def player_parts(player: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `parts` of a player that was recorded in words, of which optimiser and parameters are not known.

    Example:
        >>> player_parts({"objective": "-Distortion - 4 Rate", "estimator": "Pathwise(k=1)"})["estimator"]
        {'id': 3, 'part': 'Pathwise', 'args': {'k': 1}}
    """
    numbers = itertools.count()
    objective = _objective(renamed_words(str(player["objective"])), numbers)
    estimator = _estimator(renamed_words(str(player["estimator"])), player.get("corruption"), numbers)
    return {"objective": objective, "estimator": estimator, "closed": None, "optimizer": None, "parameters": None}


def _node(name: str, arguments: dict[str, Any], numbers: Iterator[int]) -> dict[str, Any]:
    return {"id": next(numbers), "part": name, "args": arguments}


def _named(name: str, numbers: Iterator[int]) -> dict[str, Any]:
    return {"id": next(numbers), "custom": name, "at": ""}


def _objective(words: str, numbers: Iterator[int]) -> dict[str, Any]:
    """Return the tree of a sum of terms; each that is not plain stands by its name."""
    top, pairs, at = next(numbers), [], 0
    while at < len(words):
        match = _TERM.match(words, at)
        if match is None:
            return _named(words, numbers)
        at = match.end()
        pairs.append([_weight(match, numbers), _term(match, numbers)])
    return {"id": top, "part": "Sum", "args": {"weighted": pairs}}


def _weight(match: re.Match[str], numbers: Iterator[int]) -> Any:
    sign = -1.0 if match["sign"] == "-" else 1.0
    if match["target"] is None:
        return sign * float(match["size"] or 1)
    every = None if match["every"] is None else int(match["every"])
    target, start = sign * float(match["target"]), sign * float(match["start"])
    return _node("Ramp", {"target": target, "steps": int(match["steps"]), "start": start, "every": every}, numbers)


def _term(match: re.Match[str], numbers: Iterator[int]) -> dict[str, Any]:
    if match["name"] not in _REBUILT:
        return _named(match["name"], numbers)
    try:
        return _node(match["name"], _arguments(match["args"]), numbers)
    except ValueError:
        return _named(match["name"], numbers)


def _arguments(words: str | None) -> dict[str, Any]:
    """Return the arguments in "of=means, off=10": numbers, words, and numbers joined by commas without spaces.

    Example:
        >>> _arguments("of=means, off=10")
        {'of': 'means', 'off': 10.0}
    """
    pairs = (pair.split("=") for pair in words.split(", ")) if words else ()
    return {name: _value(name, value) for name, value in pairs}


def _value(name: str, words: str) -> Any:
    if name == "scales":
        return [float(number) for number in words.split(",")]
    return words if words.isalpha() and words not in ("inf", "nan") else float(words)


def _estimator(words: str, corruption: Any, numbers: Iterator[int]) -> dict[str, Any]:
    """Return the tree of an estimator whose arguments are whole numbers, within the corruption recorded beside it."""
    if corruption is not None:
        inner = _estimator(words.partition(" of x with ")[0], None, numbers)
        return _node("Corrupted", {"estimator": inner, "corruption": {**corruption, "id": next(numbers)}}, numbers)
    match = _ESTIMATOR.fullmatch(words)
    if match is None:
        return _named(words, numbers)
    pairs = (pair.split("=") for pair in match["args"].split(", ") if pair)
    return _node(match["name"], {name: int(value) for name, value in pairs}, numbers)
