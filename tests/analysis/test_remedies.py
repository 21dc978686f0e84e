"""A remedy offers the options that a run accepts, and no others; with none of them it still says what helps."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from jensen.analysis import remedies
from jensen.analysis.remedies import REMEDIES, flag_names
from jensen.cli.options import parse_options, parse_value
from jensen.recipes import RECIPES
from jensen.runs.training_data import DataOptions
from jensen.runs.training_options import TrainingOptions

VALUES = {"latent": 3, "fewer": 2, "components": 4, "codes": 8, "seed": 1, "epochs": 20, "warmup": 5}
VALUES |= {"floor": "0.05", "less": "0.5"}
SHARED = {f for options in (DataOptions, TrainingOptions) for f in options.__dataclass_fields__}
# findings on an evaluation have commands for remedies, and no options of a training
FILES = [p for p in Path(remedies.__file__).parent.glob("*.py") if p.stem != "reliability"]
SOURCES = [p.read_text(encoding="utf-8") for p in FILES]


def findings() -> set[str]:
    """Names of all failure modes: the first argument of every Finding."""
    calls = (n for s in SOURCES for n in ast.walk(ast.parse(s)) if isinstance(n, ast.Call))
    made = (c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "Finding" and c.args)
    return {c.args[0].value for c in made if isinstance(c.args[0], ast.Constant)}


def test_every_finding_has_a_remedy_here():
    assert len(findings()) >= 13
    assert findings() - set(REMEDIES) == set()


def pairs(words: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for word in words.split():
        if word.startswith("--"):
            name, given[name] = word.removeprefix("--"), "true"
        else:
            given[name] = word
    return given


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_words_of_every_remedy_are_accepted_by_the_parser(recipe):
    accepted = SHARED | set(RECIPES[recipe].options)
    offered = 0
    for remedy in REMEDIES.values():
        sentence = remedy.sentence(accepted, **VALUES)
        for option in remedy.options:
            words = option.format(**VALUES)
            if not flag_names(option) <= accepted:
                assert words not in sentence
                continue
            offered += 1
            assert words in sentence
            given = pairs(words)
            own = {k: v for k, v in given.items() if k.replace("-", "_") in RECIPES[recipe].options}
            assert parse_options(recipe, own) == {
                k: parse_value(k, v, RECIPES[recipe].hints[k]) for k, v in own.items()
            }
            assert {k.replace("-", "_") for k in given.keys() - own.keys()} <= SHARED
    assert offered >= 5


@pytest.mark.parametrize("name", REMEDIES)
def test_without_options_it_is_a_sentence(name):
    sentence = REMEDIES[name].sentence(set(), **VALUES)
    assert "--" not in sentence
    assert sentence[0].isupper()
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("name", "current", "absent", "present"),
    [
        ("over-fitting", {"hidden": [50]}, "--hidden 50", "--latent 2"),
        ("over-fitting", {"keep": "best"}, "--keep best", "--hidden 50"),
        ("over-fitting", {"keep": "last"}, "--patience", "--keep best"),  # which stops by itself
        ("decoder-scale-collapse", {"dequantize": True}, "--dequantize", "--likelihood"),
        ("decoder-scale-collapse", {"dequantize": False}, "--nothing", "--dequantize"),
        ("beta-not-one", {"beta": 1.0}, "--beta 1", "do not compare"),
        ("recovered", {"lr": 0.0003}, "--lr", "ook at the rows"),
    ],
)
def test_what_was_done_already_is_not_offered(name, current, absent, present):
    sentence = REMEDIES[name].sentence(None, current, **VALUES)
    assert absent not in sentence
    assert present in sentence or present.capitalize() in sentence
