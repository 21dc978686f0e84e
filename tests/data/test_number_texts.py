"""Numbers are read in the way in which they are written, and written back in it."""

from __future__ import annotations

import math

import pytest

from jensen.core.errors import UsageError
from jensen.data.number_texts import PLAIN, NumberFormat, decimals_of, number_format, width_of

WRITTEN = {
    "1.5": ["0.25", "-3", "1e-3", "+7.5"],
    "1,5": ["0,25", "-3", "1234,5", "7,125"],
    "1,234.5": ["1,000.25", "12", "-1,234,567.5"],
    "1.234,5": ["1.000,25", "12", "-1.234.567,5"],
    "1 234,5": ["1 000,25", "12", "-1 234 567,5"],
    "1'234.5": ["1'000.25", "12", "-1'234'567.5"],
    "$1,234.5": ["$1,000.25", "$12.00"],
    "1,5 \u20ac": ["0,25 \u20ac", "12,00 \u20ac"],
    "1.5%": ["25%", "0.5%", "-3%"],
    "1.5 kg": ["25 kg", "0.5 kg"],
}


@pytest.mark.parametrize("sample", WRITTEN)
def test_the_format_of_numbers_is_found(sample):
    form = number_format(WRITTEN[sample])
    assert form is not None
    assert form.sample == sample
    assert NumberFormat.from_sample(sample) == form
    plain = [float(t.replace(form.group, "").replace(form.decimal, ".").strip("$\u20ac% kg")) if form.group else
             float(t.replace(form.decimal, ".").strip("$\u20ac% kg")) for t in WRITTEN[sample]]  # fmt: skip
    assert form.parse_all(WRITTEN[sample]).tolist() == plain
    decimals = decimals_of(WRITTEN[sample], form)
    assert all(form.parse(form.write(value, decimals)) == value for value in plain)


@pytest.mark.parametrize(
    "texts", [["1.5", "x"], ["1,5", "1.5"], ["$1", "2\u20ac"], ["1,23,456"], ["1_000"], ["5 kg", "5 m"], ["12a34"], []]
)
def test_no_single_format(texts):
    assert number_format(texts) is None


def test_a_comma_that_may_be_both_is_told_by_other_columns():
    with pytest.raises(UsageError):
        number_format(["1,234", "5,678"])
    assert number_format(["1,234", "5,678"], ",").parse("1,234") == 1.234
    assert number_format(["1,234", "5,678"], ".").parse("1,234") == 1234
    assert number_format(["1.234", "5.678"], ",").parse("1.234") == 1234
    assert number_format(["1.234", "0.5"], ",") == NumberFormat(".")


@pytest.mark.parametrize("text", ["1_0", "", "--1", "1.5.2", "\u22121,5"])
def test_texts_that_are_no_numbers_are_nan(text):
    assert math.isnan(PLAIN.parse_all(["1", text])[1])


def test_a_typographic_minus_is_a_sign():
    assert NumberFormat.from_sample("1,5").parse("\u22121,5") == -1.5
    assert number_format(["\u22121.5", "2"]) == PLAIN
    assert PLAIN.parse_all(["\u22121.5", "2"]).tolist() == [-1.5, 2]


@pytest.mark.parametrize("sample", ["", "x", "2,5", "1,234,5", "12"])
def test_other_samples_are_refused(sample):
    with pytest.raises(UsageError, match="no sample of numbers"):
        NumberFormat.from_sample(sample)


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (2.0, None, "2"),
        (0.1, None, "0.1"),
        (2.0, 2, "2.00"),
        (-0.001, 2, "0.00"),
        (1e6, 0, "1000000"),
        (1e-7, None, "1e-07"),
    ],
)
def test_plain_numbers_are_written(value, decimals, text):
    assert PLAIN.write(value, decimals) == text


@pytest.mark.parametrize(
    ("texts", "sample", "width"),
    [
        (["01", "12", "07"], "1.5", 2),
        (["1", "12"], "1.5", None),
        (["1", "01", "12"], "1.5", None),  # two ways
        (["003.50", "120.25"], "1.5", 3),
        (["0.50", "1.25"], "1.5", None),
        (["-01", "10"], "1.5", 2),
        (["01,50", "10,25"], "1,5", 2),
        (["0001", "12345"], "1.5", 4),
    ],
)
def test_zeros_before_a_number_are_its_width(texts, sample, width):
    written = NumberFormat.from_sample(sample)
    assert width_of(texts, written) == width
    decimals = decimals_of(texts, written)
    if width is not None:
        assert [written.write(written.parse(t), decimals, width) for t in texts] == texts
