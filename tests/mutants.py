"""Plant bugs, one at a time, and list which of them the test suite catches.

    python tests/mutants.py --list                        name, kind and file of every bug
    python tests/mutants.py --out mutants.json            all of them; an interrupted call goes on where it stopped
    python tests/mutants.py --shard 1/4 --out one.json    every fourth, for four machines or processes
    python tests/mutants.py --only same-order --nearest   one bug, the nearest tests alone

Each bug is one replacement of text in one file of the package. It is planted in a copy of the working tree, never in
the tree itself, and the tests of the copy are run in two stages:

1. the nearest tests (the file that mirrors the changed one, the rest of its folder, then whatever imports the changed
   module), up to the first failure;
2. the whole suite, for what is left: all remaining bugs are planted together, since most runs find nothing, and each
   failing test is run again under each bug alone. That is repeated until no test fails.

A test that fails in the unchanged copy as well does not count. The interpreter that runs this script runs the tests.
It needs what `make test` needs, and takes an hour or so on one core: `make test` itself only checks that every bug can
still be planted (`test_mutants_listed.py`).
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LISTED = "tests/test_mutants_listed.py"  # looks at the unchanged text, and would fail under every bug
SECONDS = 3600  # after which a run of tests counts as hanging
IMPORTING = 12  # test files that are near because they import the changed module
NOTHING = 5  # exit code of pytest where there was no test

# Writes the names of failing tests to a file: what pytest prints of them is not made to be read back.
PLUGIN = """
import os

def pytest_runtest_logreport(report):
    if report.failed:
        with open(os.environ["MUTANTS_FAILURES"], "a") as file:
            file.write(report.nodeid + "\\n")

