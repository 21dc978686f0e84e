"""Players on record: objectives, estimators and closed steps as trees of parts, and the parameters that each trains.

The record of a player holds its words for people (`objective`, `estimator`) and, under `parts`, the trees for programs.
Trees share their numbers with those of model and guide, so that an objective that holds a module of theirs finds it
again. Modules that an objective holds beside model and guide are critics, numbered in the order of their appearance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any

from torch import nn

from ..core.errors import CompositionError, CorruptRunError, UsageError
from ..core.parts import build, check_known, spec_of
from ..estimators import Corrupted, Corruption, GradientEstimator
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..objectives import Objective
from ..training import ClosedStep, Optimizer, Player

__all__ = [
    "canonical",
    "check_recorded_players",
    "critics_of",
    "players_from",
    "record_players",
    "recorded_corruption",
    "recorded_points",
    "term_names",
    "weighted_points",
]

TREES: dict[str, Any] = {"objective": Objective, "estimator": GradientEstimator, "closed": ClosedStep | None}


def _modules_in(value: Any) -> Iterator[nn.Module]:
    """Yield every module that a tree of objectives, estimators and tuples of them holds."""
    if isinstance(value, nn.Module):
        yield value
    elif isinstance(value, tuple | list):
        for entry in value:
            yield from _modules_in(entry)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _modules_in(getattr(value, field.name))


def critics_of(model: nn.Module, guide: nn.Module, players: Sequence[Player]) -> list[nn.Module]:
    """Return the modules that players hold or train beside model and guide, in the order of their appearance."""
    own = {id(m) for root in (model, guide) for m in root.modules()}
    critics: dict[int, nn.Module] = {}
    for player in players:
        for module in _modules_in((player.objective, player.estimator, tuple(player.parameters))):
            if id(module) not in own:
                critics.setdefault(id(module), module)
    return list(critics.values())


def _roots(model: nn.Module, guide: nn.Module, critics: Sequence[nn.Module]) -> dict[str, nn.Module]:
    return {"model": model, "guide": guide, **{f"critic {i}": critic for i, critic in enumerate(critics)}}


def _covered(name: str, module: nn.Module, wanted: set[int]) -> Iterator[str]:
    """Yield the fewest names of modules and parameters below `module` that hold the parameters wanted, and no other."""
    trained = [p for p in module.parameters() if p.requires_grad]
    if trained and all(id(p) in wanted for p in trained):
        yield name
        return
    for key, p in module.named_parameters(recurse=False):
        if id(p) in wanted:
            yield f"{name}.{key}"
    for key, child in module.named_children():
        yield from _covered(f"{name}.{key}", child, wanted)


def _trained_names(player: Player, roots: Mapping[str, nn.Module]) -> list[str]:
    """Return the names of what a player trains.

    Raises:
        CompositionError: a parameter belongs to neither model, guide nor critic, so that no run could hold it.
    """
    wanted = {id(p) for p in player.trained}
    names = [name for key, root in roots.items() for name in _covered(key, root, wanted)]
    if len({id(p) for name in names for p in _parameters_at(roots, name)} & wanted) < len(wanted):
        raise CompositionError(
            f"the player of {player.objective} trains parameters of no part of the model, the guide or an objective",
            "Give Player(objective, [module]) the module that holds them.",
        )
    return names


def _parameters_at(roots: Mapping[str, nn.Module], name: str) -> list[nn.Parameter]:
    """Return the parameters below a name that `_covered` made."""
    root, _, path = name.partition(".")
    module: Any = roots[root]
    for key in path.split(".") if path else ():
        module = getattr(module, key)
    return [module] if isinstance(module, nn.Parameter) else list(module.parameters())


def canonical(model: nn.Module, guide: nn.Module, players: Sequence[Player]) -> list[Player]:
    """Return the players with parameters in the order in which they are recorded, so that a resume repeats every bit.

    Raises:
        CompositionError: a parameter belongs to neither model, guide nor critic.
    """
    named = _roots(model, guide, critics_of(model, guide, players))
    return [
        replace(player, parameters=[p for name in _trained_names(player, named) for p in _parameters_at(named, name)])
        for player in players
    ]


def record_players(model: nn.Module, guide: nn.Module, players: Sequence[Player]) -> tuple[list[Any], list[Any]]:
    """Return the nodes of model and guide, and the record of each player."""
    roots = [part for p in players for part in (p.objective, p.estimator, p.closed)]
    model_node, guide_node, *nodes = spec_of(model, guide, *roots)
    named = _roots(model, guide, critics_of(model, guide, players))
    records = [
        {
            "objective": str(player.objective),
            "estimator": str(player.estimator),
            "during": list(player.during),
            "steps": player.steps,
            "parts": {
                "objective": nodes[3 * i],
                "estimator": nodes[3 * i + 1],
                "closed": nodes[3 * i + 2],
                "optimizer": asdict(player.optimizer),
                "parameters": _trained_names(player, named),
            },
        }
        for i, player in enumerate(players)
    ]
    return [model_node, guide_node], records


def players_from(
    spec: Mapping[str, Any], parts: Mapping[str, Callable[..., Any]] | None = None
) -> tuple[LatentVariableModel, Guide, list[Player]]:
    """Return model, guide and players rebuilt from a specification, without weights.

    Raises:
        UsageError: a part of the user's own was not given back, or the run records its players in words only.
        CorruptRunError: the specification is damaged.
    """
    trees = [record["parts"] for record in spec["players"]]
    if are_in_words(spec):
        raise UsageError("an earlier version recorded the players of this run in words only", "Train it again.")
    roots = [tree[key] for tree in trees for key in TREES]
    model, guide, *objects = build([*spec["model"], *roots], parts, _roots_of(len(trees)))
    players: list[Player] = []
    try:
        for i, (record, tree) in enumerate(zip(spec["players"], trees, strict=True)):
            objective, estimator, closed = objects[3 * i : 3 * i + 3]
            given = tree["optimizer"]
            optimizer = Optimizer(given["name"], given["lr"], tuple((k, v) for k, v in given["options"]))
            during = (float(record["during"][0]), float(record["during"][1]))
            players.append(Player(objective, [], estimator, optimizer, record["steps"], closed, during))
        named = _roots(model, guide, critics_of(model, guide, players))
        for i, tree in enumerate(trees):
            trained = [p for name in tree["parameters"] for p in _parameters_at(named, name)]
            players[i] = replace(players[i], parameters=trained)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise CorruptRunError(
            f"the players of the specification cannot be rebuilt ({type(error).__name__}: {error})",
            "Restore spec.json from a copy, or train again.",
        ) from error
    return model, guide, players


def _roots_of(players: int) -> dict[str, Any]:
    """Return the names of all roots of a specification, with the kinds that they are of."""
    trees = {f"players[{i}].{key}": kind for i in range(players) for key, kind in TREES.items()}
    return {"model": LatentVariableModel, "guide": Guide, **trees}


def check_recorded_players(spec: Mapping[str, Any], parts: Mapping[str, Callable[..., Any]] | None = None) -> None:
    """Refuse trees of players that no training can have recorded; parts of the user's own may be missing.

    Raises:
        CorruptRunError: naming the place.
    """
    trees = [player["parts"] for player in spec["players"] if player["parts"] is not None]
    nodes = [tree[key] for tree in trees for key in TREES]
    if are_in_words(spec):  # trees made from words have numbers of their own
        for node in nodes:
            check_known([node], {"players": Any}, parts)
        return
    check_known([*spec["model"], *nodes], _roots_of(len(trees)), parts)


def _parts_in(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every node of a tree that names a part."""
    if isinstance(node, Mapping):
        if "part" in node or "custom" in node:
            yield dict(node)
        for entry in node.values():
            yield from _parts_in(entry)
    elif isinstance(node, list | tuple):
        for entry in node:
            yield from _parts_in(entry)


