"""Parts that know how they were made: a model is written down as a tree of nodes, and rebuilt from it without code.

A node is `{"id": 3, "part": "Given", "args": {...}}`; a part that occurs twice is written once and then referred to as
`{"ref": 3}`, so that sharing (a guide that holds the model) survives. Arguments are numbers, strings, booleans, None,
lists of these, and parts. Weights are never in the tree.

What is not registered is recorded by name alone, and given back when the tree is rebuilt: a module as `{"id": 4,
"custom": "MyNet", "at": "likelihood.net"}`, any other function as `{"id": 5, "function": "energy", "at": "f"}`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import numpy as np
from torch import nn

from .errors import CorruptRunError, JensenError, UsageError
from .part_checks import DAMAGED, check_given, check_trees, name_given, shown_text

__all__ = ["REGISTRY", "build", "check_known", "own_parts", "part", "spec_of", "with_defaults"]

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


def with_defaults(node: Any) -> Any:
    """Return a tree of parts with the defaults of arguments that it lacks, which are younger than the tree.

    Example:
        >>> from jensen.nets import MLP
        >>> with_defaults({"id": 0, "part": "MLP", "args": {"inputs": 2, "outputs": 1, "hidden": []}})["args"]
        {'activation': 'silu', 'inputs': 2, 'outputs': 1, 'hidden': []}
    """
    if isinstance(node, list):
        return [with_defaults(n) for n in node]
    if not isinstance(node, Mapping):
        return node
    whole = {k: with_defaults(v) for k, v in node.items()}
    name = node.get("part")  # also the name of an argument
    if not isinstance(name, str) or name not in REGISTRY or not isinstance(whole.get("args"), Mapping):
        return whole
    parameters = inspect.signature(REGISTRY[name]).parameters.values()
    younger = {p.name: p.default for p in parameters if isinstance(p.default, bool | int | float | str)}
    return whole | {"args": {**younger, **whole["args"]}}


def own_parts(*roots: Any) -> dict[str, Any]:
    """Return modules and functions that are recorded by name alone, by places: what `build` has to be given back."""
    own: dict[str, Any] = {}
    _written(roots, own)
    return own


def _written(roots: Sequence[Any], own: dict[str, Any]) -> list[Any]:
    """Write objects down, and add those that are recorded by name alone to `own`."""
    seen: dict[int, int] = {}

    def write(obj: Any, where: str, label: str = "") -> Any:
        if isinstance(obj, np.generic):
            return obj.item()
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
        if callable(obj):
            at = where.partition(".")[2] or name
            at = where if at in own else at  # a place in another root
            own[at] = obj
            if isinstance(obj, nn.Module):
                return {"id": number, "custom": name, "at": at}
            called = getattr(obj, "__name__", name)  # a lambda has none of its own: the part that holds it may have one
            return {"id": number, "function": label if called == "<lambda>" and label else called, "at": at}
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


def build(
    nodes: list[Any],
    custom: Mapping[str, Callable[..., Any]] | None = None,
    roots: Mapping[str, Any] | None = None,
) -> list[Any]:
    """Rebuild what `spec_of` wrote: the inverse of it, up to weights.

    Args:
        nodes: what `spec_of` returned.
        custom: parts that are not jensen's own. For a registered `part`, by class name, what makes one with the
            recorded arguments. For any other module, by class name or by place ("likelihood.net"), what makes one
            without arguments, or the module itself. For a function, by name or by place, the function.
        roots: the names of the nodes in error messages, with the kinds that they must be of, as annotations.

    Raises:
        CorruptRunError: a node is malformed, names an unknown part, or has an argument that its part cannot have; all
            arguments are checked against their annotations before the first part is made.
        UsageError: a custom part is needed and was not given.
    """
    given = custom or {}
    roots = {f"parts[{i}]": Any for i in range(len(nodes))} if roots is None else roots
    own = check_trees(nodes, roots, {**REGISTRY, **given}, complete=True)
    check_given(own, given)
    made: dict[int, Any] = {}

    def read(node: Any, where: str) -> Any:
        if isinstance(node, list):
            return tuple(read(n, f"{where}[{i}]") for i, n in enumerate(node))
        if not isinstance(node, dict):
            return node
        if "ref" in node:
            return made[node["ref"]]
        if "part" in node:
            arguments = {k: read(v, f"{where}.{k}") for k, v in node["args"].items()}
            kind = given.get(node["part"]) or REGISTRY[node["part"]]
            obj = _made(kind, arguments, where)
        else:
            own = given[name_given(node, given)]
            obj = own if "function" in node else _supplied(own, name_given(node, given))
        made[node["id"]] = obj
        return obj

    return [read(node, root) for node, root in zip(nodes, roots, strict=True)]


def check_known(
    nodes: Sequence[Any], roots: Mapping[str, Any], custom: Mapping[str, Callable[..., Any]] | None = None
) -> None:
    """Check nodes as `build` does, except that parts may be missing or unknown: what is known of them must be right.

    Raises:
        CorruptRunError: a node is malformed, or has an argument that its part cannot have.
    """
    check_trees(nodes, roots, {**REGISTRY, **(custom or {})})


def _made(kind: Callable[..., Any], arguments: dict[str, Any], where: str) -> Any:
    """Call a constructor with recorded arguments; whatever it makes of values that do not go together is damage.

    Raises:
        CorruptRunError: naming the place.
    """
    try:
        return kind(**arguments)
    except Exception as error:  # constructors of users, and those of torch, raise what they like
        reason = error.what if isinstance(error, JensenError) else f"{type(error).__name__}: {error}"
        raise CorruptRunError(
            f"{where} of the specification cannot be rebuilt ({shown_text(reason)})", DAMAGED
        ) from error
