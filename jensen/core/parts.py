"""Parts that know how they were made: a model is written down as a tree of nodes, and rebuilt from it without code.

A node is `{"id": 3, "part": "Given", "args": {...}}`; a part that occurs twice is written once and then referred to as
`{"ref": 3}`, so that sharing (a guide that holds the model) survives. Arguments are numbers, strings, booleans, None,
lists of these, and parts. Weights are never in the tree.

What is not registered is recorded by name alone, and given back when the tree is rebuilt: a module as `{"id": 4,
"custom": "MyNet", "at": "likelihood.net"}`, a function as `{"id": 5, "function": "energy"}`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from torch import nn

from .errors import CorruptRunError, UsageError

__all__ = ["REGISTRY", "build", "own_parts", "part", "spec_of"]

REGISTRY: dict[str, type] = {}

C = TypeVar("C", bound=type)


def part(cls: C) -> C:
    """Register a class under its name, and have its instances remember the arguments they were made with."""
    REGISTRY[cls.__name__] = cls
    if is_dataclass(cls):
        return cls  # pyright: ignore[reportReturnType]
    init = cls.__init__
    signature = inspect.signature(init)

    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        init(self, *args, **kwargs)
        object.__setattr__(self, "_made_with", dict(list(bound.arguments.items())[1:]))

    cls.__init__ = wrapped  # pyright: ignore[reportAttributeAccessIssue]
    return cls  # pyright: ignore[reportReturnType]


def _arguments(obj: Any) -> dict[str, Any]:
    if is_dataclass(obj):
        return {f.name: getattr(obj, f.name) for f in fields(obj) if f.init}
    return obj._made_with


def spec_of(*roots: Any) -> list[Any]:
    """Write objects down as a list of nodes, one per root; parts shared among the roots are shared in the nodes.

    Raises:
        UsageError: an argument of a part is neither plain data nor a part.
    """
    return _written(roots, {})


def own_parts(*roots: Any) -> dict[str, Any]:
    """Return the modules that are recorded by name alone, by their places: what `build` has to be given back."""
    own: dict[str, Any] = {}
    _written(roots, own)
    return own


def _written(roots: Sequence[Any], own: dict[str, Any]) -> list[Any]:
    """Write objects down, and add those that are recorded by name alone to `own`."""
    seen: dict[int, int] = {}

    def write(obj: Any, where: str, label: str = "") -> Any:
        if obj is None or isinstance(obj, bool | int | float | str):
            return obj
        if isinstance(obj, list | tuple):
            return [write(o, f"{where}[{i}]") for i, o in enumerate(obj)]
        if id(obj) in seen:
            return {"ref": seen[id(obj)]}
        name = type(obj).__name__
        seen[id(obj)] = number = len(seen)
        if REGISTRY.get(name) is type(obj):
            arguments = _arguments(obj)
            label = str(arguments.get("name", ""))
            return {
                "id": number,
                "part": name,
                "args": {k: write(v, f"{where}.{k}", label) for k, v in arguments.items()},
            }
        if inspect.isroutine(obj):  # a lambda has no name of its own: the part that holds it may have one
            return {"id": number, "function": label if obj.__name__ == "<lambda>" and label else obj.__name__}
        if callable(obj):
            at = where.partition(".")[2] or name
            own[at] = obj
            return {"id": number, "custom": name, "at": at}
        raise UsageError(
            f"{where} is a {name}, which cannot be written into a specification", "Pass plain data or a part."
        )

    return [write(root, type(root).__name__) for root in roots]


def _supplied(part: Any, name: str) -> Any:
    """Return the module itself, or what makes one.

    Raises:
        UsageError: it cannot be made without arguments.
    """
    if isinstance(part, nn.Module):
        return part
    try:
        return part()
    except TypeError as error:
        raise UsageError(
            f"parts[{name!r}] cannot be made without arguments ({error})",
            "Give a module, or a function that makes one: parts={...: lambda: MyNet(784, 32)}.",
        ) from error


def _missing(nodes: Any, given: Mapping[str, Any]) -> UsageError:
    """Name every part of the user's own that was not given: by class, or by place where two share a class."""
    places: dict[str, str] = {}

    def look(node: Any) -> None:
        if isinstance(node, Mapping) and ("custom" in node or "function" in node):
            name = str(node.get("custom", node.get("function")))
            place = str(node.get("at") or name)
            if not {name, place} & given.keys():
                places[place] = name
        for entry in node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ():
            look(entry)

    look(nodes)
    names = list(places.values())
    keys = names if len(set(names)) == len(names) else list(places)
    parts = ", ".join(f"{key!r}: {name}" for key, name in zip(keys, names, strict=True))
    what = f"a part of your own, {keys[0]!r}" if len(keys) == 1 else f"parts of your own, {', '.join(map(repr, keys))}"
    them = "it" if len(keys) == 1 else "them"
    return UsageError(
        f"this run holds {what}",
        f"Give {them} back in Python: run = jensen.load(RUN, parts={{{parts}}}); "
        "write(run) of jensen.report makes its page.",
    )


def _refusal(error: Exception, unknown: list[str]) -> Exception:
    """Return what to raise for an error of a constructor: a part that cannot be made, an unknown one, or damage."""
    if isinstance(error, UsageError) and error.what.startswith("parts["):
        return error
    if unknown:
        name = unknown[0]
        own = f"If it is your own, give it back in Python: run = jensen.load(RUN, parts={{{name!r}: {name}}})"
        return CorruptRunError(
            f"this run holds a part that this jensen does not have, {name!r}",
            f"{own}; write(run) of jensen.report makes its page. If not, the run is damaged, or of another version.",
        )
    return CorruptRunError(
        f"the model's specification cannot be rebuilt ({type(error).__name__}: {error})",
        "It is damaged, or was written by another version of jensen.",
    )


def build(nodes: list[Any], custom: Mapping[str, Callable[..., Any]] | None = None) -> list[Any]:
    """Rebuild what `spec_of` wrote: the inverse of it, up to weights.

    Args:
        nodes: what `spec_of` returned.
        custom: parts that are not jensen's own. For a registered `part`, by class name, what makes one with the
            recorded arguments. For any other module, by class name or by place ("likelihood.net"), what makes one
            without arguments, or the module itself. For a function, by name, the function.

    Raises:
        CorruptRunError: a node is malformed, or names an unknown part.
        UsageError: a custom part is needed and was not given.
    """
    made: dict[int, Any] = {}
    missing: list[str] = []
    unknown: list[str] = []
    given = custom or {}

    def read(node: Any) -> Any:
        if isinstance(node, list):
            return tuple(read(n) for n in node)
        if not isinstance(node, dict):
            return node
        if "ref" in node:
            return made[node["ref"]]
        if "function" in node:
            name = node["function"]
            if name not in given:
                missing.append(name)
            made[node["id"]] = obj = given[name]
            return obj
        if "custom" in node:
            name = node["at"] if node.get("at") in given else node["custom"]
            if name not in given:
                missing.append(name)
            made[node["id"]] = obj = _supplied(given[name], name)
            return obj
        arguments = {k: read(v) for k, v in node["args"].items()}
        kind = given.get(node["part"]) or REGISTRY.get(node["part"])
        if kind is None:
            unknown.append(node["part"])
            raise KeyError(node["part"])
        made[node["id"]] = obj = kind(**arguments)
        return obj

    try:
        return [read(node) for node in nodes]
    except Exception as error:  # whatever a damaged value makes a constructor raise
        if missing:
            raise _missing(nodes, given) from None
        raise _refusal(error, unknown) from error
