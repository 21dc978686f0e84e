"""The catalogue read from the sources is that of the registered recipes."""

from __future__ import annotations

import ast
import sys
from typing import Literal

import pytest

from jensen.cli import catalogue as module
from jensen.cli.catalogue import Option, catalogue, from_registry, from_sources, recipe_names
from jensen.cli.option_texts import option_text
from jensen.core.errors import UsageError
from jensen.recipes import RECIPES
from jensen.recipes.base import recipe


def test_sources_and_registry_agree():
    read, registered = from_sources(), from_registry()
    assert list(read.recipes) == list(registered.recipes) == list(RECIPES)
    for name in RECIPES:
        assert read.recipes[name] == registered.recipes[name]
    assert read.networks == registered.networks
    assert read.texts == registered.texts


SOURCE = '''
Kind = Literal["a", "b"]
MANY = 7

@recipe("mine", "Somebody 2020", title="Mine", keep="last")
def mine(context: RecipeContext, nets: Nets, *, size: int = MANY, kind: Kind = "a", rest: float | None = None):
    """A model.

    More text.
    """

@recipe("bare")
def bare(context, *, sizes: Sequence[int] = (2, -3), part: Estimator | int = 1):
    """Another."""

def helper(context, *, hidden: int = 1): ...
'''


def test_a_source_is_read():
    shared = {"width": Option(int, 32)}
    mine, bare = module._entries(ast.parse(SOURCE), shared)
    assert (mine.name, mine.title, mine.paper, mine.summary) == ("mine", "Mine", "Somebody 2020", "A model.")
    assert mine.options == {
        "size": Option(int, 7),
        "kind": Option(Literal["a", "b"], "a"),
        "rest": Option(float | None, None),
        "width": Option(int, 32),
    }
    assert (bare.title, bare.paper, bare.has_nets) == ("bare", "", False)
    assert bare.options["sizes"].default == (2, -3)
    assert bare.options["part"] == Option(str | int, 1)


def test_a_recipe_of_the_user_is_listed(monkeypatch):
    @recipe("test-mine", title="Mine")
    def mine(context, *, size: int = 3):
        """Mine."""

    try:
        assert catalogue().find("test-mine").options == {"size": Option(int, 3)}
    finally:
        del RECIPES["test-mine"]
    monkeypatch.delitem(sys.modules, "jensen.recipes")
    assert recipe_names() == list(catalogue().recipes) == list(RECIPES)
    assert "test-mine" not in catalogue().recipes
    with pytest.raises(UsageError, match="Did you mean vae"):
        catalogue().find("vea")


def test_every_option_has_a_text():
    listed = from_sources()
    without = [
        (e.name, option)
        for e in listed.recipes.values()
        for option in listed.own_options(e)
        if not option_text(e.name, option)
    ]
    assert without == []
    assert option_text("free-bits", "nats") != option_text("capacity", "nats")
    assert option_text("mine", "unheard_of") == ""
