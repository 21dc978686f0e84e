"""Fields of a specification that no jensen writes are refused, each for itself and where two disagree."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from jensen.core.errors import CorruptRunError
from jensen.storage.specification import checked_spec

OLD = Path(__file__).resolve().parents[1] / "fixtures" / "format-2" / "conditional" / "spec.json"
WHOLE = checked_spec(json.loads(OLD.read_text()), OLD)
WHOLE["players"][0]["parts"]["optimizer"] = {"name": "Adam", "lr": 1e-3, "options": []}
D = 64


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": [value]}
    return value


WRONG: list[tuple[str, Any, str]] = [
    ("data.n", 2**63, r"data\.n"),
    ("data.n", -1, r"data\.n"),
    ("data.n", 5, "not as many rows as the data"),
    ("data.location", "a\0b", r"data\.location"),
    ("data.location", None, r"data\.location"),
    ("data.beside", ["x"], r"data\.beside"),
    ("data.resize", [0, 8], r"data\.resize"),
    ("data.resize", [8], r"data\.resize"),
    ("data.schema", [], r"data\.schema"),
    ("data.schema.kind", "colour", "kind"),
    ("data.schema.shape", [8, 8], "shape"),
    ("data.schema.shape", [2**31 + 1], "preparation|cannot be"),
    ("data.schema.shape", ["64"], "schema"),
    ("data.schema.levels", "many", "schema"),
    ("data.schema.levels", None, "levels"),
    ("data.schema.names", ["a"], "1 names of columns for 64 features"),
    ("data.schema.colour", 1, "does not know"),
    ("data.classes.role", "boss", "classes"),
    ("data.classes.values", [0], "every class"),
    ("data.classes.values", list(range(9, -1, -1)), "do not rise"),
    ("data.classes.counts", [1], "count every class"),
    ("data.classes.names", {"0": "0"}, "classes"),
    ("data.dialect", {"delimiter": "ab"}, "dialect"),
    ("data.dialect", {"colour": ","}, "dialect"),
    ("data.ranges", [[0.0, 1.0]], "1 ranges of columns for 64 features"),
    ("data.ranges", [3], "ranges"),
    ("split.fractions", [0.5, 0.1, 0.1], "do not sum to 1"),
    ("split.fractions", [1.5, -0.25, -0.25], "fractions"),
    ("split.fractions", [1.0], "fractions"),
    ("split.seed", -1, "seed"),
    ("split.sizes", {"train": 1}, "sizes"),
    ("split.sizes.train", "all", "train"),
    ("split.test", {}, "test"),
    ("preparation.center", [0.0] * 3, "3 numbers for 64 features"),
    ("preparation.scale", [1.0] * (D - 1) + [0.0], "positive numbers"),
    ("preparation.scale", -1.0, "positive numbers"),
    ("preparation.scale", 1e300, "within the range"),
    ("preparation.fill", {"0": 1.0}, "fill"),
    ("preparation.seed", 1.5, "seed"),
    ("preparation.binarize", "maybe", "binarize"),
    ("preparation.dequantize", 1, "dequantize"),
    ("choices.dtype", "float16", "dtype"),
    ("choices.epochs", 0, "epochs"),
    ("choices.keep", "worst", "keep"),
    ("choices.threads", 2**64, "threads"),
    ("versions", {"torch": 2}, "versions"),
    ("versions", [], "versions"),
    ("command", [], "command"),
    ("command.latent", {"a": 1}, "command"),
    ("command.latent", deep(3), "command"),
    ("command.data", "a\0b", "command"),
    ("players.0.during", [0.5, 0.5], "ends before it begins"),
    ("players.0.during", [0.0], "during"),
    ("players.0.steps", 0, "steps"),
    ("players.0.parts.optimizer", {"name": "Adam"}, "optimizer"),
    ("players.0.parts.optimizer.lr", 0, "lr"),
    ("players.0.parts.optimizer.lr", 1e308, "lr"),
    ("players.0.parts.parameters", "model", "parameters"),
    ("players", {}, "players"),
    ("model", [{}], "model"),
    ("model", [1, 2], "model"),
    ("sentence", 7, "sentence"),
    ("sentence", deep(400), "nested"),
    ("earlier", {"format": "one"}, "earlier"),
    ("patience", 3, "does not know"),
]


@pytest.mark.parametrize(("path", "value", "said"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_field_is_named(path: str, value: Any, said: str) -> None:
    spec = copy.deepcopy(WHOLE)
    *way, last = path.split(".")
    node: Any = spec
    for key in way:
        node = node[int(key)] if key.isdigit() else node[key]
    node[last] = value
    with pytest.raises(CorruptRunError, match=said):
        checked_spec(spec, Path("spec.json"))


def test_a_whole_one_is_taken() -> None:
    assert checked_spec(copy.deepcopy(WHOLE), OLD) == WHOLE


@pytest.mark.parametrize("path", ["data", "split.sizes.valid", "preparation.fill", "choices.dtype", "players.0.parts"])
def test_a_missing_field_is_named(path: str) -> None:
    spec = copy.deepcopy(WHOLE)
    *way, last = path.split(".")
    node: Any = spec
    for key in way:
        node = node[int(key)] if key.isdigit() else node[key]
    del node[last]
    with pytest.raises(CorruptRunError, match=f"missing required field `{last}`"):
        checked_spec(spec, Path("spec.json"))
