"""The pages of docs: their programs run, and what was generated is what the registry makes now."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from benchmarks.recipes import MARK, sentence
from jensen.core.errors import CorruptRunError, UsageError
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
    for name in ("mine", "nets"):
        sys.modules.pop(name, None)
    for registry, before in held:
        registry.clear()
        registry.update(before)


def run(program: str, name: str) -> dict:
    Path(name).write_text(program, encoding="utf-8")
    return runpy.run_path(name)


@pytest.fixture
def programs(folder) -> dict[str, str]:
    """The blocks of docs/write-a-part.md by the section they are in; its two modules lie in the folder."""
    sections = re.split(r"^##+ (.*)$", text("write-a-part.md"), flags=re.MULTILINE)[1:]
    named = {
        f"{title} {i}": block
        for title, body in zip(sections[::2], sections[1::2], strict=True)
        for i, block in enumerate(re.findall(r"^```python\n(.*?)^```", body, flags=re.MULTILINE | re.DOTALL))
    }
    assert len(named) == len(blocks("write-a-part.md"))
    (folder / "nets.py").write_text(named.pop("Networks of your own 0"), encoding="utf-8")
    parts = [named.pop(f"{title} 0") for title in ("A family", "A guide", "An objective", "A gradient estimator")]
    assert max(len(block.splitlines()) for block in parts) < 35
    (folder / "mine.py").write_text("\n".join(parts), encoding="utf-8")
    return named


def test_networks_of_ones_own(programs):
    made = run(programs["Networks of your own 1"], "training.py")["run"]
    assert "Bernoulli(64) by Decoder; q(z|x): Gaussian(8) by Encoder" in made.sentence
    with pytest.raises(UsageError, match="parts of your own, 'Decoder', 'Encoder'"):
        load("runs/nets")
    again = run(programs["Networks of your own 2"], "opening.py")["run"]
    x = (load_digits().data > 7).astype("uint8")
    assert np.array_equal(again.evaluate(x, k=20).estimate.nats, made.evaluate(x, k=20).estimate.nats)


def test_several_players(programs):
    made = run(programs["Several players 0"], "players.py")["run"]
    assert "maximise ImportanceWeighted by DetachedSamples(k=10), Adam and Inclusive by" in made.sentence
    assert made.evaluate().estimate.kind == "exact"


def test_a_loop_of_ones_own(programs):
    made = run(programs["A loop of your own 0"], "loop.py")["run"]
    assert load("runs/loop").sentence == made.sentence


def test_parts_of_ones_own(programs):
    run(programs["Test a part 0"], "proof.py")
    made = run(programs["Train parts into a run 0"], "training.py")["run"]
    assert "Gumbels(64) by MLP 3-32-128" in made.sentence
    assert "Elbo - 0.1 Sparsity by Antithetic(pairs=2)" in made.sentence
    for name in OWN:  # as in a process that has not imported them
        del REGISTRY[name]
    with pytest.raises(CorruptRunError, match=r"parts=\{'Gumbels': Gumbels\}"):
        load("runs/sparse")
    mine = sys.modules.pop("mine")
    given = {name: vars(mine)[name] for name in OWN}
    assert type(load("runs/sparse", parts=given).guide) is mine.OneScale
    again = run(programs["Train parts into a run 1"], "opening.py")["run"]
    assert np.array_equal(again.evaluate(k=20).estimate.nats, made.evaluate(k=20).estimate.nats)


def test_a_recipe_of_ones_own(programs):
    made = run(programs["A recipe 0"], "recipe.py")["run"]
    assert "Gumbels(64) by MLP 3-32-128" in made.sentence
    assert "Elbo - 0.1 Sparsity by Antithetic(pairs=2)" in made.sentence
    assert find("sparse").title == "sparse code of maxima"
    assert set(find("sparse").options) == {"latent", "weight"}


def test_every_program_of_the_page_has_a_test(programs):
    tested = {"Test a part 0", "Several players 0", "A recipe 0", "A loop of your own 0"}
    tested |= {f"{title} {i}" for title, i in (("Networks of your own", 1), ("Networks of your own", 2))}
    assert programs.keys() == tested | {"Train parts into a run 0", "Train parts into a run 1"}


# ---------------------------------------------------------------- links


PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").glob("*.md")])


def anchors(page: Path) -> set[str]:
    """Return the fragments by which the headings of a page are reached, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path, content: str) -> list[str]:
    """Return the relative links of a page that lead to no file, or to no heading of a page."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", content):
        target, _, fragment = link.partition("#")
        place = page.parent / target if target else page
        if "://" not in link and not (place.exists() and (not fragment or fragment in anchors(place))):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page):
    assert broken_links(page, page.read_text(encoding="utf-8")) == []


def test_broken_links_are_noticed():
    page = ROOT / "docs" / "rooms.md"
    links = "[a](nowhere.md) [b](#no-heading) [c](design.md#no-heading) [d](design.md#the-algebra) [e](https://x.y/z)"
    assert broken_links(page, links) == ["nowhere.md", "#no-heading", "design.md#no-heading"]


def test_every_page_is_linked():
    """The README, or a page that it links, names every page of docs."""
    reached, left = {ROOT / "README.md"}, [ROOT / "README.md"]
    while left:
        page = left.pop()
        for link in re.findall(r"\]\(([^)#\s]+\.md)", page.read_text(encoding="utf-8")):
            target = (page.parent / link).resolve()
            if target not in reached:
                reached.add(target)
                left.append(target)
    assert set(PAGES) - reached == set()


# a few words of the private dialect that the pages once had
DIALECT = r"climb\w*|dreams?|flatters?|by heart|deaf|outlasts?|somebody|nobody|first aid|with suspicion|rehears\w*"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_are_in_plain_english(page):
    prose = re.sub(r"`[^`\n]*`", "", page.read_text(encoding="utf-8"))
    assert re.findall(rf"\b(?:{DIALECT})\b", prose, flags=re.IGNORECASE) == []


# ---------------------------------------------------------------- recipes


def rows() -> dict[str, list[str]]:
    """The cells after the name of each row of a table of docs/recipes.md that gives a sentence, by recipe."""
    cells = re.findall(r"^\| `([a-z-]+)` \| ([zx] ~ .*) \| ([^|]*) \|$", text("recipes.md"), flags=re.MULTILINE)
    return {name: [words.replace("\\|", "|"), paper] for name, words, paper in cells}


# others are of tables of mixed kinds
OF_DIGITS = [name for name, recipe in RECIPES.items() if recipe.columns is not True]


def test_the_recipes_page_names_every_recipe():
    assert text("recipes.md").startswith(MARK)
    assert rows().keys() == set(OF_DIGITS), "run benchmarks/recipes.py --table --write"


@pytest.mark.parametrize("name", OF_DIGITS)
def test_a_recipe_is_what_its_page_says(name):
    assert rows()[name] == [sentence(name), find(name).paper], "run benchmarks/recipes.py --table --write"


# ---------------------------------------------------------------- cells


def test_the_program_of_cells(folder, capsys):
    """The genes that differ are the one that was made to."""
    pytest.importorskip("anndata", reason="anndata is not installed", exc_type=ImportError)
    (program,) = blocks("single-cells.md")
    made = run(program, "cells.py")
    assert [gene for gene, called in zip(made["genes"].genes, made["genes"].called, strict=True) if called] == ["Sst"]
    assert made["expression"].shape == (300, 4)
    assert "1 of 4 genes differ between B" in capsys.readouterr().out


# ---------------------------------------------------------------- diffusion


def test_the_program_of_diffusion(folder, capsys):
    """Samples in another way and inpainted rows, whose left half is the data's own."""
    (program,) = blocks("diffusion.md")
    made = run(program, "diffusion.py")
    assert made["few"].shape == made["threes"].shape == (4, 8, 8, 1)
    repaired, hidden = made["repaired"], made["right"]
    assert repaired.x.shape == (2, 180, 64)
    assert (repaired.x[:, :, ~hidden] == made["run"].part("test").x[:, ~hidden]).all()
    assert repaired.rmse > 0
    assert "(2, 180, 64)" in capsys.readouterr().out
