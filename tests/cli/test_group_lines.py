"""Groups on the command line: what is printed, exit codes, and the verbs that take a group."""

from __future__ import annotations

import json

import numpy as np
import pytest

from jensen.cli import main

SMALL = ["--latent", "1", "--hidden", "4", "--epochs", "1", "--quiet"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("groups")
    np.save(folder / "bits.npy", (np.random.default_rng(0).random((60, 4)) < 0.4).astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def swept(home):
    out = home / "swept"
    sweep = ["--sweep", "batch=8,16", "--seeds", "2"]
    assert main(["train", str(home / "bits.npy"), "--out", str(out), *sweep, *SMALL]) == 0
    return out


def test_a_sweep_is_summed_up(home, capsys):
    words = ["--seeds", "3", "--seed", "4", "--out", str(home / "seeds")]
    assert main(["train", str(home / "bits.npy"), *words, *SMALL]) == 0
    out = capsys.readouterr().out
    assert out.startswith("3 runs: validation bound in nats per datum\nmember")
    assert all(f"seed-{seed} " in out for seed in (4, 5, 6))
    assert "over 3 members" in out
    assert max(map(len, out.splitlines()[1:6])) <= 80


def test_json_is_one_object(home, capsys):
    words = ["--sweep", "latent=1,2", "--out", str(home / "json"), "--json", *SMALL[2:]]
    assert main(["train", str(home / "bits.npy"), *words]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [member["name"] for member in record["members"]] == ["latent-1", "latent-2"]


def test_a_failed_member_is_an_exit_code(home, capsys):
    np.save(home / "x.npy", np.random.default_rng(0).normal(size=(40, 2)))
    words = ["--sweep", "lr=1e-3,1e30", "--batch", "8", "--out", str(home / "failed"), *SMALL]
    assert main(["train", str(home / "x.npy"), *words]) == 5
    captured = capsys.readouterr()
    assert "1 run: validation bound" in captured.out
    assert "error: lr-1e+30: " in captured.err
    assert "The other members are complete" in captured.err


def test_every_member_is_evaluated(swept, capsys):
    assert main(["evaluate", str(swept), "-k", "5", "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [f"{swept}/batch-{batch}-seed-{seed}:" for batch in (8, 16) for seed in (0, 1)]
    assert [line for line in lines if line in names] == names
    assert main(["evaluate", str(swept), "-k", "5", "--quiet", "--json"]) == 0
    assert len([json.loads(line) for line in capsys.readouterr().out.splitlines()]) == 4
    assert main(["evaluate", str(swept), "--rows", "r.csv", "--quiet"]) == 2
    assert "--rows is one file" in capsys.readouterr().err


def test_settings_are_compared(swept, capsys):
    assert main(["compare", f"{swept}/batch-8", f"{swept}/batch-16", "-k", "5", "--quiet"]) == 0
    assert "over 2 paired seeds" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["report", "doctor", "sample", "verify"])
def test_other_verbs_name_the_members(verb, swept, capsys):
    assert main([verb, str(swept)]) == 2
    assert f"Give one of its runs: {swept}/batch-16-seed-0" in capsys.readouterr().err


def test_a_finished_group_is_not_resumed(swept, capsys):
    assert main(["resume", str(swept), "--quiet"]) == 2
    assert "no member of" in capsys.readouterr().err