def are_in_words(spec: Mapping[str, Any]) -> bool:
    """Return whether an earlier format recorded the players in words, so that their trees are incomplete."""
    return any(record["parts"] is None or record["parts"]["optimizer"] is None for record in spec["players"])


def term_names(spec: Mapping[str, Any]) -> set[str]:
    """Return the names of all parts that the objectives of a run are made of, such as {"Sum", "Distortion", "MMD"}."""
    trees = [record["parts"] for record in spec["players"]]
    nodes = [node for tree in trees if tree is not None for node in _parts_in(tree["objective"])]
    return {str(node.get("part", node.get("custom"))) for node in nodes}


def weighted_points(spec: Mapping[str, Any]) -> int:
    """Return K of the importance-weighted bound that the first player maximises; 1 for any other objective.

    Example:
        >>> tree = {"objective": {"part": "ImportanceWeighted", "args": {}}}
        >>> tree["estimator"] = {"part": "Pathwise", "args": {"k": 20}}
        >>> weighted_points({"players": [{"parts": tree}]})
        20
    """
    first = {"players": spec["players"][:1]}  # whose bound is the number
    return recorded_points(first) if term_names(first) & {"ImportanceWeighted", "Renyi"} else 1


def recorded_points(spec: Mapping[str, Any]) -> int:
    """Return K, the most points per datum that an estimator of the run places."""
    trees = [record["parts"]["estimator"] for record in spec["players"] if record["parts"] is not None]
    counts = (node["args"].get("k") for tree in trees for node in _parts_in(tree) if "part" in node)
    return max((k for k in counts if isinstance(k, int)), default=1)


def recorded_corruption(spec: Mapping[str, Any]) -> Corruption | None:
    """Return the noise on what the guide saw in training; None where it saw the data.

    Raises:
        CorruptRunError: what is recorded is not a corruption.
    """
    for record in spec["players"]:
        node = None if record["parts"] is None else record["parts"]["estimator"]
        if isinstance(node, Mapping) and node.get("part") == Corrupted.__name__:
            [estimator] = build([node])
            return estimator.corruption
    return None
