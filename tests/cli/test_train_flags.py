"""The flags of `jensen train` are the fields of the option dataclasses: names, types, choices, defaults and help."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
from dataclasses import fields, make_dataclass
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
from cyclopts import App, Parameter

from jensen.cli import main
from jensen.cli.docstrings import attribute_texts
from jensen.cli.layout import TwoColumns
from jensen.cli.train_flags import COMMON, TrainFlags, with_option_fields
from jensen.core.errors import UsageError
from jensen.runs.train import DataOptions, TrainingOptions, train

KINDS = (DataOptions, TrainingOptions)
OPTIONS = [(kind, f) for kind in KINDS for f in fields(kind)]
# the flags of version 0.1.0, which keep their names
RELEASED = {
    *("average", "batch", "binarize", "checkpoints", "clip", "dequantize", "device", "epochs", "floor", "init-from"),
    *("keep", "labelled", "labels", "lr", "optimizer", "patience", "precision", "save-every", "schedule", "seed"),
    *("columns", "drop", "header", "layer", "schema", "stream", "threads"),
    *("strict", "size", "spikes", "split", "split-seed", "standardize", "tensorboard", "test", "test-labels"),
    *("mlflow", "wandb", "online", "batch-key", "resize", "augment"),
}


def entries(text: str) -> dict[str, str]:
    """The names and the texts of the flags in a help page."""
    rows = re.findall(r"^  (--[^\n]*?)(?:  +|\n +)(\S.*?)(?=\n  -|\n\n|\Z)", text, flags=re.M | re.S)
    return {names.split()[0].rstrip(","): f"{names} {' '.join(words.split())}" for names, words in rows}


@pytest.fixture(scope="module", params=[80, 120])
def help_page(request) -> tuple[str, int]:
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setenv("COLUMNS", str(request.param))
        assert main(["train", "--recipe", "vae", "--help"]) == 0
    return out.getvalue(), request.param


def test_fields_are_those_of_the_option_dataclasses():
    assert {f.name for f in fields(TrainFlags)} == {f.name for _, f in OPTIONS}
    assert {f.name.replace("_", "-") for f in fields(TrainFlags)} == RELEASED
    assert {"recipe", "out", "force"} < inspect.signature(train).parameters.keys()


@pytest.mark.parametrize(("kind", "option"), OPTIONS, ids=[f.name for _, f in OPTIONS])
def test_each_option_has_its_flag_with_help_and_default(kind, option, help_page):
    page, _ = help_page
    text = entries(page)[f"--{option.name.replace('_', '-')}"]
    assert attribute_texts(kind)[option.name] in text
    hint = get_type_hints(kind)[option.name]
    literals = [h for h in (hint, *get_args(hint)) if get_origin(h) is Literal]
    for literal in literals:
        none = ["none"] if {int, type(None)} < set(get_args(hint)) else []
        assert f"({', '.join([*get_args(literal), *none])})" in text
    if option.default is None or option.default is False:
        assert "[default:" not in text
    else:
        assert f"[default: {option.default}]" in text


def test_the_page_fits_the_terminal(help_page):
    page, width = help_page
    assert max(map(len, page.splitlines())) <= width


def test_the_short_page_has_the_common_options(jensen):
    page = jensen("train", "--help").out
    assert len(page.splitlines()) <= 80
    own = {"--recipe", "--out", "--spec", "--seeds", "--sweep", "--force", "--json", "--quiet"}
    assert entries(page).keys() - own == {f"--{name.replace('_', '-')}" for name in COMMON}
    assert {f.name for _, f in OPTIONS} >= COMMON
    assert list(entries(page)).index("--epochs") < list(entries(page)).index("--seed")
    assert "jensen train --recipe NAME --help" in page


def options(batch: int = 128, mode: str = "fast") -> type:
    """A dataclass of options with these defaults."""
    made = make_dataclass("Options", [("batch", int, batch), ("mode", Literal["fast", "slow", "none"], mode)])
    made.__doc__ = "Options.\n\nAttributes:\n    batch: data per step.\n    mode: way of working."
    return made


@pytest.mark.parametrize(("batch", "mode"), [(128, "fast"), (64, "none")])
def test_a_changed_default_shows_in_the_help(batch, mode, capsys):
    @Parameter(name="*")
    @with_option_fields(options(batch, mode))
    class Flags:
        """Flags."""

    app = App(name="test", help_format="plaintext", help_formatter=TwoColumns())

    def command(*, flags: Flags | None = None) -> None:
        """Do nothing."""

    command.__annotations__["flags"] = Flags | None
    app.default(command)
    app(["--help"], result_action="return_value")
    page = capsys.readouterr().out
    assert f"data per step [default: {batch}]" in page
    assert f"way of working (fast, slow, none) [default: {mode}]" in page


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {}),
        (["--batch", "7", "--lr", "0.5", "--optimizer", "SGD"], {"batch": 7, "lr": 0.5, "optimizer": "SGD"}),
        (["--keep", "last", "--test", "a.npy"], {"keep": "last", "test": "a.npy"}),
        (["--size", "4,5", "--split", "0.5,0.5,0"], {"size": (4, 5), "split": "0.5,0.5,0"}),
        (["--dequantize"], {"dequantize": True}),
        (["--no-dequantize", "--tensorboard"], {"dequantize": False, "tensorboard": True}),
        (["--save-every", "none", "--patience", "3"], {"save_every": None, "patience": 3}),
        (["--patience", "none", "--standardize", "none"], {"patience": None, "standardize": "none"}),
        (["--patience", "auto"], {"patience": "auto"}),
        (
            ["--binarize", "static", "--seed", "3", "--device", "cpu"],
            {"binarize": "static", "seed": 3, "device": "cpu"},
        ),
    ],
)
def test_only_what_is_given_is_passed_on(words, expected):
    app, given = App(), {}

    @app.default
    def command(*, flags: TrainFlags | None = None) -> None:
        given.update({} if flags is None else flags.given())

    app(words, result_action="return_value")
    assert given == expected


def test_a_size_needs_two_numbers():
    with pytest.raises(UsageError, match=r"^--size must be a height and a width, got 1,2,3\. Give both: --size 28,28"):
        TrainFlags(size="1,2,3").given()  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_is_described(kind):
    assert attribute_texts(kind).keys() == {f.name for f in fields(kind)}


def test_paths_may_be_given_where_text_is():
    assert get_args(get_type_hints(DataOptions)["test"])[:2] == (str, Path)