pytest_collectreport = pytest_runtest_logreport
"""


@dataclass(frozen=True)
class Mutant:
    """A bug.

    Attributes:
        name: short, unique.
        file: path below `jensen`.
        before: text that occurs once in the file.
        after: what it becomes.
        kind: what sort of mistake it is.
    """

    name: str
    file: str
    before: str
    after: str
    kind: str

    @property
    def room(self) -> str:
        """The folder of the package that the file is in."""
        return self.file.partition("/")[0]

    def planted(self, text: str) -> str:
        """Return the text of the file with the bug in it.

        Raises:
            ValueError: `before` does not occur exactly once.
        """
        if (n := text.count(self.before)) != 1:
            raise ValueError(f"{self.name}: {self.before!r} occurs {n} times in jensen/{self.file}")
        return text.replace(self.before, self.after)


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "random-not-advanced",
        "core/random.py",
        "generator.set_state(module",
        "torch.Generator(generator.device).set_state(module",
        "state not kept",
    ),
    Mutant(
        "batch-subset-mask",
        "core/batch.py",
        "mask=None if self.mask is None else self.mask.index_select(0, index)",
        "mask=self.mask",
        "mask of other rows",
    ),
    Mutant("precision-left-low", "core/precision.py", "return out.to(x.dtype)", "return out", "cast dropped"),
    Mutant(
        "causal-sees-itself",
        "nets/causal.py",
        "pad(image, (f, 0))[..., :-1]",
        "pad(image, (f, 0))[..., 1:]",
        "off by one",
    ),
    Mutant("experts-order", "nets/experts.py", "[order.argsort()]", "[order]", "inverse permutation"),
    Mutant("decoder-axes", "nets/convolutional.py", ".permute(0, 1, 3, 4, 2)", ".permute(0, 1, 4, 3, 2)", "axis"),
    Mutant(
        "log-normal-jacobian",
        "distributions/tails.py",
        " - self.scale.log() - log_value",
        " - self.scale.log()",
        "log-Jacobian dropped",
    ),
    Mutant(
        "path-momentum",
        "distributions/hamiltonian.py",
        "(1 - self._kept.square()).sqrt()",
        "(1 - self._kept)",
        "square root dropped",
    ),
    Mutant(
        "chained-variance",
        "distributions/chained.py",
        "(each.variance + (each.mean - mean).square())",
        "each.variance",
        "term dropped",
    ),
    Mutant("binned-second-moment", "distributions/discretized.py", "(2 * j + 1) * tail", "2 * j * tail", "off by one"),
    Mutant(
        "mixture-mask", "families/mixture.py", "None if mask is None else mask.unsqueeze(-2)", "None", "mask ignored"
    ),
    Mutant(
        "mean-square-count", "families/gaussian.py", ".sum().clamp_min(1))[None]", ".numel())[None]", "mask ignored"
    ),
    Mutant(
        "low-rank-determinant",
        "families/covariances.py",
        " + factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)",
        "",
        "log-determinant dropped",
    ),
    Mutant(
        "coupling-inverse-sign",
        "flows/affine.py",
        "(-log_scale).exp()), -log_scale.sum(-1)",
        "(-log_scale).exp()), log_scale.sum(-1)",
        "sign",
    ),
    Mutant("planar-slope", "flows/planar.py", "(1.0 - t.square())", "(1.0 - t)", "power dropped"),
    Mutant(
        "spline-inverse-bins", "flows/spline.py", "(y if backwards else x)[..., 1:-1]", "x[..., 1:-1]", "wrong argument"
    ),
    Mutant(
        "scale-never-forgets",
        "models/conditionals.py",
        ".reciprocal().clamp_min(MEMORY)",
        ".reciprocal()",
        "limit dropped",
    ),
    Mutant(
        "joint-mask",
        "models/conditionals.py",
        "return self.scored(params, batch.x, batch.mask)",
        "return self.scored(params, batch.x, None)",
        "mask ignored",
    ),
    Mutant("posterior-prior-mean", "models/posteriors.py", " + prior_precision * mu", "", "term dropped"),
    Mutant(
        "draw-rate-swapped",
        "models/draw.py",
        "kl_divergence(guide, prior)",
        "kl_divergence(prior, guide)",
        "swapped arguments",
    ),
    Mutant(
        "ladder-stale-walk",
        "models/ladder.py",
        " or (torch.is_grad_enabled() and not made.log_prob.requires_grad)",
        "",
        "gradient lost",
    ),
    Mutant("refined-score", "guides/refined.py", "family(free.detach())", "family(free)", "detach dropped"),
    Mutant(
        "masked-guide-offset",
        "guides/masked.py",
        "batch.mask.to(batch.x) - 1",
        "batch.mask.to(batch.x)",
        "constant dropped",
    ),
    Mutant(
        "path-temperatures",
        "guides/hamiltonian.py",
        "softmax(self.raw_temperatures, 0).cumsum(0)",
        "softmax(self.raw_temperatures, 0)",
        "cumulative sum dropped",
    ),
    Mutant(
        "penalty-gradient",
        "objectives/adversarial.py",
        "create_graph=create_graph",
        "create_graph=False",
        "gradient lost",
    ),
    Mutant(
        "inclusive-weights",
        "objectives/wake_sleep.py",
        "+ draw.log_offset).detach()",
        "+ draw.log_offset)",
        "detach dropped",
    ),
    Mutant("mmd-bias", "objectives/aggregate.py", "/ (b * (b - 1))", "/ (b * b)", "off by one"),
    Mutant(
        "free-bits-floor",
        "objectives/rates.py",
        "torch.maximum(mean, free).sum()",
        "(mean - free).clamp_min(0).sum()",
        "constant dropped",
    ),
    Mutant("doubly-weights", "estimators/reparameterized.py", "(share - 1)", "share", "constant"),
    Mutant("score-baseline", "estimators/score.py", "f - (f.sum(0) - f) / (len(f) - 1)", "f - f.mean(0)", "off by one"),
    Mutant(
        "salt-without-pepper", "estimators/denoising.py", "u < self.share / 2", "u < self.share", "wrong probability"
    ),
    Mutant(
        "sleep-sees-hidden",
        "estimators/wake_sleep.py",
        "x if batch.mask is None else torch.where(batch.mask, x, batch.x)",
        "x",
        "mask ignored",
    ),
    Mutant("spikes-average", "training/spikes.py", "torch.minimum(norm, limit)", "norm", "limit dropped"),
    Mutant("average-not-undone", "training/averages.py", "self._assign(present)", "pass", "state not restored"),
    Mutant("same-order", "training/loop.py", 'f"order:{state.epoch}"', '"order"', "wrong seed"),
    Mutant(
        "clusters-variance",
        "training/clusters.py",
        "(variance + (mean - centre[labels]).square())",
        "(mean - centre[labels]).square()",
        "term dropped",
    ),
    Mutant("tally-shift-sign", "training/running_measures.py", "distortion - shift", "distortion + shift", "sign"),
    Mutant(
        "curve-error",
        "evaluate/importance.py",
        "variance.sum().sqrt() / len(variance)",
        "variance.mean().sqrt()",
        "standard error of one",
    ),
    Mutant("jackknife-factor", "evaluate/annealed.py", "((k - 1) / k)", "(k / (k - 1))", "constant"),
    Mutant(
        "start-variance",
        "evaluate/annealing_start.py",
        "(missed - variance.mean(0)).clamp_min(0.0)",
        "missed",
        "term dropped",
    ),
    Mutant(
        "excluded-state", "evaluate/exact.py", "torch.where(mass == 0, 0.0, t) for t in", "t for t in", "guard dropped"
    ),
    Mutant("gibbs-acceptance", "analysis/gibbs.py", "u.log() < gain", "u < gain", "wrong comparison"),
    Mutant(
        "impute-replacement", "analysis/weighted_points.py", "replacement=True", "replacement=False", "wrong sampling"
    ),
    Mutant("rank-ties", "analysis/calibration.py", "(below + (u * equal).long()).T", "below.T", "ties ignored"),
    Mutant(
        "jacobian-of-holes",
        "data/preparation.py",
        "row_sums(mask, np.log(np.broadcast_to(self.scale, mask.shape[1:])))",
        "row_sums(np.ones_like(mask), np.log(np.broadcast_to(self.scale, mask.shape[1:])))",
        "mask ignored",
    ),
    Mutant("bits-without-ties", "data/conversions.py", "bits.view(-1)[tie] =", "_ =", "rounding"),
    Mutant("test-holds-validation", "data/splits.py", "order[train + valid :]", "order[train:]", "rows leaked"),
    Mutant("commit-unflushed", "storage/commits.py", "flush_folder(temporary)", "pass", "fsync dropped"),
    Mutant(
        "lock-shared",
        "storage/locks.py",
        "fcntl.LOCK_EX | fcntl.LOCK_NB",
        "fcntl.LOCK_SH | fcntl.LOCK_NB",
        "lock missing",
    ),
    Mutant(
        "weights-unchecked",
        "storage/weights.py",
        "mark is not None and mark.sha256 != _digest(mark, stored)",
        "mark is not None and not mark.sha256",
        "hash check missing",
    ),
    Mutant("partial-line-stays", "storage/files.py", "file.truncate(before)", "pass", "clean-up dropped"),
    Mutant(
        "run-lost-to-interrupted",
        "storage/run_lock.py",
        'not in ("failed", "interrupted")',
        'not in ("failed",)',
        "wrong condition",
    ),
    Mutant("warmup-in-steps", "recipes/networks.py", "epochs * context.steps_per_epoch", "epochs", "wrong unit"),
    Mutant(
        "label-scale",
        "recipes/labels.py",
        "(share * (1 - share)).sqrt()",
        "(share * (1 - share))",
        "square root dropped",
    ),
    Mutant("one-sided-interval", "runs/paired.py", "(1 + LEVEL) / 2)", "LEVEL)", "constant"),
    Mutant(
        "changed-data", "runs/relocation.py", "    if theirs != sha256:", '    if theirs == "":', "hash check missing"
    ),
    Mutant(
        "stale-evaluation",
        "report/facts.py",
        " if sha256 in (None, digest(run.path / WEIGHTS)) else None",
        "",
        "hash check missing",
    ),
    Mutant(
        "bits-error-unit",
        "report/settings.py",
        "/ (facts.run.schema.size * math.log(2))",
        "/ facts.run.schema.size",
        "wrong unit",
    ),
    Mutant("time-left", "cli/progress.py", "/ (done - done_at_start)", "/ done", "term dropped"),
    Mutant("outcome-epoch", "cli/train.py", '== stopped["kept_epoch"]', '== stopped["epoch"]', "wrong epoch"),
    Mutant(
        "twins-incomplete",
        "data/twins.py",
        "(len(values), *seen)",
        "(len(values),)",
        "check dropped",
    ),
    Mutant("heap-missing", "distributions/heaps.py", "self.logs[..., 0] + self.rest", "self.rest", "term dropped"),
    Mutant("export-variance", "export/encoding.py", "q.variance.sqrt()", "q.variance", "wrong unit"),
    Mutant(
        "export-noise",
        "export/encoding.py",
        "return q.mean + _scale(q) * noise",
        "return q.mean + noise",
        "factor dropped",
    ),
    Mutant(
        "anomaly-sign",
        "sklearn/anomaly.py",
        "self.decision_function(X) < 0, -1, 1",
        "self.decision_function(X) < 0, 1, -1",
        "sign",
    ),
    Mutant(
        "anomaly-offset",
        "sklearn/anomaly.py",
        "self.score_samples(X) - self.offset_",
        "self.score_samples(X)",
        "term dropped",
    ),
    Mutant(
        "plot-span", "plot/images.py", "torch.linspace(-2.5, 2.5, steps", "torch.linspace(0, 2.5, steps", "wrong range"
    ),
    Mutant("plot-upwards", "plot/images.py", "up.flip(0)[:, None]", "up[:, None]", "wrong order"),
    Mutant("card-unit", "notebook/numbers.py", "/ (size * math.log(2))", "/ size", "wrong unit"),
    Mutant(
        "card-bound",
        "notebook/numbers.py",
        'if mark == "≥" else record["kind"]',
        'if mark == "≤" else record["kind"]',
        "kind swapped",
    ),
)


# ---------------------------------------------------------------- the copy of the tree


@dataclass(frozen=True)
class Tree:
    """A copy of the working tree, in which bugs are planted and tests are run.

    Attributes:
        root: its folder.
        scratch: for the plugin, and for what tests write.
        excused: tests that fail without any bug; they are added as they are met.
    """

    root: Path
    scratch: Path
    excused: set[str] = field(default_factory=set)

    @contextmanager
    def planted(self, mutants: Sequence[Mutant]) -> Iterator[None]:
        """Have these bugs in the copy within the scope."""
        with ExitStack() as stack:
            for mutant in mutants:
                stack.enter_context(self._changed(mutant))
            yield

    @contextmanager
    def _changed(self, mutant: Mutant) -> Iterator[None]:
        path = self.root / "jensen" / mutant.file
        text = path.read_text(encoding="utf-8")
        try:
            self._write(path, mutant.planted(text))
            yield
        finally:
            self._write(path, text)

    @staticmethod
    def _write(path: Path, text: str) -> None:
        """Write a source, and drop what was compiled of it: two versions of one second and one size look alike."""
        path.write_text(text, encoding="utf-8")
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            compiled.unlink()

    @property
    def environment(self) -> dict[str, str]:
        """The variables under which tests, and the processes that they start, import the copy."""
        plain = {k: v for k, v in os.environ.items() if k not in ("PYTHONPYCACHEPREFIX", "PYTEST_ADDOPTS")}
        paths = os.pathsep.join([str(self.root), str(self.scratch)])
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        return plain | threads | {"PYTHONPATH": paths, "MUTANTS_FAILURES": str(self._failures)}

    @property
    def _failures(self) -> Path:
        return self.scratch / "failures.txt"

    def check(self) -> None:
        """Make sure that the package of the copy is the one that is imported, wherever a process is started.

        Raises:
            RuntimeError: it is another one.
        """
        words = [sys.executable, "-c", "import jensen; print(jensen.__file__)"]
        where = subprocess.check_output(words, text=True, cwd=self.scratch, env=self.environment).strip()
        if not Path(where).resolve().is_relative_to(self.root.resolve()):
            raise RuntimeError(f"{where} is imported instead of the copy in {self.root}")

    def failing(self, tests: Sequence[str], *, first: bool) -> list[str]:
        """Run tests and return the names of those that fail; only the first of them, if `first`.

        Args:
            tests: files or names of tests; none means all.
            first: whether to stop at the first failure.
        """
        self._failures.write_text("", encoding="utf-8")
        leave = [f"--ignore={LISTED}", *(f"--deselect={name}" for name in sorted(self.excused))]
        how = ["-q", "-m", "not slow", "--tb=no", "-p", "no:cacheprovider", "-p", "name_failures"]
        words = [sys.executable, "-m", "pytest", *how, *(["-x"] if first else []), *leave]
        words += [f"--basetemp={self.scratch / 'tests'}", *tests]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        try:
            code = subprocess.run(words, cwd=self.root, env=self.environment, timeout=SECONDS, check=False, **quiet)
        except subprocess.TimeoutExpired:
            return [f"no end after {SECONDS} seconds"]
        found = list(dict.fromkeys(self._failures.read_text(encoding="utf-8").splitlines()))
        return found if found or code.returncode in (0, NOTHING) else [f"pytest ended with code {code.returncode}"]

    def failing_by(self, mutants: Sequence[Mutant], tests: Sequence[str], *, first: bool) -> list[str]:
        """The same with these bugs in the copy; tests that fail without them are left out, and excused from now on."""
        while True:
            with self.planted(mutants):
                found = self.failing(tests, first=first)
            named = [name for name in found if "::" in name]
            broken = set(self.failing(named, first=False)) if named else set()
            self.excused.update(broken)
            found = [name for name in found if name not in broken]
            if found or not broken or not first:
                return found


@contextmanager
def copied(root: Path) -> Iterator[Tree]:
    """Copy the files of a working tree that git tracks or would track, for the scope."""
    listed = subprocess.check_output(["git", "ls-files", "-coz", "--exclude-standard"], cwd=root, text=True)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Tree(Path(folder) / "tree", Path(folder) / "scratch")
        tree.scratch.mkdir()
        (tree.scratch / "name_failures.py").write_text(PLUGIN, encoding="utf-8")
        for name in filter(None, listed.split("\0")):
            if (root / name).is_file():  # what git tracks may have been removed
                (tree.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, tree.root / name)
        tree.check()
        yield tree


# ---------------------------------------------------------------- which tests are near


@dataclass(frozen=True)
class Neighbours:
    """The test files of a tree, and what they import.

    Attributes:
        root: of the tree.
    """

    root: Path

    @cached_property
    def tests(self) -> list[str]:
        """Every test file, in order."""
        return sorted(p.relative_to(self.root).as_posix() for p in (self.root / "tests").rglob("test_*.py"))

    def nearest(self, mutant: Mutant) -> list[str]:
        """Return the test files for a bug, the nearest first: the mirror, its folder, those that import the module.

        Of the last only a few, those that import least: they are about less, and the whole suite follows anyway.
        """
        path = Path(mutant.file)
        folder = f"tests/{path.parent.as_posix()}/".replace("/./", "/")
        alike = [t for t in self.tests if t.startswith(f"{folder}test_{path.stem}")]
        alike.sort(key=lambda t: (t != f"{folder}test_{path.stem}.py", t))
        beside = [t for t in self.tests if t.startswith(folder)] if len(path.parts) > 1 else []
        module = ".".join(("jensen", *path.with_suffix("").parts))
        importing = [t for t in self.tests if module in self.imported(t)]
        importing.sort(key=lambda t: (len(self.imported(t)), t))
        return list(dict.fromkeys([*alike, *beside, *importing[:IMPORTING]]))

    def imported(self, file: str) -> frozenset[str]:
        """The modules of the package that a test file names, by itself or through helpers in tests."""
        return frozenset(_reached(self.root, self.root / file))


@cache
def _reached(root: Path, path: Path) -> frozenset[str]:
    found: set[str] = set()
    for module, names in _imports(path):
        if module.startswith("tests."):
            helper = root.joinpath(*module.split(".")).with_suffix(".py")
            found |= _reached(root, helper) if helper.exists() and helper != path else set()
        elif module.partition(".")[0] == "jensen":
            found |= {_home(root, module, name) for name in names or (None,)}
    return frozenset(found)


def _imports(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    """(module, names that are taken from it) of every import in a file, those within functions too."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(("." * node.level + node.module, tuple(alias.name for alias in node.names)))
    return found


