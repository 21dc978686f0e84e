"""Conditions as people type them: several, with quotes, and with decimal commas."""

from __future__ import annotations

import pytest

from jensen.cli.conditions import parse_conditions
from jensen.core.errors import UsageError


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["age=40,sex=F"], {"age": "40", "sex": "F"}),
        (["age=40", "sex=F"], {"age": "40", "sex": "F"}),
        ([" age = 40 , sex = F "], {"age": "40", "sex": "F"}),
        (['name="a,b"'], {"name": "a,b"}),
        (['name = "a, ""b""=c" , age=3'], {"name": 'a, "b"=c', "age": "3"}),
        (['"name=a,b"'], {"name": "a,b"}),
        (['"weight, kg"=3,x=1'], {"weight, kg": "3", "x": "1"}),
        (['"a=b"=3'], {"a=b": "3"}),
        (["price=1,50,sex=F"], {"price": "1,50", "sex": "F"}),
        (["price=1.234,50 €,sex=F"], {"price": "1.234,50 €", "sex": "F"}),
        (["price=1,234,567.5"], {"price": "1,234,567.5"}),
        (['price="1,50"'], {"price": "1,50"}),
        (["formula=a=b"], {"formula": "a=b"}),
        (["note="], {"note": ""}),
    ],
)
def test_columns_and_values(texts, values):
    assert parse_conditions(texts) == values


@pytest.mark.parametrize(
    "texts",
    [["age"], ["=4"], [""], [], ["age=1,age=2"], ["age=1", "age=2"], ["age=1,sex"], ["sex=F,50"], ["age=40, 50"],
     ['name="a,b'], ['name="a"b'], ["age=4,"], ['""=3']],
)  # fmt: skip
def test_texts_that_are_no_condition_are_refused(texts):
    with pytest.raises(UsageError, match="--given"):
        parse_conditions(texts)
