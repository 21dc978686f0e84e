"""Calls are checked while testing: the first ones of each test, and some of the others."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from jaxtyping import TypeCheckError

from tests import typecheck

BEARTYPE = typecheck.jaxtyped(typechecker=lambda function: __import__("beartype").beartype(function))


@BEARTYPE
def doubled(x: int) -> int:
    return 2 * x if isinstance(x, int) else x


def refusals(calls: int, function: Callable[[object], object] = doubled) -> list[int]:
    """Return the numbers of the calls in which a wrong argument was refused."""
    refused = []
    for number in range(1, calls + 1):
        try:
            function("three")
        except TypeCheckError:
            refused.append(number)
    return refused


@pytest.mark.skipif(typecheck.CHECK_ALL, reason="every call is checked")
def test_first_calls_are_checked_and_some_of_the_others():
    typecheck.new_test()
    later = list(range(typecheck.EVERY, 3 * typecheck.EVERY, typecheck.EVERY))
    assert refusals(3 * typecheck.EVERY - 1) == [*range(1, typecheck.FIRST + 1), *later]
    typecheck.new_test()
    assert refusals(1) == [1]


@pytest.mark.skipif(typecheck.CHECK_ALL, reason="every call is checked")
def test_after_enough_checks_only_the_first_call_of_a_test_or_of_some_is_checked():
    @BEARTYPE
    def same(x: int) -> int:
        return x

    for _ in range(typecheck.ENOUGH):
        typecheck.new_test()
        same(1)
    typecheck.new_test()
    assert refusals(typecheck.EVERY, same) == [1, typecheck.EVERY]
    checked = []
    for _ in range(2 * typecheck.SPARSE):
        typecheck.new_test(sparse=True)
        checked.append(refusals(typecheck.EVERY, same))
    assert checked.count([1, typecheck.EVERY]) == 2
    assert checked.count([typecheck.EVERY]) == 2 * (typecheck.SPARSE - 1)


def test_a_result_is_checked():
    @BEARTYPE
    def wrong(x: int) -> str:
        return x

    with pytest.raises(TypeCheckError, match="return value"):
        wrong(3)


def test_closures_of_one_code_share_a_check_and_keep_their_own_values():
    def adder(n: int):
        @BEARTYPE
        def add(x: int) -> int:
            return x + n if x >= 0 else adder(n + 1)(-x)

        return add

    one, ten = adder(1), adder(10)
    assert (one(1), ten(1), one(2), one(-1)) == (2, 11, 3, 3)
    typecheck.new_test()
    assert one(1) == 2
    with pytest.raises(TypeCheckError):
        ten("x")
    assert (ten(1), one(1)) == (11, 2)


def test_methods_properties_and_dataclasses_are_checked():
    from dataclasses import dataclass

    @BEARTYPE
    @dataclass
    class Point:
        x: int

        @BEARTYPE
        @classmethod
        def make(cls, x: int) -> Point:
            return cls(x)

        @property
        @BEARTYPE
        def wrong(self) -> str:
            return self.x

    assert Point.make(3) == Point(3)
    for call in (lambda: Point("3"), lambda: Point.make("3"), lambda: Point(3).wrong):
        with pytest.raises(TypeCheckError):
            call()
