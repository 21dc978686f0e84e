"""Help texts from docstrings."""

from __future__ import annotations

from jensen.cli.docstrings import as_help, attribute_texts


class Described:
    """Options.

    Attributes:
        one, two: text of both.
        three: "auto", `one_more`, ...
        four: ends
            in the next line.

    Raises:
        five: not an attribute.
    """


def test_attributes():
    assert attribute_texts(Described) == {
        "one": "text of both",
        "two": "text of both",
        "three": "auto, --one-more, ...",
        "four": "ends in the next line",
    }


def test_a_class_without_attributes():
    assert attribute_texts(int) == {}


def test_code_becomes_flags():
    assert as_help("with `--fit closed`, `None` and `RUN/spec.json`") == "with --fit closed, none and RUN/spec.json"
