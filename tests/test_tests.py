"""Laws of the tests themselves, read off their source: every test asserts, and none returns before it has.

An assertion is an `assert`, a `with pytest.raises`, a call of an assertion of torch, NumPy or pytest, or a call of a
function or fixture of the tests that asserts itself.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
Function = ast.FunctionDef | ast.AsyncFunctionDef
LIBRARIES = {"assert_close", "assert_allclose", "assert_array_equal", "assert_equal", "fail", "raises", "warns"}


@cache
def sources() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(HERE.rglob("*.py"))}


def functions(tree: ast.Module) -> list[Function]:
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


@cache
def called(node: ast.AST) -> set[str]:
    """Return the names of the functions that are called, and of the methods that are assertions of a library."""
    functions = [call.func for call in ast.walk(node) if isinstance(call, ast.Call)]
    methods = {f.attr for f in functions if isinstance(f, ast.Attribute)} & LIBRARIES
    return methods | {f.id for f in functions if isinstance(f, ast.Name)}


@cache
def has_assert(node: ast.AST) -> bool:
    return any(isinstance(n, ast.Assert) for n in ast.walk(node))


def asserts(node: ast.AST, helpers: set[str]) -> bool:
    """Return whether anything within the node asserts."""
    return has_assert(node) or not helpers.isdisjoint(called(node))


def asserting(trees: Iterable[ast.Module]) -> set[str]:
    """Return the names of functions and fixtures of the tests that assert, by themselves or by one another."""
    defined = [f for tree in trees for f in functions(tree) if not f.name.startswith("test_")]
    names, before = set(LIBRARIES), -1
    while len(names) > before:
        before = len(names)
        names |= {f.name for f in defined if asserts(f, names)}
    return names


def within_reach(tree: ast.Module, names: set[str]) -> set[str]:
    """Return which of these names mean a function of the tests in this module: its own, imported ones and fixtures."""
    imported = {a.asname or a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
    given = {a.arg for f in functions(tree) for a in f.args.args if f.name.startswith("test_")}
    return names & (LIBRARIES | imported | given | {f.name for f in functions(tree)})


def blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """Yield the lists of statements within a statement."""
    for part in (statement, *getattr(statement, "handlers", []), *getattr(statement, "cases", [])):
        yield from (getattr(part, name) for name in ("body", "orelse", "finalbody") if hasattr(part, name))


def early_returns(body: list[ast.stmt], helpers: set[str], asserted: bool = False) -> Iterator[int]:
    """Yield the lines of `return` statements that may be reached with nothing asserted."""
    for statement in body:
        if isinstance(statement, ast.Return) and not (asserted or asserts(statement, helpers)):
            yield statement.lineno
        if isinstance(statement, Function | ast.ClassDef):
            continue
        opening = [n for n in ast.iter_child_nodes(statement) if isinstance(n, ast.expr | ast.withitem)]
        inside = asserted or any(asserts(n, helpers) for n in opening)
        for block in blocks(statement):
            yield from early_returns(block, helpers, inside)
        asserted = asserted or asserts(statement, helpers)


def breaches(tree: ast.Module, helpers: set[str]) -> Iterator[str]:
    """Yield the tests that assert nothing, and the returns of tests before their first assertion."""
    helpers = within_reach(tree, helpers)
    for test in functions(tree):
        if test.name.startswith("test_"):
            if not asserts(test, helpers):
                yield f"{test.lineno}: {test.name} asserts nothing"
            yield from (f"{line}: {test.name} returns before it asserts" for line in early_returns(test.body, helpers))


def test_every_test_asserts_and_none_returns_before():
    helpers = asserting(sources().values())
    found = [f"{p.relative_to(HERE)}:{b}" for p, tree in sources().items() for b in breaches(tree, helpers)]
    assert found == []


@pytest.mark.parametrize(
    ("body", "breach"),
    [
        ("f(x)", "1: test_it asserts nothing"),
        ("assert x", None),
        ("agrees(x)", None),
        ("x.agrees()", "1: test_it asserts nothing"),
        ("stranger(x)", "1: test_it asserts nothing"),
        ("torch.testing.assert_close(x, 1)", None),
        ("with pytest.raises(ValueError):\n    f(x)", None),
        ("if f(x):\n    return\nassert x", "3: test_it returns before it asserts"),
        ("for y in x:\n    if y:\n        return\nassert x", "4: test_it returns before it asserts"),
        ("try:\n    f(x)\nexcept ValueError:\n    return\nassert x", "5: test_it returns before it asserts"),
        ("if f(x):\n    assert x\n    return\nassert not x", None),
        ("assert x\nif f(x):\n    return\nassert not x", None),
        ("def g():\n    return 1\nassert g() == x", None),
    ],
)
def test_breaches_are_found(body, breach):
    tree = ast.parse("def test_it(x):\n    " + body.replace("\n", "\n    ") + "\n\ndef agrees(x):\n    inner(x)\n")
    helper = ast.parse("def inner(x):\n    assert x\n\ndef stranger(x):\n    assert x")
    assert list(breaches(tree, asserting([tree, helper]))) == ([] if breach is None else [breach])
