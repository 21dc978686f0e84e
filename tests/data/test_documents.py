"""Files that are no tables are refused by what they are; tables with a faulty line by that line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from jensen.core.errors import DataError
from jensen.data.documents import document_kind
from jensen.data.sources import read

LETTER = """Dear Sir,

this is a letter, with some words, and a few commas, of no table at all.
It goes on for several lines; and then it ends.

Yours, sincerely
"""
MARKDOWN = """# A package

Some words about it, and more.

## Use

- [Install it](install.md)
- say "so"
"""
CODE = "import sys\nfrom os import path\n\n\ndef double(x, y=2):\n    return x * y\n\n\nprint(double(1, path))\n"
SETTINGS = '[tool]\nname = "x"\nversion = 3\n\n[tool.more]\nlist = ["a", "b"]\n'
YAML = "name: x\nsteps:\n  - run: a\n  - run: b\nlast: c\n"
LOG = (
    "2026-01-01 12:00:00 INFO began\n2026-01-01 12:00:01 ERROR it failed, with code 3\n2026-01-01 12:00:03 INFO over\n"
)
PROSE_IN_CELLS = """name,note,end
Anna,this is a note of several words.,yes
Ben,and so are these words here.
Carl,who wrote a few more of them.,no
Dora,the last of them is this one.,no
"""
KINDS = {
    "prose": LETTER,
    "a Markdown document": MARKDOWN,
    "source code": CODE,
    "a file of settings": SETTINGS,
    "a log": LOG,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["x.csv", "x.txt", "x.csv.gz"])
@pytest.mark.parametrize("typed", [True, False])
def test_a_document_is_refused_by_what_it_is(kind, name, typed, tmp_path):
    path = tmp_path / name
    path.write_bytes(gzip.compress(KINDS[kind].encode()) if name.endswith("gz") else KINDS[kind].encode())
    with pytest.raises(DataError) as refused:
        read(str(path), typed=typed)
    assert f"{path} looks like {kind}, and is no table" in refused.value.what
    assert "one row per datum" in refused.value.remedy


def test_its_name_tells_where_the_text_does_not(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\nb:\n  - 2\n  - 3\n")
    with pytest.raises(DataError, match=r"x\.yaml looks like a file of settings"):
        read(str(path), typed=True)
    assert document_kind("3\n4\n", ".log") == "a log"
    assert document_kind(YAML) == "a file of settings"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PROSE_IN_CELLS, "line 3"),
        ("a,b\n1,2\n3\n4,5\n6,7\n", "line 3"),
    ],
)
def test_a_table_with_a_faulty_line_is_refused_by_that_line(text, words, tmp_path):
    path: Path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(DataError) as refused:
        read(str(path), typed=True)
    assert words in refused.value.what
    assert "looks like" not in refused.value.what


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("x.xml", "<?xml version='1.0'?>\n<a>1</a>\n", "is an XML document"),
        ("x.csv", "<?xml version='1.0'?>\n<a>1</a>\n", "holds an XML document"),
        ("x.csv", "{\\rtf1 hello}\n", "holds a document in RTF"),
        ("x.json", '{"a": 1, "b": {"c": [1, 2]}}', "'a' is 1, and no column"),
        ("x.json", '[1, 2, {"a": 3}]', r"row 2 \(from 0\) is {\"a\": 3}"),
        ("x.json", "[[1, 2], 3]", r"row 1 \(from 0\) is 3"),
        ("x.json", "[]", "has no rows"),
    ],
)
def test_markup_and_settings_in_json_are_refused(name, text, words, tmp_path):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read(str(path))
