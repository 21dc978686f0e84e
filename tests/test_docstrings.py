"""Every public name is documented, docstrings and names are plain, and the examples in docstrings run.

Each law is a function from a module's source to the breaches it finds, and is shown once to find planted ones.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "jensen").rglob("*.py"))
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

# A docstring begins with a verb ("Return the ...") or with the thing itself ("The ..."), never with one of these.
OPENERS = "As|How|Of|Told|What|When|Where|Whether|Which|Who|Whom|Whose|Why|The same"
COY_NAMES = {"found", "told"}  # a local is named after the thing that it holds

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | Function


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def docstrings(tree: ast.Module) -> Iterator[tuple[str, int, str]]:
    """Yield (name, line, text) of each docstring, from the source: doctest's own search skips wrapped functions."""
    for node in ast.walk(tree):
        if isinstance(node, Documented) and (text := ast.get_docstring(node, clean=False)):
            yield getattr(node, "name", "module"), node.body[0].lineno, text


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def examples() -> list[object]:
    """Return the docstrings with examples; this runs whenever tests are collected, so files without any are skipped."""
    parser, cases = doctest.DocTestParser(), []
    for path in FILES:
        if ">>> " not in path.read_text(encoding="utf-8"):
            continue
        for name, line, text in docstrings(tree_of(path)):
            if parser.get_examples(text):
                cases.append(pytest.param(path, name, line, text, id=f"{module_name(path)}.{name}"))
    return cases


# --- the laws ---


def public_names_are_documented(tree: ast.Module) -> Iterator[str]:
    """Yield the module and those of its public classes and functions that have no docstring."""
    public = [n for n in tree.body if isinstance(n, Documented) and not n.name.startswith("_")]
    yield from (getattr(n, "name", "module") for n in [tree, *public] if not ast.get_docstring(n))


def docstrings_open_plainly(tree: ast.Module) -> Iterator[str]:
    """Yield the docstrings, of private names too, that begin with a question word or another forbidden opener."""
    for name, line, text in docstrings(tree):
        if opener := re.match(rf"\s*({OPENERS})\b", text):
            yield f"{line} ({name}): {opener[1]!r}"


def locals_name_what_they_hold(tree: ast.Module) -> Iterator[str]:
    """Yield the places in functions where a coy name is bound: by assignment, loop, `with`, parameter, import, ..."""
    functions = [n for n in ast.walk(tree) if isinstance(n, Function)]
    inside = {id(n): n for function in functions for n in ast.walk(function) if n is not function}
    for node in inside.values():
        bound = {
            ast.Name: lambda n: n.id if isinstance(n.ctx, ast.Store) else None,
            ast.arg: lambda n: n.arg,
            ast.alias: lambda n: n.asname or n.name,
            ast.ExceptHandler: lambda n: n.name,
            ast.MatchAs: lambda n: n.name,
            ast.MatchStar: lambda n: n.name,
            ast.FunctionDef: lambda n: n.name,
        }.get(type(node), lambda n: None)(node)
        if bound in COY_NAMES:
            yield f"{node.lineno}: {bound!r}"


Law = Callable[[ast.Module], Iterator[str]]

# Each law with sources that break it.
PLANTED: dict[Law, list[str]] = {
    public_names_are_documented: ["def _f(): pass", '"""A module."""\ndef f(): pass', '"""A module."""\nclass C: pass'],
    docstrings_open_plainly: [
        '"""What a flow is."""',
        'class C:\n    """The same with another name."""',
        'class C:\n    @property\n    def f(self):\n        """Whether it is."""',
        'def _f():\n    r"""Of a datum, its bound."""',
        'def f():\n    """\n    How many there are.\n    """',
    ],
    locals_name_what_they_hold: [
        "def f():\n    found = 1",
        "def _f():\n    found, told = 1, 2",
        "class C:\n    def f(self):\n        for told in (): pass",
        "def f(x):\n    return [found for found in x]",
        "def f(x):\n    return 1 if (found := x) else 2",
        "def f():\n    with open('x') as found: pass",
        "def f(*, told): pass",
        "def f():\n    try: pass\n    except OSError as told: pass",
        "def f(x):\n    match x:\n        case [found]: pass",
        "def f():\n    def found(): pass",
        "def f():\n    from m import x as found",
    ],
}

BREACHES = [
    pytest.param(law, source, id=f"{law.__name__}-{i}") for law in PLANTED for i, source in enumerate(PLANTED[law])
]


@pytest.mark.parametrize("law", PLANTED, ids=lambda law: law.__name__)
def test_package_keeps_the_law(law):
    trees = {module_name(path): tree_of(path) for path in FILES}
    assert [f"{name}:{breach}" for name, tree in trees.items() for breach in law(tree)] == []


@pytest.mark.parametrize(("law", "source"), BREACHES)
def test_law_finds_a_planted_breach(law, source):
    assert list(law(ast.parse(source)))


@pytest.mark.parametrize("law", PLANTED, ids=lambda law: law.__name__)
def test_law_lets_plain_code_pass(law):
    source = """
'The module.'
def f(paths):
    'Return whatever is first.'
    return paths.found or told(paths)
def _g(): pass
"""
    assert list(law(ast.parse(source))) == []


# --- the examples ---


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
