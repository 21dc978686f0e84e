"""What surrounds the package agrees with it: versions, dependencies, targets, the folder map, the licence."""

from __future__ import annotations

import ast
import importlib.resources
import os
import re
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from beartype import beartype
from jaxtyping import TypeCheckError, jaxtyped

from jensen.core.batch import Rows
from jensen.core.shapes import Groups, Points
from tests import typecheck
from tests.test_imports import FLOORS

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTION = {"IPython": "ipython", "sklearn": "scikit-learn", "PIL": "pillow"}


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def declared() -> set[str]:
    """Names of all distributions in the dependencies and the extras."""
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    return {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in [*PROJECT["dependencies"], *extras]}


def third_party(source: str) -> set[str]:
    """Top-level packages that a source imports by absolute name, the standard library and jensen left out."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"jensen"}


def rooms() -> set[str]:
    paths = [p for p in (ROOT / "jensen").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()]
    return {p.name if p.suffix else f"{p.name}/" for p in paths if not p.name.startswith("__")}


def test_every_import_is_declared():
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "jensen").rglob("*.py")]
    wanted = {DISTRIBUTION.get(name, name) for source in sources for name in third_party(source)}
    assert wanted - declared() == set()


def test_third_party_imports_are_seen():
    assert third_party("import os, torch.nn\nfrom sklearn.datasets import x\nfrom . import y") == {"torch", "sklearn"}


def test_changelog_knows_the_version():
    newest = re.search(r"^## (\S+)", text("CHANGELOG.md"), flags=re.MULTILINE)
    assert newest
    assert newest[1] == PROJECT["version"]


def test_licence_is_apache():
    licence = text("LICENSE")
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    assert "Copyright The jensen authors" in licence


def test_named_targets_exist():
    targets = set(re.findall(r"^([a-z][a-z-]*):", text("Makefile"), flags=re.MULTILINE))
    pages = "\n".join(map(text, ("README.md", "CONTRIBUTING.md", ".ci/run")))
    named = set(re.findall(r"^\s*`?make ([a-z-]+)", pages, flags=re.MULTILINE))
    assert {"demo", "test", "lint"} <= named
    assert named - targets == set()


def test_ci_stops_at_the_first_failure():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text(encoding="utf-8")


def test_every_room_is_on_the_maps():
    for page in ("docs/rooms.md", "docs/design.md"):
        missing = {room for room in rooms() if room not in text(page)}
        assert missing == set(), f"{page} does not name them"


def test_the_maps_have_the_floors_of_the_import_law():
    """Each line of the map has a floor and its rooms; docs/design.md has one line per floor."""
    law = [{room if room.startswith("_") else f"{room}/" for room in floor} for floor in FLOORS]
    lines = re.findall(r"^\| (\d+) \| (.*?) \|", text("docs/rooms.md"), flags=re.MULTILINE)
    mapped: list[set[str]] = [set() for _ in law]
    for floor, names in lines:
        mapped[int(floor)] |= {name.removesuffix(".py") for name in re.findall(r"`(.*?)`", names)}
    assert mapped == law
    drawn = text("docs/design.md").partition("## Rooms, and the import law")[2].partition("\n## ")[0]
    assert [set(line.split()) for line in re.findall(r"^    (.*)$", drawn, flags=re.MULTILINE)] == law


def definitions(path: Path) -> set[str]:
    """Return the names of a module's classes, functions, methods and variables."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    defined = (ast.ClassDef, ast.FunctionDef)
    names = {node.name for node in ast.walk(tree) if isinstance(node, defined)}
    return names | {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def test_the_map_names_what_the_files_hold():
    """Where the map says "`name` in [file](path)" or "`name` ([file](path))", the file defines that name."""
    named = re.findall(r"`([A-Za-z_.]+)`(?: in)? \(?\[[^\]]*\]\(\.\./([^)]+\.py)\)", text("docs/rooms.md"))
    assert len(named) > 10
    missing = [(name, path) for name, path in named if name.rpartition(".")[2] not in definitions(ROOT / path)]
    assert missing == []


def test_calls_are_checked_while_testing():
    typecheck.new_test()  # in which every function is checked, as in one of a few
    rows = Rows(torch.zeros(3, 2))
    with pytest.raises(TypeCheckError):
        rows.take("all of them")


def test_shapes_are_checked_while_testing():
    @jaxtyped(typechecker=beartype)
    def pair(log_lik: Points, log_prior: Groups) -> None: ...

    pair(torch.zeros(4, 3), torch.zeros(4, 3, 1))
    with pytest.raises(TypeCheckError):
        pair(torch.zeros(4, 3), torch.zeros(3, 4, 1))


def test_type_checkers_read_the_annotations_of_the_package():
    """PEP 561: the marker is in the package, and with it in a wheel, which holds all of its folder."""
    assert importlib.resources.files("jensen").joinpath("py.typed").is_file()
    build = tomllib.loads(text("pyproject.toml"))["tool"]["hatch"]["build"]["targets"]
    assert build["wheel"] == {"packages": ["jensen"]}
    assert "Typing :: Typed" in PROJECT["classifiers"]
