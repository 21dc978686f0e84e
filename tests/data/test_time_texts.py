"""Times are read in their format and written back in it; a text that is none is refused, not guessed."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from jensen.data.time_texts import hours, hours_text, nearest_format, seconds, time_format, time_text

FORMATS = {
    "%Y-%m-%d": ["2021-01-31", "1969-12-31"],
    "%Y-%m-%d %H:%M:%S": ["2021-01-31 12:30:05", "2021-02-01 00:00:00"],
    "%Y-%m-%dT%H:%M:%S.%f": ["2021-01-31T12:30:05.250000", "2021-02-01T00:00:00.500000"],
    "%d.%m.%Y": ["31.01.2021", "01.02.2021"],
    "%m/%d/%Y": ["01/31/2021", "02/01/2021"],
    "%d/%m/%Y %H:%M": ["31/01/2021 23:59", "01/02/2021 00:00"],
    "%d %B %Y": ["31 January 2021", "01 February 2021"],
    "%b %d, %Y": ["Jan 31, 2021", "Feb 01, 2021"],
    "%m/%d/%Y %I:%M %p": ["01/31/2021 11:59 PM", "02/01/2021 12:00 AM"],
    "%Y-%m": ["2021-01", "2021-12"],
}


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_is_found_and_written_back(form):
    texts = FORMATS[form]
    assert time_format(texts) == (form, False)
    values = seconds(texts, form)
    expected = [datetime.strptime(t, form).replace(tzinfo=UTC).timestamp() for t in texts]
    assert values.tolist() == expected
    assert [time_text(v, form) for v in values.tolist()] == texts


def test_zones_are_taken_off():
    texts = ["2021-01-31T12:00:00+02:00", "2021-01-31T10:00:00Z"]
    assert time_format(texts) == ("iso", False)
    first, second = seconds(texts, "iso").tolist()
    assert first == second
    assert time_text(first, "iso") == "2021-01-31T10:00:00+00:00"


@pytest.mark.parametrize("texts", [["1.5", "2.5"], ["2021-01-31", "soon"], ["2021-01-31", "2021-02-30"], ["blue"], []])
def test_other_texts_have_no_format(texts):
    assert time_format(texts) is None


def test_the_odd_one_out_is_found():
    form, fits = nearest_format(["2021-01-31", "2021-02-30", "31.01.2021", "2021-03-01"])
    assert (form, fits.tolist()) == ("%Y-%m-%d", [True, False, False, True])
    assert np.isnan(seconds(["2021-01-31", "2021-02-30"], form)).tolist() == [False, True]


def test_times_of_day_are_hours_on_a_circle():
    assert hours(["00:00", "06:30", "25:00"], "%H:%M").tolist()[:2] == [0.0, 6.5]
    assert np.isnan(hours(["25:00"], "%H:%M"))[0]
    assert [hours_text(h, "%H:%M") for h in (6.5, 23.999, 0.0)] == ["06:30", "00:00", "00:00"]
