"""`--sweep` on the command line: values are checked as those of the flag itself are."""

from __future__ import annotations

import pytest

from jensen.cli.sweeps import parse_sweep
from jensen.core.errors import UsageError


def test_values_have_the_type_of_their_option():
    words = ["beta=0.5,1", "hidden=64,64;200", "epochs=3", "patience=auto,none,5", "size=8,8;16", "init-from=a,b"]
    assert parse_sweep("beta-vae", words) == {
        "beta": (0.5, 1.0),
        "hidden": ((64, 64), (200,)),
        "epochs": (3,),
        "patience": ("auto", None, 5),
        "size": ((8, 8), (16, 16)),
        "init_from": ("a", "b"),
    }


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("beta", "names no values"),
        ("beta=", "names no values"),
        ("beta=1,,2", "has an empty value"),
        ("beta=1,x", "--beta must be a number, got x"),
        ("latnt=1", "no option --latnt|an option --latnt.*Did you mean --latent"),
        ("schedule=cosine,square", "--schedule must be one of"),
        ("points=2", "an option --points to sweep.*Recipes that have it"),
        ("out=a,b", "an option --out to sweep"),
    ],
)
def test_what_is_no_sweep_is_refused(word, what):
    with pytest.raises(UsageError, match=what):
        parse_sweep("beta-vae", [word])


def test_an_option_is_swept_once():
    with pytest.raises(UsageError, match="--sweep beta is given twice"):
        parse_sweep("beta-vae", ["beta=1", "beta=2"])
