"""The import law, and the other laws that can be read off the source of the package.

A room is a folder directly under `jensen/`. It imports only rooms of floors below its own, and there are no cycles.
Each law is a function from a module to the breaches it finds, and is shown once to find a planted one.
"""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# One line per floor, from the ground up. A room imports only floors below its own.
FLOORS: list[set[str]] = [
    {"core"},
    {"nets", "distributions", "data"},
    {"families"},
    {"flows"},
    {"models"},
    {"guides", "objectives"},
    {"estimators"},
    {"evaluate", "training"},
    {"analysis", "storage", "recipes"},
    {"export"},
    {"runs"},
    {"plot"},
    {"report"},
    {"cli", "notebook", "sklearn"},
    {"__init__", "__main__"},  # the front door: no room imports it
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

# Evaluation must not depend on training, nor coding on either; report and explorer read a run and never train.
APART = {
    "evaluate": {"training"},
    "codec": {"training", "evaluate"},
    "plot": {"training", "recipes", "runs.train"},
    "report": {"training", "recipes", "runs.train"},
    "explorer": {"training", "recipes", "runs.train"},
}
PURE = set().union(*FLOORS[:9]) - {"data", "storage"}  # below the runs, these two alone read and write files
HEAVY = {"torch", "sklearn", "scipy", "matplotlib", "PIL"}
PICKLES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
FILES = {"pathlib", "shutil", "tempfile", "glob", "logging"}
OF_THE_MACHINE = {"jensen.core.memory", "jensen.core.processors"}  # which read what Linux says of both
SWITCHES = {
    "torch.manual_seed",
    "torch.seed",
    "torch.set_default_dtype",
    "torch.set_default_device",
    "torch.set_default_tensor_type",
    "np.random.seed",
    "numpy.random.seed",
    "random.seed",
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """A module of the package: its dotted name, whether it is a folder's `__init__`, and its source."""

    name: str
    is_package: bool
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @cached_property
    def calls(self) -> list[tuple[int, str, ast.Call]]:
        """(line, dotted name, node) of every call."""
        return [(n.lineno, dotted(n.func), n) for n in self.nodes if isinstance(n, ast.Call)]

    @property
    def room(self) -> str:
        return self.name.split(".")[1] if "." in self.name else "__init__"


def read(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    return Module(".".join(parts[:-1] if is_package else parts), is_package, path.read_text(encoding="utf-8"))


MODULES = {m.name: m for m in map(read, sorted((ROOT / "jensen").rglob("*.py")))}


def base_of(module: Module, node: ast.ImportFrom) -> str:
    """The absolute name behind the dots of a relative import."""
    if not node.level:
        return node.module or ""
    package = module.name.split(".") if module.is_package else module.name.split(".")[:-1]
    package = package[: len(package) - (node.level - 1)]
    return ".".join([*package, *([node.module] if node.module else [])])


def imports(module: Module) -> Iterator[tuple[int, str]]:
    """(line, absolute name) of every import, late ones and those for type checkers included."""
    for node in module.nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = base_of(module, node)
            for alias in node.names:
                deeper = f"{base}.{alias.name}"
                is_module = deeper in MODULES or (base == "jensen" and alias.name in FLOOR)
                yield node.lineno, deeper if is_module else base


def own_imports(module: Module) -> Iterator[tuple[int, str]]:
    return ((line, name) for line, name in imports(module) if name.split(".")[0] == "jensen")


def room_of(name: str) -> str:
    return name.split(".")[1] if "." in name else "__init__"


def dotted(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


# --- the laws ---


def room_is_known(module: Module) -> Iterator[str]:
    if module.room not in FLOOR:
        yield f"{module.name}: room {module.room!r} has no floor; give it one in FLOORS and in docs/design.md"


def imports_only_lower_floors(module: Module) -> Iterator[str]:
    here = FLOOR.get(module.room, -1)
    for line, name in own_imports(module):
        there = FLOOR.get(room_of(name), len(FLOORS))
        if room_of(name) != module.room and there >= here:
            yield f"{module.name}:{line} (floor {here}) imports {name} (floor {there})"


def keeps_apart(module: Module) -> Iterator[str]:
    for line, name in own_imports(module):
        if room_of(name) in APART.get(module.room, ()):
            yield f"{module.name}:{line} imports {name}, from which {module.room} keeps apart"


def never_unpickles(module: Module) -> Iterator[str]:
    yield from (f"{module.name}:{n} imports {name}" for n, name in imports(module) if name.split(".")[0] in PICKLES)
    for line, name, call in module.calls:
        if name in {"torch.load", "torch.save"}:
            yield f"{module.name}:{line} calls {name}"
        for k in call.keywords:
            if k.arg == "allow_pickle" and not (isinstance(k.value, ast.Constant) and k.value.value is False):
                yield f"{module.name}:{line} allows pickle"


def never_asserts(module: Module) -> Iterator[str]:
    yield from (f"{module.name}:{n.lineno} asserts" for n in module.nodes if isinstance(n, ast.Assert))


def never_asks_hasattr(module: Module) -> Iterator[str]:
    yield from (f"{module.name}:{line} calls hasattr" for line, name, _ in module.calls if name == "hasattr")


def leaves_global_state(module: Module) -> Iterator[str]:
    yield from (f"{module.name}:{line} calls {name}" for line, name, _ in module.calls if name in SWITCHES)


def reads_and_writes_no_files(module: Module) -> Iterator[str]:
    if module.room in PURE and module.name not in OF_THE_MACHINE:
        yield from (f"{module.name}:{n} calls {name}" for n, name, _ in module.calls if name in {"open", "print"})
        yield from (f"{module.name}:{n} imports {name}" for n, name in imports(module) if name.split(".")[0] in FILES)


def is_small(module: Module) -> Iterator[str]:
    if (length := len(module.source.splitlines())) > 400:
        yield f"{module.name} has {length} lines, more than 400"
    for node in module.nodes:
        if isinstance(node, Function) and (length := (node.end_lineno or 0) - node.lineno + 1) > 60:
            yield f"{module.name}.{node.name} has {length} lines, more than 60"


def lists_public_names(module: Module) -> Iterator[str]:
    targets = [t for n in module.tree.body if isinstance(n, ast.Assign) for t in n.targets]
    targets += [n.target for n in module.tree.body if isinstance(n, ast.AnnAssign)]
    if "__all__" not in map(dotted, targets):
        yield f"{module.name} has no __all__"


def annotates_lazily(module: Module) -> Iterator[str]:
    annotated = any(isinstance(n, Function | ast.AnnAssign) for n in module.nodes)
    if annotated and "from __future__ import annotations" not in module.source:
        yield f"{module.name} lacks `from __future__ import annotations`"


Law = Callable[[Module], Iterator[str]]

# Each law with a room and a source that break it.
PLANTED: dict[Law, tuple[str, str]] = {
    room_is_known: ("attic.junk", ""),
    imports_only_lower_floors: ("models.draw", "def f():\n    from ..training import Trainer"),
    keeps_apart: ("evaluate.gaps", "from .. import training"),
    never_unpickles: ("runs.run", "import numpy as np\nnp.load('x.npy', allow_pickle=True)"),
    never_asserts: ("models.draw", "def f(x):\n    assert x > 0"),
    never_asks_hasattr: ("models.draw", "hasattr(1, 'real')"),
    leaves_global_state: ("runs.run", "import torch\ntorch.manual_seed(0)"),
    reads_and_writes_no_files: ("training.loop", "print('epoch')"),
    is_small: ("models.draw", "def f():\n" + "    x = 1\n" * 60),
    lists_public_names: ("models.draw", "x = 1"),
    annotates_lazily: ("models.draw", "def f(x: int) -> int: ..."),
}


@pytest.mark.parametrize("law", PLANTED, ids=lambda law: law.__name__)
def test_package_keeps_the_law(law):
    assert [breach for module in MODULES.values() for breach in law(module)] == []


@pytest.mark.parametrize("law", PLANTED, ids=lambda law: law.__name__)
def test_law_finds_a_planted_breach(law):
    room, source = PLANTED[law]
    assert list(law(Module(f"jensen.{room}", False, source)))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("from ..core import errors", "jensen.core.errors"),
        ("from ..core.errors import DataError", "jensen.core.errors"),
        ("import jensen.core.errors", "jensen.core.errors"),
        ("from jensen.core import parts as p", "jensen.core.parts"),
        ("from .. import __version__", "jensen"),
        ("from .schema import Schema", "jensen.data.schema"),
    ],
)
def test_imports_are_resolved(source, name):
    assert [imported for _, imported in imports(Module("jensen.data.sources", False, source))] == [name]


# --- the graph ---


def graph(key: Callable[[str], str]) -> dict[str, set[str]]:
    """Return the imports of each module, with modules merged by `key` and self-imports left out."""
    edges: dict[str, set[str]] = {}
    for module in MODULES.values():
        wanted = {key(name) for _, name in own_imports(module)}
        edges.setdefault(key(module.name), set()).update(wanted - {key(module.name)})
    return edges


@pytest.mark.parametrize("key", [str, room_of], ids=["modules", "rooms"])
def test_no_cycles(key):
    try:
        list(graphlib.TopologicalSorter(graph(key)).static_order())
    except graphlib.CycleError as error:
        pytest.fail("cycle: " + " <- ".join(error.args[1]))


# --- what importing costs ---


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after the statement."""
    program = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.check_output([sys.executable, "-c", program], text=True, cwd=ROOT, timeout=60).split())


@pytest.mark.parametrize("statement", ["import jensen", "import jensen.cli"])
def test_import_is_cheap(statement):
    loaded = loaded_by(statement)
    assert "jensen" in loaded
    assert loaded & HEAVY == set()


def test_costly_imports_would_be_seen():
    assert loaded_by("import PIL") & HEAVY == {"PIL"}
