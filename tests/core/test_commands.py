"""Commands that are printed to be repeated: a shell reads the words that were meant."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from jensen.core.commands import command_line

NAMES = [
    "run",
    "a b",
    "it's",
    'say "x"',
    "$HOME",
    "`id`",
    "a;b|c&d",
    "*?[x]",
    "ü€😀",
    "#x",
    "~",
    "a\\b",
    "a\tb",
    "a\nb'c",
]


def words_of(command: str) -> list[str]:
    """The words that bash makes of a command."""
    script = f"jensen() {{ printf '%s\\0' \"$@\"; }}; {command}"
    done = subprocess.run([str(shutil.which("bash")), "-c", script], capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_a_shell_reads_the_words_that_were_meant():
    for name in NAMES:
        command = command_line("train", name, labels=name, size=(8, 9), quiet=True, force=False, test=None)
        assert words_of(command) == ["train", name, "--labels", name, "--size", "8,9", "--quiet"]
        assert command.isprintable()


def test_what_begins_with_a_dash_is_no_option():
    assert command_line("evaluate", "-run", data="-x.csv") == "jensen evaluate ./-run --data=-x.csv"
    assert command_line("train", "x", labels="") == "jensen train x --labels="


def test_names_of_options_and_plain_numbers():
    assert command_line("evaluate", "run", leapfrog_steps=3, budget=0) == (
        "jensen evaluate run --leapfrog-steps 3 --budget 0"
    )
