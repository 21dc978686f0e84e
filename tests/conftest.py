"""What all tests share: shapes and types are checked on every call, and no test may leave global state changed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

os.environ.setdefault("MPLBACKEND", "Agg")

PACKAGE = Path(__file__).resolve().parent.parent / "jensen"

# These import torch and their types late, so that their annotations cannot be looked up when they are called.
UNCHECKED = {"__init__", "__main__", "cli", "report", "explorer"}

# An int is welcome where a float is asked for, as in every type checker (PEP 484).
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"


def checked_rooms() -> list[str]:
    """The rooms of the package whose every call is checked."""
    rooms = [p for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()]
    return sorted(f"jensen.{p.stem}" for p in rooms if p.stem not in UNCHECKED)


# The hook must be in place before the first import of jensen; it stays for the whole session.
install_import_hook(checked_rooms(), CHECKER)

# The same examples on every run, and none kept between runs.
settings.register_profile("jensen", deadline=None, derandomize=True, max_examples=50, database=None)
settings.load_profile("jensen")


def global_state() -> dict[str, object]:
    """The process-wide switches of torch that a library must leave as it found them."""
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


@pytest.fixture(autouse=True)
def global_state_is_left_alone():
    before = global_state()
    yield
    after = global_state()
    changed = {k: (v, after[k]) for k, v in before.items() if after[k] != v}
    assert not changed, f"global state was changed (before, after): {changed}"
