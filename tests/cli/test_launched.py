"""The verbs that several processes carry out together join before anything is read; all others never do."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from jensen.cli import SHARED
from jensen.cli.launched import READERS, joined_for
from jensen.cli.verbs import VERBS
from jensen.core import processes
from jensen.core.launch import NEEDED


@pytest.fixture
def torchrun(monkeypatch):
    """The environment of the second of two processes; joining is only noted."""
    values = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    for name in NEEDED:
        monkeypatch.setenv(name, values.get(name, "1"))
    monkeypatch.setattr(processes, "joined", lambda: nullcontext("joined"))


@pytest.mark.parametrize("verb", VERBS)
def test_under_torchrun_readers_join(torchrun, verb):
    with joined_for(verb) as scope:
        assert scope == ("joined" if verb in READERS else None)
    assert verb in SHARED or verb not in READERS


@pytest.mark.parametrize("verb", READERS)
def test_a_single_process_joins_nothing(monkeypatch, verb):
    for name in NEEDED:
        monkeypatch.delenv(name, raising=False)
    with joined_for(verb) as scope:
        assert scope is None
