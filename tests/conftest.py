"""Shared by all tests: shapes and types of calls are checked, and no test may leave global state changed."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from tests import typecheck

os.environ.setdefault("MPLBACKEND", "Agg")

PACKAGE = Path(__file__).resolve().parent.parent / "jensen"

# These import torch and their types late, so that their annotations cannot be looked up when they are called.
UNCHECKED = {"__init__", "__main__", "cli", "report", "explorer"}


def checked_rooms() -> list[str]:
    """Return the rooms of the package whose calls are checked."""
    rooms = [p for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()]
    return sorted(f"jensen.{p.stem}" for p in rooms if p.stem not in UNCHECKED)


# The hook must be in place before the first import of jensen; it stays for the whole session.
typecheck.install(checked_rooms())

# No test cuts the power: what is written need not reach the disk, which takes longer than all the rest of a write.
os.fsync = lambda handle: None

# The same examples on every run, and none kept between runs.
settings.register_profile("jensen", deadline=None, derandomize=True, max_examples=50, database=None)
settings.load_profile("jensen")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow the cases of sampled tests but so many of those that are not, evenly spaced, which stand for all."""
    cases: dict[tuple[Path, str], list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("sampled") and not item.get_closest_marker("slow"):
            cases.setdefault((item.path, getattr(item, "originalname", item.name)), []).append(item)
    for of_one in cases.values():
        marker = of_one[0].get_closest_marker("sampled")
        n = len(of_one) if marker is None else min(marker.args[0], len(of_one))
        quick = {round((i + 0.5) * len(of_one) / n - 0.5) for i in range(n)}
        for i, item in enumerate(of_one):
            if i not in quick:
                item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Take what collection made out of the reach of the garbage collector, which would walk it thousands of times."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def global_state() -> dict[str, object]:
    """Return the process-wide switches of torch that a library must leave alone."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    return {
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "gradient mode": torch.is_grad_enabled(),
        "matmul precision": torch.get_float32_matmul_precision(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "validation of distributions": torch.distributions.Distribution._validate_args,
        "threads": torch.get_num_threads(),
    }


@pytest.fixture
def unrendered(monkeypatch):
    """Paint the drawings of reports without rendering them, which takes most of the time of a page."""
    from matplotlib.figure import Figure

    render = Figure.savefig

    def savefig(figure, file, **options):
        if options.get("format") != "svg":
            return render(figure, file, **options)
        return file.write('<svg viewBox="0 0 1 1"></svg>')

    monkeypatch.setattr(Figure, "savefig", savefig)


@pytest.fixture(autouse=True)
def global_state_is_left_alone(request):
    typecheck.new_test(sparse=request.config.option.markexpr == "not slow")
    before = global_state()
    yield
    after = global_state()
    changed = {k: (v, after[k]) for k, v in before.items() if after[k] != v}
    assert not changed, f"global state was changed (before, after): {changed}"
