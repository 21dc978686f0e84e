"""Two columns that fit the terminal."""

from __future__ import annotations

import pytest

from jensen.cli.layout import WIDEST, paragraphs, terminal_width, two_columns


@pytest.mark.parametrize(("columns", "width"), [("80", 80), ("120", 120), ("300", WIDEST)])
def test_the_width_is_that_of_the_terminal(columns, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    assert terminal_width() == width


def test_texts_are_wrapped_in_their_column():
    lines = list(two_columns([("--name", "some words " * 20), ("--a-name-that-is-too-long", "text")], 60))
    assert max(map(len, lines)) <= 60
    assert lines[0].startswith("  --name                 some words")
    assert all(line.startswith(" " * 25) for line in lines[1:-2])
    assert lines[-2:] == ["  --a-name-that-is-too-long", f"{'':25}text"]


def test_brackets_are_not_broken():
    [*_, last] = two_columns([("--n", "word " * 9 + "[default: 1]")], 80)
    assert last.strip() == "[default: 1]"


def test_paragraphs_stay_apart():
    assert paragraphs("one\ntwo\n\n\n\nthree", 80) == ["one two", "", "three"]
