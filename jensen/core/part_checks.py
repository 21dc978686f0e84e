"""The checks of a tree of parts from elsewhere: form, names and arguments, before anything is made of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .annotations import LARGEST_NUMBER, annotations_of, expected, fits, shown
from .errors import CorruptRunError, UsageError

__all__ = ["DAMAGED", "check_given", "check_trees", "name_given", "shown_text"]

DAMAGED = "The specification is damaged, or was written by another version of jensen."
DEEPEST = 100  # levels of parts within parts
FORMS = ({"ref"}, {"id", "part", "args"}, {"id", "custom", "at"}, {"id", "function"}, {"id", "function", "at"})


def check_trees(
    nodes: Sequence[Any], roots: Mapping[str, Any], kinds: Mapping[str, Callable[..., Any]], *, complete: bool = False
) -> list[Mapping[str, Any]]:
    """Refuse nodes that cannot be made, naming the place, and return those of the user's own.

    Args:
        nodes: one per root, see `jensen.core.parts`.
        roots: the names of the roots, with the kinds that they must be of, as annotations.
        kinds: the parts that can be made, by name.
        complete: refuse parts of other names.

    Raises:
        CorruptRunError: a node is malformed, or has an argument that its part cannot have.
    """
    classes: dict[int, type] = {}  # of the nodes that are complete, by number
    own: list[Mapping[str, Any]] = []

    def look(node: Any, where: str, depth: int) -> Any:
        """Return what stands for a node: plain data, or a class in the place of its instance."""
        if depth > DEEPEST:
            raise _damage(where, f"no more than {DEEPEST} levels", "more")
        if isinstance(node, list):
            return [look(n, f"{where}[{i}]", depth + 1) for i, n in enumerate(node)]
        if not isinstance(node, dict):
            return node
        _check_form(node, where)
        if "ref" in node:
            if node["ref"] not in classes:
                raise _damage(f"{where}.ref", "the number of an earlier part", node["ref"])
            return _Made(classes[node["ref"]])
        number, kind = node["id"], object
        if number in classes:
            raise _damage(f"{where}.id", "a number of its own", number)
        if "part" in node:
            arguments = {k: look(v, f"{where}.{k}", depth + 1) for k, v in node["args"].items()}
            make = kinds.get(node["part"])
            if make is None and complete:
                raise _unknown(node["part"])
            if make is not None:
                _check_arguments(make, arguments, where, node["part"])
            kind = make if isinstance(make, type) else object
        else:
            own.append(node)
        classes[number] = kind
        return _Made(kind)

    for node, (name, hint) in zip(nodes, roots.items(), strict=True):
        value = look(node, name, 0)
        if not fits(value, hint, _kind_of):
            raise _damage(name, expected(hint), value)
    return own


def check_given(own: Sequence[Mapping[str, Any]], given: Mapping[str, Any]) -> None:
    """Refuse to go on without parts of the user's own.

    Raises:
        UsageError: naming all that are missing.
    """
    if any(name_given(node, given) not in given for node in own):
        raise _missing(own, given)


class _Made:
    """The place of a part that is not made yet."""

    def __init__(self, kind: type) -> None:
        self.kind = kind


def _kind_of(value: Any) -> type | None:
    return value.kind if isinstance(value, _Made) else None


def _check_form(node: Mapping[str, Any], where: str) -> None:
    """Refuse a node that is none of the forms that are written, or has values of other kinds."""
    if node.keys() not in FORMS:
        raise _damage(where, "a part", node)
    for key, value in node.items():
        kind = {"id": int, "ref": int, "args": dict}.get(key, str)
        if type(value) is not kind:
            raise _damage(f"{where}.{key}", {int: "a whole number", dict: "an object"}.get(kind, "a text"), value)


def _check_arguments(make: Callable[..., Any], arguments: Mapping[str, Any], where: str, name: str) -> None:
    """Refuse arguments that a constructor does not have, lacks, or cannot take by its annotations."""
    try:
        inspect.signature(make).bind(**arguments)
    except TypeError as error:
        raise _damage(where, f"the arguments of {name}", f"{error}") from None
    hints = annotations_of(make)
    ours = make.__module__.partition(".")[0] == __name__.partition(".")[0]
    least = 0 if ours else -(2**63)
    for key, value in arguments.items():
        hint = hints.get(key, Any)
        known = fits(value, hint, _kind_of, least)
        if not known and (ours or not _is_loosely(value, hint, inspect.signature(make).parameters.get(key))):
            raise _damage(f"{where}.{key}", expected(hint, least), value)


def _is_loosely(value: Any, hint: Any, parameter: inspect.Parameter | None) -> bool:
    """Return whether a user's own part may mean a value otherwise than its annotation says, as Python lets it.

    The default may be of another kind, such as None of an `int`; and kinds of numbers stand for each other.
    """
    if parameter is not None and value == parameter.default and type(value) is type(parameter.default):
        return True
    return (
        isinstance(value, int | float) and abs(value) <= LARGEST_NUMBER and any(fits(v, hint) for v in (0, 0.0, False))
    )


def name_given(node: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """Return the name under which a part of the user's own was given, by its place first; or its own name."""
    return node["at"] if node.get("at") in given else node.get("custom", node.get("function"))


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(v) for v in value]
    kind = _kind_of(value)
    return value if kind is None else f"a part {kind.__name__}"


def _damage(where: str, wanted: str, value: Any) -> CorruptRunError:
    place = where if len(where) <= 200 else f"...{where[-190:]}"
    return CorruptRunError(f"{shown_text(place)}: expected {wanted}, got {shown(_plain(value))}", DAMAGED)


def shown_text(text: str) -> str:
    """Return a text from elsewhere with control characters escaped, shortened to a line."""
    line = " ".join(text.split()).encode("unicode_escape").decode() if not text.isprintable() else text
    return line if len(line) <= 300 else f"{line[:297]}..."


def _unknown(name: str) -> CorruptRunError:
    given = f"{{{shown(name)}: {shown_text(name)}}}"
    own = f"If it is your own, give it back in Python: run = jensen.load(RUN, parts={given})"
    return CorruptRunError(
        f"this run holds a part that this jensen does not have, {shown(name)}",
        f"{own}; write(run) of jensen.report makes its page. If not, the run is damaged, or of another version.",
    )


def _missing(own: Sequence[Mapping[str, Any]], given: Mapping[str, Any]) -> UsageError:
    """Name every part of the user's own that was not given: by class, or by place where two share a class."""
    places: dict[str, str] = {}
    for node in own:
        name = str(node.get("custom", node.get("function")))
        place = str(node.get("at") or name)
        if not {name, place} & given.keys():
            places[place] = name
    names = [shown_text(name) for name in places.values()]
    anonymous = any(not name.isidentifier() for name in names)
    keys = names if len(set(names)) == len(names) and not anonymous else [shown_text(place) for place in places]
    parts = ", ".join(f"{key!r}: {name}" for key, name in zip(keys, names, strict=True))
    what = f"a part of your own, {keys[0]!r}" if len(keys) == 1 else f"parts of your own, {', '.join(map(repr, keys))}"
    them = "it" if len(keys) == 1 else "them"
    return UsageError(
        f"this run holds {what}",
        f"Give {them} back in Python: run = jensen.load(RUN, parts={{{parts}}}); "
        "write(run) of jensen.report makes its page.",
    )
