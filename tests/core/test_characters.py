"""Control characters, and characters that an encoding lacks, in a visible form."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from jensen.core.characters import as_one_line, encodable, escaped, visible


def obeyed() -> set[str]:
    """By Unicode's own tables: what controls a terminal or the direction of text, and what is no character."""
    of_kind = {
        c
        for c in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    }
    return of_kind | {
        "\N{LEFT-TO-RIGHT MARK}",
        "\N{RIGHT-TO-LEFT MARK}",
        "\N{ARABIC LETTER MARK}",
        "\N{ZERO WIDTH NO-BREAK SPACE}",
    }


def test_every_character_that_is_obeyed_is_escaped():
    characters = obeyed()
    shown = as_one_line("".join(characters))
    assert shown.isascii()
    assert shown.isprintable()
    assert {"\x1b", "\x9b", "\u202e", "\u2066", "\u200e", "\u2028", "\ud800", "\x7f"} < characters


@pytest.mark.parametrize("character", "\u200b\xad\u2060\u180e\u3164\U000e0041")
def test_what_is_not_seen_is_escaped(character):
    assert as_one_line(f"na{character}me") == visible(f"na{character}me") == f"na{escaped(character)}me"


def test_nothing_else_is_changed():
    text = "".join(map(chr, range(0x20, 0x7F))) + "é±━漢字🙂 한\u200c글 👩\u200d🔬"
    assert as_one_line(text) == visible(text) == text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("a\nerror: forged", "a\\nerror: forged"),
        ("back\rover", "back\\rover"),
        ("\x9b31mred", "\\x9b31mred"),
        ("exe.\u202egpj", "exe.\\u202egpj"),
    ],
)
def test_a_name_stays_within_its_line(text, line):
    assert as_one_line(text) == line


def test_lines_and_tabs_are_kept_where_they_are_ours():
    assert visible("a\n\tb\r\x1b[2J") == "a\n\tb\\r\\x1b[2J"


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\xe9", "\u202e", "\U0001f642", "\udc80"])
def test_an_escape_is_read_back(character):
    assert escaped(character).encode("ascii").decode("unicode_escape") == character


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "iso8859-7", "utf-8", None])
def test_text_can_be_encoded(encoding):
    text = encodable("p ± q ≤ ≥ ≈ x² … — ━─ é 漢 🙂", encoding)
    assert text.encode(encoding or "utf-8")
    if encoding == "ascii":
        assert text == "p +/- q <= >= ~ x\\xb2 ... - #- \\xe9 \\u6f22 \\U0001f642"
    if encoding == "latin-1":
        assert "±" in text
        assert "<=" in text
    if encoding in ("utf-8", None):
        assert text == "p ± q ≤ ≥ ≈ x² … — ━─ é 漢 🙂"
