"""Values are of the kind that an annotation names, or they are not; and every part of jensen has annotations."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import pytest
from torch import Tensor, nn

import jensen
from jensen.core.annotations import Depth, Most, annotations_of, expected, fits, limit_of, shown
from jensen.core.parts import REGISTRY
from jensen.nets import MLP

for module in pkgutil.walk_packages(jensen.__path__, "jensen."):
    if module.name.split(".")[1] not in ("__main__", "cli", "report"):
        importlib.import_module(module.name)
OURS = {name: kind for name, kind in REGISTRY.items() if kind.__module__.startswith("jensen.")}


class Made:
    """What stands for a part."""

    def __init__(self, kind: type) -> None:
        self.kind = kind


def kind_of(value: Any) -> type | None:
    return value.kind if isinstance(value, Made) else None


FITTING = [
    *((0, int), (2**31, int), (1000, Depth), (None, int | None), (3, int | None), (1, float), (-1.5, float)),
    *((True, bool), ("a", str), ("each", Literal["each", "feature"]), (0.5, Literal["each"] | float)),
    *(
        ([1, 2], Sequence[int]),
        ((), tuple[int, ...]),
        ([3, 4], tuple[int, int]),
        ([[1.0, 2]], tuple[tuple[float, int], ...]),
    ),
    *((Made(MLP), nn.Module), (Made(object), nn.Module), (Made(object), Callable[[Tensor], Tensor]), ([1], Any)),
    *((Made(MLP), MLP | None), ([Made(MLP)], Sequence[nn.Module]), (7, Literal[7])),
]
OTHERS = [
    *((-1, int), (2**31 + 1, int), (1001, Depth), (True, int), (1.0, int), ("1", int), (None, int), ([], int)),
    *((float("nan"), float), (float("inf"), float), (1e300, float), (False, float), ("1", float), (1, bool), (0, str)),
    *(
        ("other", Literal["each"]),
        (True, Literal[1]),
        (["1"], Sequence[int]),
        ([1], tuple[int, int]),
        (3, Sequence[int]),
    ),
    *((Made(MLP), int), (Made(object), float), (Made(dict), nn.Module), (3, nn.Module), ("MLP", nn.Module), ({}, MLP)),
    *(([1], Callable[[Tensor], Tensor]), ([Made(dict)], Sequence[nn.Module]), (Made(MLP), Sequence[int])),
]


@pytest.mark.parametrize(("value", "hint"), FITTING)
def test_what_fits(value: Any, hint: Any) -> None:
    assert fits(value, hint, kind_of)


@pytest.mark.parametrize(("value", "hint"), OTHERS)
def test_what_does_not(value: Any, hint: Any) -> None:
    assert not fits(value, hint, kind_of)


def test_limits_are_those_of_the_caller_too() -> None:
    assert fits(-5, int, least=-5)
    assert not fits(-6, int, least=-5)
    assert fits(2**40, int, most=2**40)
    assert limit_of(Annotated[int, Most(7)] | None) == 7


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (int | None, "a whole number from 0 to 2,147,483,648 or null"),
        (Depth, "a whole number from 0 to 1,000"),
        (Literal["a", "b"], "one of 'a', 'b'"),
        (tuple[int, str], "a list of a whole number from 0 to 2,147,483,648, a text"),
        (Sequence[bool], "a list of entries that are each true or false"),
        (Callable[[int], int], "a function"),
        (MLP, "a part of the kind MLP"),
    ],
)
def test_words(hint: Any, words: str) -> None:
    assert expected(hint) == words


def test_what_is_shown_is_short_and_harmless() -> None:
    assert shown("\x1b]0;x\x07") == r"'\x1b]0;x\x07'"
    assert len(shown("x" * 1000)) == 60


@pytest.mark.parametrize("name", OURS)
def test_every_argument_of_every_part_is_annotated(name: str) -> None:
    hints = annotations_of(OURS[name])
    assert Any not in hints.values(), hints


def test_annotations_that_cannot_be_looked_up_allow_anything() -> None:
    def make(x: Nothing, y: int) -> None:  # noqa: F821  # pyright: ignore[reportUndefinedVariable]
        pass

    assert annotations_of(make) == {"x": Any, "y": Any}
