"""Every public name says what it is, and the examples in docstrings run."""

from __future__ import annotations

import ast
import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "jensen").rglob("*.py"))
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def docstrings(tree: ast.Module) -> Iterator[tuple[str, int, str]]:
    """(name, line, text) of each docstring, from the source: doctest's own search skips wrapped functions."""
    for node in ast.walk(tree):
        if isinstance(node, Documented) and (text := ast.get_docstring(node, clean=False)):
            yield getattr(node, "name", "module"), node.body[0].lineno, text


def examples() -> list[object]:
    parser, found = doctest.DocTestParser(), []
    for path in FILES:
        for name, line, text in docstrings(ast.parse(path.read_text(encoding="utf-8"))):
            if parser.get_examples(text):
                found.append(pytest.param(path, name, line, text, id=f"{module_name(path)}.{name}"))
    return found


def undocumented(tree: ast.Module) -> list[str]:
    """The public classes and functions of a module (and the module) that have no docstring."""
    public = [n for n in tree.body if isinstance(n, Documented) and not n.name.startswith("_")]
    return [getattr(n, "name", "the module") for n in [tree, *public] if not ast.get_docstring(n)]


@pytest.mark.parametrize(("path", "name", "line", "text"), examples())
def test_example_runs(path, name, line, text, tmp_path, monkeypatch):
    module = importlib.import_module(module_name(path))
    monkeypatch.chdir(tmp_path)
    case = doctest.DocTestParser().get_doctest(text, dict(vars(module)), name, str(path), line - 1)
    report: list[str] = []
    result = doctest.DocTestRunner(optionflags=OPTIONS).run(case, out=report.append)
    assert result.failed == 0, "".join(report)


def test_there_are_examples():
    assert examples()


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_public_names_are_documented(path):
    assert undocumented(ast.parse(path.read_text(encoding="utf-8"))) == []


def test_a_missing_docstring_is_found():
    assert undocumented(ast.parse('"""A module."""\ndef f(): pass\ndef _g(): pass')) == ["f"]
