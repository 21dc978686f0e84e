"""What a field is that is not a number."""

from __future__ import annotations

import pytest

from jensen.data.fields import category, explain, is_missing, is_number, is_whole

FIELDS = {
    "number": ["1", "-2.5", "1e-3", "+.5", "inf", "1E+05", "007"],
    "missing": ["", "NA", "#N/A", "<NA>", "#DIV/0!", "-1.#IND", "None", "?", ".", "-", "NaN", "-nan"],
    "decimal comma": ["1,5", "-0,25", "1,23456", "1.234,5", "2,5e-3", ",5"],
    "thousands": ["1,234.5", "1,234,567", "1 234 567", "1'234.5", "1.234.567"],
    "unclear": ["1,234", "-12,345"],
    "percentage": ["12 %", "12%", "-3.5%", "1,5 %"],
    "money": ["$5", "€ 3.50", "3.50 €", "-£2"],
    "unit": ["3 kg", "3kg", "1.5e3 m/s", "37 °C", "5 m²", "12px"],
    "date": ["2020-01-31", "31/12/2020", "1.2.2020", "5 Jan 2020", "Jan 5, 2020", "2020-01-31T10:00:00Z", "2020-01"],
    "time": ["12:30", "10:00:05.5", "3:15 pm", "2 days 10:00:00"],
    "truth value": ["True", "false", "yes"],
    "minus": ["\u22123.5"],
    "accounting": ["(5.0)"],
    "fortran": ["1.0D+05", "2d3"],
    "complex": ["1+2j", "(1.5-2j)", "3i"],
    "limit": ["<0.1", ">= 5"],
    "fraction": ["1/2"],
    "hexadecimal": ["0x1F"],
    "pair": ["3:0.5"],
    "text": ["blue", "1_0", "a1", "New York"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in FIELDS.items() for text in texts])
def test_categories(name, text):
    assert category(text) == name
    assert is_missing(text) == (name == "missing")
    if name not in ("number", "missing"):
        assert not is_number(text)
        what, remedy = explain(text, "dose")
        assert what
        assert remedy.endswith(".")
        assert "{}" not in remedy


def test_remedies_name_the_column():
    assert "--drop day" in explain("2020-01-31", "day")[1]
    assert "--drop 3" in explain("blue", "3")[1]
    assert [is_whole(text) for text in ("12", "-1", "1.0", "", "\u0663")] == [True, False, False, False, False]
