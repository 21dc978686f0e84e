"""What torchrun says is read as a whole, or not at all."""

from __future__ import annotations

import pytest

from jensen.core.launch import NEEDED, Launch

SAID = dict(zip(NEEDED, ("1", "4", "1", "2", "10.0.0.1", "29500"), strict=True))


def test_it_is_read():
    launch = Launch.read(SAID | {"TORCHELASTIC_RUN_ID": "job 7"})
    assert launch == Launch(rank=1, size=4, local_rank=1, local_size=2, restarts=0, id="job 7")


def test_a_launch_without_a_name_is_told_by_its_torchrun():
    ids = {Launch.read(SAID | given).id for given in ({}, {"TORCHELASTIC_RUN_ID": "none"})}  # pyright: ignore
    assert len(ids) == 1
    assert "none" not in ids


@pytest.mark.parametrize("name", NEEDED)
def test_a_part_of_it_is_nothing(name):
    assert Launch.read({k: v for k, v in SAID.items() if k != name}) is None
    assert Launch.read(SAID | {name: ""}) is None


def test_a_single_process_is_alone():
    assert Launch.read(SAID | {"RANK": "0", "WORLD_SIZE": "1"}) is None
