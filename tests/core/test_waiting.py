"""Passive waiting is asked for before torch is imported, and never against the user's own choice."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from jensen.core import waiting
from jensen.core.waiting import CHOSEN_BY, wait_passively
from tests.cli.conftest import environment as clean


@pytest.fixture
def environment(monkeypatch) -> dict[str, str]:
    """An environment without these variables, in a process without torch."""
    variables: dict[str, str] = {"HOME": "/"}
    monkeypatch.setattr(waiting, "os", SimpleNamespace(environ=variables))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    return variables


def test_it_is_asked_for(environment):
    wait_passively()
    assert environment == {"HOME": "/", "OMP_WAIT_POLICY": "PASSIVE"}


@pytest.mark.parametrize("name", CHOSEN_BY)
def test_the_user_decides(name, environment):
    environment[name] = "ACTIVE"
    wait_passively()
    assert environment == {"HOME": "/", name: "ACTIVE"}


def test_it_is_too_late_once_torch_is_there(environment, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", sys)
    wait_passively()
    assert environment == {"HOME": "/"}


def test_the_front_door_asks_for_it():
    """In a new process, since this one has torch; the import stays light."""
    variables = {k: v for k, v in clean().items() if k not in CHOSEN_BY}
    program = "import os, sys, jensen; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["PASSIVE", "False"]
