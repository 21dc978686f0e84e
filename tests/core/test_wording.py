"""Numbers in sentences: plurals, and as many digits as an error supports."""

from __future__ import annotations

import math

import pytest

from jensen.core.wording import MOST_DIGITS, digits, fixed, plural


@pytest.mark.parametrize(
    ("n", "noun", "words"),
    [
        (0, "row", "0 rows"),
        (1, "row", "1 row"),
        (1797, "row", "1,797 rows"),
        (2, "entry", "2 entries"),
        (2, "day", "2 days"),
        (2, "datum", "2 data"),
        (1, "paired datum", "1 paired datum"),
        (3, "paired datum", "3 paired data"),
    ],
)
def test_plurals(n, noun, words):
    assert plural(n, noun) == words


@pytest.mark.parametrize(
    ("stderr", "n"),
    [(12.0, 0), (1.0, 0), (0.999, 1), (0.1, 1), (0.042, 2), (0.01, 2), (1e-12, MOST_DIGITS), (0.0, 2), (None, 2)],
)
def test_the_last_digit_is_the_first_that_is_uncertain(stderr, n):
    assert digits(stderr) == n


@pytest.mark.parametrize("stderr", [math.nan, math.inf])
def test_an_error_that_is_no_number_supports_the_usual_digits(stderr):
    assert digits(stderr) == digits(None)


@pytest.mark.parametrize(
    ("value", "places", "words"),
    [
        (-88.126, 2, "-88.13"),
        (999_999.4, 0, "999999"),
        (1e6, 0, "1e+06"),
        (-1.2345e18, 3, "-1.23e+18"),
        (0.0, 1, "0.0"),
        (-0.04, 1, "0.0"),
        (-0.4, 0, "0"),
        (-0.06, 1, "-0.1"),
    ],
)
def test_numbers_from_a_million_on_are_in_scientific_form(value, places, words):
    assert fixed(value, places) == words


def test_infinities_are_words():
    assert (fixed(-math.inf, 2), fixed(math.nan, 2)) == ("-inf", "nan")
