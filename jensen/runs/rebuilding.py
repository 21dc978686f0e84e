"""Model and guide rebuilt from their record once, before training, so that the run can be opened when it is done."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

import msgspec
import numpy as np
from torch import nn

from ..core.errors import CompositionError, CorruptRunError, UsageError
from ..core.modules import joined, named_tensors
from ..core.parts import build, own_parts
from ..core.random import drawing_from, stream
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..storage.seals import numpy_number
from ..training import Player
from .players import check_recorded_players, record_players

__all__ = ["check_rebuilds", "refuse_own_parts", "settings_of"]

Settings = Mapping[str, Mapping[str, str]]  # of all modules, by name

PAGE = "docs/write-a-part.md"


def refuse_own_parts(name: str, model: nn.Module, guide: nn.Module) -> None:
    """Refuse a recipe that builds modules or functions which no record of a run can hold.

    Args:
        name: of the recipe.
        model, guide: that it built.

    Raises:
        CompositionError: naming them by class and place, and how they become parts.
    """
    own = own_parts(model, guide)
    if own:
        places = ", ".join(f"{_called(part)} (at {place})" for place, part in own.items())
        them = "it" if len(own) == 1 else "them"
        raise CompositionError(
            f"recipe {name} builds {places}: no run can record {them}, so that no command could open the run again",
            f"Make {them} of parts: decorate a class that takes plain data or parts with @part ({PAGE}); or pass the"
            " model to jensen.train(data, model=...), and the modules to jensen.load(RUN, parts=...).",
        )


def settings_of(model: nn.Module, guide: nn.Module) -> Settings:
    """Return the attributes of all modules that are plain data, families and objectives, as text that can be compared.

    Args:
        model, guide: before any forward pass that would count or remember something.
    """
    return {
        name: {k: repr(_plain(v)) for k, v in vars(module).items() if _is_setting(k) and _is_plain(v)}
        for name, module in joined(model, guide).named_modules()
    }


def check_rebuilds(
    model: nn.Module, guide: nn.Module, players: Sequence[Player] = (), settings: Settings | None = None
) -> None:
    """Rebuild model and guide as `jensen.load` will, with copies of the modules of the user's own, and compare them.

    Args:
        model, guide: to be trained, or to be saved.
        players: whose record is checked as it will be when the run is opened.
        settings: as they were made, where they have been used since; by default as they are.

    Raises:
        CompositionError: they cannot be recorded, copied or rebuilt, or the rebuilt ones would compute something else.
    """
    nodes, records = _as_read(record_players(model, guide, players))
    held: dict[Any, Any] = {}  # what modules of the user's own share, their copies share too
    own = {place: _copied(place, part, held) for place, part in own_parts(model, guide).items()}
    try:
        check_recorded_players({"model": nodes, "players": records})
        with drawing_from(stream(0, "rebuilt")):
            again = build(nodes, own, {"model": LatentVariableModel, "guide": Guide})
    except (CorruptRunError, UsageError) as error:
        raise CompositionError(
            f"this model could not be rebuilt from the record of a run ({error.what})",
            f"Give its parts plain data and parts as arguments, and let them be as they were made: {PAGE}.",
        ) from error
    given = {id(part) for part in own.values()}
    for difference in _differences(model, guide, again, given, settings or settings_of(model, guide)):
        raise CompositionError(
            f"a run would not hold the model that is trained: {difference}, which its record does not tell",
            "Change no part after it is made: give its class, decorated with @part, an argument for what differs, or"
            f" keep what a part counts in a buffer or under a name with a leading underscore ({PAGE}).",
        )


def _as_read(record: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(record, enc_hook=numpy_number))


def _called(part: Any) -> str:
    return str(getattr(part, "__name__", type(part).__name__))


def _copied(place: str, part: Any, held: dict[Any, Any]) -> Any:
    """Return a copy of a module, as the run that is opened at the end will have.

    Raises:
        CompositionError: it cannot be copied.
    """
    try:
        return copy.deepcopy(part, held)
    except Exception as error:  # modules of users, and hooks in them, raise what they like
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise CompositionError(
            f"{_called(part)} (at {place}) cannot be copied ({reason})",
            "Let the module hold no results of its forward pass, and use torch.nn.utils.parametrizations for norms.",
        ) from error


def _differences(
    model: nn.Module, guide: nn.Module, rebuilt: Sequence[nn.Module], own: set[int], settings: Settings
) -> Iterator[str]:
    """Yield in which respects a rebuilt model differs from the one in memory: modules, sizes, settings, hooks."""
    mine, again, made_with = joined(model, guide), joined(*rebuilt), settings_of(*rebuilt)
    theirs = dict(again.named_modules())
    below: tuple[str, ...] = ()  # the places of the user's own modules, which are copies
    for name, module in mine.named_modules():
        other = theirs.pop(name, None)
        if name.startswith(below):
            continue
        if other is not None and id(other) in own:
            below = (*below, f"{name}.")
        elif other is None or type(other) is not type(module) or _described(module) != _described(other):
            yield f"{name} is {_described(module)}, and was made as {_described(other)}"
        else:
            changed = (*_changed(settings.get(name, {}), made_with.get(name, {})), *_overridden(module, other))
            yield from (f"{name}.{key} was changed after {name} was made" for key in changed)
    yield from (f"{name} was removed" for name in theirs)
    sizes, made = ({k: list(t.shape) for k, t in named_tensors(m).items()} for m in (mine, again))
    for name in sizes.keys() | made.keys():
        if sizes.get(name) != made.get(name):
            yield f"the weights {name} are {sizes.get(name, 'shared')}, and were made {made.get(name, 'shared')}"


def _described(module: nn.Module | None) -> str:
    """Describe a module by its class and its settings, as torch prints them."""
    return "nothing" if module is None else f"{type(module).__name__}({module.extra_repr()})"


def _changed(mine: Mapping[str, str], theirs: Mapping[str, str]) -> Iterator[str]:
    """Yield the settings that differ."""
    return (key for key, value in mine.items() if theirs.get(key, value) != value)


def _overridden(module: nn.Module, other: nn.Module) -> Iterator[str]:
    """Yield what changes the results of a forward pass: hooks of it, and another `forward`."""
    for key in ("_forward_hooks", "_forward_pre_hooks"):
        if len(vars(module)[key]) != len(vars(other)[key]):
            yield key
    if "forward" in vars(module) and "forward" not in vars(other):
        yield "forward"


def _is_setting(name: str) -> bool:
    return name != "training" and not name.startswith("_")


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    if is_dataclass(value):
        return all(map(_is_plain, vars(value).values()))  # not where it holds modules or tensors
    return value is None or isinstance(value, bool | int | float | str | np.generic)


def _plain(value: Any) -> Any:
    """Return plain data as a specification would give them back: lists as tuples, numbers of NumPy as Python's."""
    if isinstance(value, tuple | list):
        return tuple(map(_plain, value))
    if is_dataclass(value):
        return type(value).__name__, {k: _plain(v) for k, v in vars(value).items()}
    return value.item() if isinstance(value, np.generic) else value
