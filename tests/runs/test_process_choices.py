"""A run says how many processes trained it, and others go on with it only where that is wanted."""

from __future__ import annotations

import pytest

from jensen.core.errors import UsageError
from jensen.core.launch import Launch
from jensen.core.processes import ALONE, Processes
from jensen.runs.process_choices import process_choices, refuse_other_number, with_processes

TWO = Processes(0, 2, Launch(0, 2, 0, 2, 0, "job"))


def spec(**choices: object) -> dict:
    return {"choices": {"epochs": 3, **choices}}


def test_one_process_records_nothing():
    assert process_choices(ALONE, own_noise=False) == {}
    assert with_processes(spec(), spec(), ALONE, own_noise=False) == spec()


def test_several_record_their_number():
    assert process_choices(TWO, own_noise=False) == {"processes": 2, "launch": "job"}
    assert process_choices(Processes(0, 2), own_noise=True) == {"processes": 2, "own_noise": True}


@pytest.mark.parametrize(
    ("choices", "processes", "what"),
    [
        ({"processes": 2}, ALONE, "trained by 2 processes, and this is one.*torchrun --nproc-per-node 2 -m jensen"),
        ({}, TWO, "trained by one process, and these are 2.*without torchrun.*--regroup"),
        ({"processes": 4}, TWO, "trained by 4 processes, and these are 2.*--nproc-per-node 4"),
    ],
)
def test_another_number_is_refused_unless_it_is_wanted(choices, processes, what):
    with pytest.raises(UsageError, match=what):
        refuse_other_number("run", spec(**choices), processes, regroup=False)
    refuse_other_number("run", spec(**choices), processes, regroup=True)
    changed = with_processes(spec(**choices), spec(**choices), processes, own_noise=False)["choices"]
    assert changed["regrouped"] == [choices.get("processes", 1)]
    assert changed.get("processes", 1) == processes.size


def test_as_many_as_before_go_on():
    refuse_other_number("run", spec(processes=2), TWO, regroup=False)
    refuse_other_number("run", spec(), ALONE, regroup=False)
    before = spec(processes=2, launch="older", regrouped=[4])
    again = with_processes(before, before, TWO, own_noise=False)
    assert again == spec(processes=2, launch="job", regrouped=[4])
