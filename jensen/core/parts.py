"""Parts that know how they were made: a model is written down as a tree of nodes, and rebuilt from it without code.

A node is `{"id": 3, "part": "Given", "args": {...}}`; a part that occurs twice is written once and then referred to as
`{"ref": 3}`, so that sharing (a guide that holds the model) survives. Arguments are numbers, strings, booleans, None,
lists of these, and parts. Weights are never in the tree.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from .errors import CorruptRunError, UsageError

__all__ = ["REGISTRY", "build", "part", "spec_of"]

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
    seen: dict[int, int] = {}

    def write(obj: Any, where: str) -> Any:
        if obj is None or isinstance(obj, bool | int | float | str):
            return obj
        if isinstance(obj, list | tuple):
            return [write(o, f"{where}[{i}]") for i, o in enumerate(obj)]
        if id(obj) in seen:
            return {"ref": seen[id(obj)]}
        name = type(obj).__name__
        seen[id(obj)] = number = len(seen)
        if REGISTRY.get(name) is type(obj):
            return {
                "id": number,
                "part": name,
                "args": {k: write(v, f"{where}.{k}") for k, v in _arguments(obj).items()},
            }
        if callable(obj):
            return {"id": number, "custom": name}
        raise UsageError(
            f"{where} is a {name}, which cannot be written into a specification", "Pass plain data or a part."
        )

    return [write(root, type(root).__name__) for root in roots]


def build(nodes: list[Any], custom: Mapping[str, Callable[..., Any]] | None = None) -> list[Any]:
    """Rebuild what `spec_of` wrote: the inverse of it, up to weights.

    Args:
        nodes: what `spec_of` returned.
        custom: for parts that are not jensen's own, by class name, a function that makes one: with the recorded
            arguments if the class is a `part`, else without any.

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
        if "custom" in node:
            name = node["custom"]
            if name not in given:
                missing.append(name)
            made[node["id"]] = obj = given[name]()
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
            name = missing[0]
            remedy = f"Give it back: load(RUN, parts={{{name!r}: {name}}})"
            raise UsageError(f"this run holds a part of your own, {name!r}", remedy) from None
        if unknown:
            name = unknown[0]
            remedy = f"If it is your own, give it back: load(RUN, parts={{{name!r}: {name}}}); if not, the run"
            raise CorruptRunError(
                f"this run holds a part that this jensen does not have, {name!r}",
                f"{remedy} is damaged, or was written by another version.",
            ) from error
        raise CorruptRunError(
            f"the model's specification cannot be rebuilt ({type(error).__name__}: {error})",
            "It is damaged, or was written by another version of jensen.",
        ) from error
