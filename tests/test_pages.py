"""The pages of docs: their programs run, and what was generated is what the registry makes now."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.recipes import MARK, sentence
from jensen.core.errors import CorruptRunError
from jensen.core.parts import REGISTRY
from jensen.recipes import RECIPES, find
from jensen.runs.run import load

ROOT = Path(__file__).resolve().parent.parent
OWN = ("Antithetic", "Gumbels", "OneScale", "Sparsity")


def text(page: str) -> str:
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text(page), flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to work in, and registries that forget what was put into them."""
    held = [(registry, dict(registry)) for registry in (RECIPES, REGISTRY)]
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("mine", None)
    for registry, before in held:
        registry.clear()
        registry.update(before)


def run(program: str, name: str) -> dict:
    Path(name).write_text(program, encoding="utf-8")
    return runpy.run_path(name)


def test_parts_of_ones_own(folder):
    parts, (proof, training, opening) = blocks("write-a-part.md")[:4], blocks("write-a-part.md")[4:]
    (folder / "mine.py").write_text("\n".join(parts), encoding="utf-8")
    assert max(len(block.splitlines()) for block in parts) < 35
    run(proof, "proof.py")
    made = run(training, "training.py")["run"]
    assert "Gumbels(64) by MLP 3-32-128" in made.sentence
    assert "Elbo - 0.1 Sparsity by Antithetic(pairs=2)" in made.sentence
    for name in OWN:  # as in a process that has not imported them
        del REGISTRY[name]
    with pytest.raises(CorruptRunError, match=r"parts=\{'Gumbels': Gumbels\}"):
        load("runs/sparse")
    mine = sys.modules.pop("mine")
    given = {name: vars(mine)[name] for name in OWN}
    assert type(load("runs/sparse", parts=given).guide) is mine.OneScale
    again = run(opening, "opening.py")["run"]
    assert np.array_equal(again.evaluate(k=20).estimate.nats, made.evaluate(k=20).estimate.nats)


def rows() -> dict[str, list[str]]:
    """The cells after the name of each row of a table of docs/recipes.md that gives a sentence, by recipe."""
    found = re.findall(r"^\| `([a-z-]+)` \| ([zx] ~ .*) \| ([^|]*) \|$", text("recipes.md"), flags=re.MULTILINE)
    return {name: [told.replace("\\|", "|"), paper] for name, told, paper in found}


def test_the_recipes_page_names_every_recipe():
    assert text("recipes.md").startswith(MARK)
    assert rows().keys() == RECIPES.keys(), "run benchmarks/recipes.py --table --write"


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_what_its_page_says(name):
    assert rows()[name] == [sentence(name), find(name).paper], "run benchmarks/recipes.py --table --write"
