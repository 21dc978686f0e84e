"""A table whose separator is not looked for is refused with the line that names it, and read with that line."""

from __future__ import annotations

import numpy as np
import pytest

from jensen.core.errors import DataError
from jensen.data import read
from jensen.data.separators import separator_remedy

NOTES = ("a", "b, c", "d", "x; y")


def lines_of(separator: str, notes: bool) -> list[str]:
    rng = np.random.default_rng(0)
    rows = [["age", "note", "income"]]
    rows += [[str(20 + i), NOTES[i % 4] if notes else f"n{i % 4}", f"{rng.uniform(1, 9):.2f}"] for i in range(40)]
    return [separator.join(row) for row in rows]


@pytest.mark.parametrize("separator", ["~", "^", ":", "/", "\x01"])
@pytest.mark.parametrize("notes", [False, True], ids=["plain", "with commas"])
def test_an_unknown_separator_is_named_with_its_remedy(separator, notes, tmp_path):
    path, lines = tmp_path / "x.csv", lines_of(separator, notes)
    path.write_text("\n".join(lines))
    with pytest.raises(DataError) as error:
        read(str(path), typed=True)
    assert "tab, semicolon, comma, vertical bar and white space" in error.value.remedy
    assert error.value.remedy.endswith(f"name it in a line before all others: sep={separator}")
    path.write_text("\n".join([f"sep={separator}", *lines]))
    dataset = read(str(path), typed=True)
    assert [c.name for c in dataset.schema.columns or ()] == ["age", "note", "income"]


def test_a_broken_line_of_a_table_with_separators_has_its_own_remedy(tmp_path):
    (tmp_path / "x.csv").write_text("at,n\n12:30,1\n12:45,2\n13:00,3,4\n")
    with pytest.raises(DataError, match="3 fields instead of 2") as error:
        read(str(tmp_path / "x.csv"), typed=True)
    assert "sep=" not in error.value.remedy


def test_without_a_likely_separator_any_is_named():
    assert separator_remedy(["abc", "de~f"]).endswith("sep=X")
    assert separator_remedy([]).endswith("sep=X")