def _home(root: Path, module: str, name: str | None) -> str:
    """The module that a name comes from: a package hands on what its `__init__` takes from its own modules."""
    folder = root.joinpath(*module.split("."))
    if name is None or not (folder / "__init__.py").exists():
        return module
    if (folder / f"{name}.py").exists():
        return f"{module}.{name}"
    for source, names in _imports(folder / "__init__.py"):
        if source.startswith(".") and name in names:
            return _home(root, f"{module}{source}", name)
    return module


# ---------------------------------------------------------------- the search


@dataclass
class Results:
    """What is known of each bug, kept in a file if one is named.

    Attributes:
        path: of the file; None keeps nothing.
        by_name: the test that caught it (None: none did), the stage that said so, and the seconds that it took.
    """

    path: Path | None
    by_name: dict[str, dict[str, object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is not None and self.path.exists():
            self.by_name |= json.loads(self.path.read_text(encoding="utf-8"))

    def add(self, mutant: Mutant, caught: str | None, stage: str, seconds: float) -> None:
        """Record what a stage has found of a bug."""
        self.by_name[mutant.name] = {"caught": caught, "stage": stage, "seconds": round(seconds, 1)}
        print(f"{mutant.name:28} {stage:8} {seconds:6.0f} s  {caught or '-'}", flush=True)
        if self.path is not None:
            whole = self.path.with_suffix(".new")
            whole.write_text(json.dumps(self.by_name, indent=1) + "\n", encoding="utf-8")
            whole.replace(self.path)

    def stage(self, mutant: Mutant) -> str | None:
        """The last stage that looked at a bug; "caught" where it need not be looked at again."""
        known = self.by_name.get(mutant.name)
        return None if known is None else "caught" if known["caught"] else str(known["stage"])


def look_nearby(tree: Tree, mutants: Sequence[Mutant], results: Results) -> None:
    """First stage: every bug by itself, under the tests nearest to it."""
    neighbours = Neighbours(tree.root)
    for mutant in mutants:
        if results.stage(mutant) is None:
            began = time.monotonic()
            tests = neighbours.nearest(mutant)
            caught = tree.failing_by([mutant], tests, first=True) if tests else []
            results.add(mutant, caught[0] if caught else None, "nearest", time.monotonic() - began)


def look_everywhere(tree: Tree, mutants: Sequence[Mutant], results: Results) -> None:
    """Second stage: all bugs that are left together, under the whole suite, until it finds no more."""
    left = [m for m in mutants if results.stage(m) == "nearest"]
    while left:
        began = time.monotonic()
        failing = tree.failing_by(left, [], first=False)
        caught = _attributed(tree, left, failing)
        alone = failing and not caught  # an effect of several together, which may hide those of one
        for mutant in left:
            if alone and len(left) > 1:
                caught |= _attributed(tree, [mutant], tree.failing_by([mutant], [], first=True))
            if mutant.name in caught or not failing or alone:
                results.add(mutant, caught.get(mutant.name), "whole", time.monotonic() - began)
        left = [m for m in left if results.stage(m) == "nearest"]


def _attributed(tree: Tree, mutants: Sequence[Mutant], failing: Sequence[str]) -> dict[str, str]:
    """For each bug that makes one of these tests fail by itself, the first of them."""
    if len(mutants) == 1:
        return {mutants[0].name: failing[0]} if failing else {}
    tests = [name for name in failing if "::" in name or name.endswith(".py")]
    found = {m.name: tree.failing_by([m], tests, first=True) if tests else [] for m in mutants}
    return {name: tests[0] for name, tests in found.items() if tests}


def summary(mutants: Sequence[Mutant], results: Results) -> list[str]:
    """A line for each bug that was looked at, and how many were caught."""
    known = {m: results.by_name[m.name] for m in mutants if m.name in results.by_name}
    lines = [f"{m.name:28} {m.kind:24} {m.file:34} {known[m]['caught'] or 'NOT CAUGHT'}" for m in known]
    n = sum(1 for found in known.values() if found["caught"])
    return [*lines, f"{n} of {len(known)} caught"]


def chosen(mutants: Sequence[Mutant], only: Sequence[str], shard: str) -> list[Mutant]:
    """Return the bugs of these names (all, if none are given), and of these every n-th from the i-th on: "i/n".

    Raises:
        SystemExit: there is no bug of such a name, or no such shard.
    """
    if unknown := set(only) - {m.name for m in mutants}:
        raise SystemExit(f"there is no bug {min(unknown)!r}: see --list")
    i, n = (int(word) for word in shard.split("/"))
    if not 1 <= i <= n:
        raise SystemExit(f"--shard {shard} must be I/N with 1 <= I <= N")
    return [m for m in mutants if not only or m.name in only][i - 1 :: n]


def main(mutants: Sequence[Mutant] = MUTANTS, root: Path = ROOT) -> int:
    """Parse the arguments, look for what catches each bug, and print it; 1 if some bug is not caught."""
    parser = argparse.ArgumentParser(description="Plant bugs and list which of them the test suite catches.")
    parser.add_argument("--list", action="store_true", help="list the bugs, and run nothing")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these bugs alone")
    parser.add_argument("--shard", default="1/1", metavar="I/N", help="every N-th bug, from the I-th on")
    parser.add_argument("--nearest", action="store_true", help="the nearest tests alone, not the whole suite")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="keep results here, and go on from them")
    parser.add_argument("--root", type=Path, default=root, metavar="DIR", help="another working tree")
    given = parser.parse_args()
    mine = chosen(mutants, given.only, given.shard)
    if given.list:
        print("\n".join(f"{m.name:28} {m.kind:24} jensen/{m.file}" for m in mine))
        return 0
    results = Results(given.out)
    with copied(given.root) as tree:
        look_nearby(tree, mine, results)
        if not given.nearest:
            look_everywhere(tree, mine, results)
    print("\n".join(summary(mine, results)))
    return int(any(results.stage(m) != "caught" for m in mine))


if __name__ == "__main__":
    sys.exit(main())
