"""Every bug that `mutants.py` plants can still be planted, and is taken back."""

from __future__ import annotations

import ast
from collections import Counter

from tests.mutants import MUTANTS, ROOT, Mutant, Neighbours, Tree

SOURCES = {m.file: (ROOT / "jensen" / m.file).read_text(encoding="utf-8") for m in MUTANTS}


def test_there_are_seventy_and_two_or_more_in_every_room():
    assert len({m.name for m in MUTANTS}) == len(MUTANTS) == 70
    rooms = {p.parent.name for p in (ROOT / "jensen").glob("*/__init__.py")}
    few = {room for room in rooms if Counter(m.room for m in MUTANTS)[room] < 2}
    assert few == set()


def test_every_text_occurs_once():
    counts = {m.name: SOURCES[m.file].count(m.before) for m in MUTANTS}
    assert {name: n for name, n in counts.items() if n != 1} == {}


def test_every_changed_file_is_another_program():
    for mutant in MUTANTS:
        before = SOURCES[mutant.file]
        assert ast.dump(ast.parse(mutant.planted(before))) != ast.dump(ast.parse(before)), mutant.name


def test_bugs_of_one_file_are_planted_together_and_taken_back(tmp_path):
    source = tmp_path / "jensen" / "core" / "few.py"
    source.parent.mkdir(parents=True)
    source.write_text("a = 1 + 2\nb = 3 - 4\n")
    pair = [Mutant("sum", "core/few.py", "1 + 2", "1 - 2", "sign"), Mutant("gap", "core/few.py", "3 - 4", "3", "term")]
    with Tree(tmp_path, tmp_path).planted(pair):
        assert source.read_text() == "a = 1 - 2\nb = 3\n"
    assert source.read_text() == "a = 1 + 2\nb = 3 - 4\n"


def test_the_nearest_tests_begin_with_the_mirror_and_its_folder():
    mutant = next(m for m in MUTANTS if m.file == "models/draw.py")
    first, second, *_ = Neighbours(ROOT).nearest(mutant)
    assert first == "tests/models/test_draw.py"
    assert second.startswith("tests/models/")
