"""Single edits of a specification, as a stranger makes them: with every digest right, or with none changed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file

from jensen.core.errors import JensenError
from jensen.storage.safetensors_writer import Packed
from jensen.storage.seals import sealed
from jensen.storage.weights import KEY, Mark, _belongs, _digest, tie

PART = {"id": 9999, "part": "Gaussian", "args": {"dim": 2, "scale": "each", "floor": 1e-4}}
FUNCTION = {"id": 9998, "function": "system"}
CODE = {"id": 9997, "part": "os.system", "args": {"command": "touch /tmp/ran"}}
CALL = {"id": 9996, "part": "jensen.core.parts:Part", "args": {}}


def deep(levels: int) -> Any:
    """Lists within lists."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


WHOLE = (-1, 0, 1, 2, 3, 2**31, 2**31 - 1, 2**53, 2**63, 2**64, 10**30)
BROKEN = (1.5, -0.5, 1e308, -1e308, 1e-320)
PATHS = ("../../etc/passwd", "/etc/passwd", "/dev/zero", "a\x00b")
WORDS = (
    "",
    "abc",
    "jensen.core.parts:Part",
    "os.system",
    "nan",
    "Infinity",
    "cpu",
    "meta",
    "cuda:99",
    "MLP",
    "10000000",
)
LISTS = ([], {}, [1], [2**40], [-1, -1], [[]], {"a": 1}, {"ref": 0}, {"ref": 10**9}, deep(60), deep(900))
TEXTS = ("\x1b]0;title\x07", "x" * 10_000)
NODES = (PART, FUNCTION, CODE, CALL)
VALUES: tuple[Any, ...] = (None, True, False, *WHOLE, *BROKEN, *PATHS, *WORDS, *TEXTS, *LISTS, *NODES)
NUMBERS = (0, 1, 2, 3, 4, 5, 8, 16, 17, 100, 1000, 10**5, 10**6, 10**7, 2**31 - 1, 0.0, 1e-30, 0.5, 1e6, 1e29)
KINDS = (
    *("number", "number", "number", "replace", "replace", "replace"),
    *("sibling", "subtree", "delete", "duplicate", "rename", "swap", "scale"),
)

Path_ = tuple[Any, ...]


def paths(node: Any, at: Path_ = ()) -> Iterator[Path_]:
    """Yield the path of every value; of long lists, a few entries."""
    entries: Any = node.items() if isinstance(node, dict) else enumerate(node[:3]) if isinstance(node, list) else ()
    for key, value in entries:
        yield (*at, key)
        yield from paths(value, (*at, key))


def value_at(spec: Any, path: Path_) -> Any:
    for key in path:
        spec = spec[key]
    return spec


def edited(spec: dict[str, Any], noise: random.Random) -> tuple[str, dict[str, Any]]:
    """Return a description of a random edit, and the specification with it."""
    spec = copy.deepcopy(spec)
    every = [p for p in paths(spec) if p != ("format",)]
    heads = [p for p in every if p[0] == noise.choice(("model", "players"))]
    path = noise.choice(heads if heads and noise.random() < 0.6 else every)
    kind, holder, key = noise.choice(KINDS), value_at(spec, path[:-1]), path[-1]
    others = [k for k in (holder if isinstance(holder, dict) else range(len(holder))) if k != key]
    value: Any = None
    if kind == "replace" or (kind in ("sibling", "swap") and not others):
        holder[key] = value = noise.choice(VALUES)
    elif kind == "number":
        leaves = [p for p in heads or every if isinstance(value_at(spec, p), int | float) and p[-1] != "id"]
        path = noise.choice(leaves or every)
        holder, key = value_at(spec, path[:-1]), path[-1]
        slow = key in ("steps", "leaps", "points")  # for every datum: a few of them are tried, or absurdly many
        holder[key] = value = noise.choice([n for n in NUMBERS if not slow or not 100 < n <= 10**5])
    elif kind == "sibling":
        holder[key] = value = copy.deepcopy(holder[noise.choice(others)])
    elif kind == "subtree":
        holder[key] = value = copy.deepcopy(value_at(spec, noise.choice(every)))
    elif kind == "swap":
        other = noise.choice(others)
        holder[key], holder[other] = holder[other], holder[key]
        value = other
    elif kind == "delete":
        del holder[key]
    elif kind == "scale" and isinstance(holder[key], int | float):
        value = noise.choice((2, 10, 10**6, 10**9, 10**17, -1, 0.5))
        holder[key] = type(holder[key])(holder[key] * value)
    elif isinstance(holder, list):
        holder[key:key] = [copy.deepcopy(holder[key])] * noise.choice((1, 1, 500))
    else:
        value = noise.choice(("abc", f"{key}_", f"_{key}", "__class__", str(key).upper(), *map(str, others[:3])))
        copied = copy.deepcopy(holder[key])
        if kind == "rename":
            del holder[key]
        holder[value] = copied
    return f"{kind} {'.'.join(map(str, path))} {str(value)[:60]!r}", spec


def write_edited(folder: Path, spec: dict[str, Any], *, tied: bool) -> None:
    """Write an edited specification whose digest is right; with `tied`, weights that claim to belong to it too."""
    try:
        (folder / "spec.json").write_text(json.dumps(sealed(spec)))
    except (TypeError, ValueError, RecursionError, OverflowError):  # numbers or text that no digest can be of
        (folder / "spec.json").write_text(json.dumps(spec))
    if not tied:
        return
    path = folder / "model.safetensors"
    try:
        nodes = tie(spec)
        tensors = load_file(path)
        with safe_open(path, "pt") as file:
            mark = json.loads(file.metadata()[KEY])
        mark = Mark(mark["format"], mark["jensen"], _belongs(nodes))
        mark.sha256 = _digest(mark, tensors)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError, JensenError):
        return  # nothing can belong to it
    content = Packed(tensors, {KEY: json.dumps({f: getattr(mark, f) for f in Mark.__struct_fields__})})
    path.write_bytes(b"".join(bytes(piece) for piece in content))
