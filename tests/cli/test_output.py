"""All text of the command line goes through one place, in any encoding, to streams that may be closed or full."""

from __future__ import annotations

import ast
import io
import json
import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from jensen.cli import main, output
from jensen.cli.output import library_notes, notifier, print_error, print_json, print_lines, print_page, table_writer
from jensen.core.characters import as_one_line
from jensen.core.errors import DataError
from tests.cli.conftest import ROOT, environment

HOSTILE = ["\x1b]0;owned\x07", "\x9b31m", "a\nerror: forged", "exe.\u202egpj", "\u2066x", "\udc80", "\r\x1b[2K"]


class Stream(io.TextIOWrapper):
    """A stream of an encoding that may be a terminal."""

    def __init__(self, encoding: str = "utf-8", terminal: bool = False) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.fixture
def streams(monkeypatch):
    """Replace stdout and stderr by streams of an encoding."""

    def replaced(encoding: str = "utf-8", terminal: bool = False) -> tuple[Stream, Stream]:
        pair = Stream(encoding, terminal), Stream(encoding, terminal)
        monkeypatch.setattr("sys.stdout", pair[0])
        monkeypatch.setattr("sys.stderr", pair[1])
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")
        return pair

    return replaced


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_reaches_the_terminal(name, streams):
    out, err = streams(terminal=True)
    print_lines([f"run {name}", f"next: {name}"])
    print_error(f"there is no run {name}", f"Look at {name}.")
    notifier(False)(f"{name} is odd")
    ours = out.text() + err.text()
    for style in ("\x1b[1m", "\x1b[1;31m", "\x1b[33m", "\x1b[0m"):
        ours = ours.replace(style, "")
    assert all(c == "\n" or c.isprintable() for c in ours)
    assert len(out.text().splitlines()) == 2
    assert len(err.text().splitlines()) == 3


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_json_is_escaped_and_read_back(name, encoding, streams):
    out, _ = streams(encoding)
    record = {"name": name, "path": Path("é") / "漢🙂", "not finite": float("nan"), "n": 1.5}
    print_json(record)
    text = out.text()
    assert text.removesuffix("\n").isprintable()
    assert json.loads(text) == {"name": name, "path": "é/漢🙂", "not finite": None, "n": 1.5}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_result_is_printed_in_any_encoding(encoding, streams):
    out, err = streams(encoding)
    print_lines(["log p(x) >= -88.1 ± 0.4 ≤ é漢 …"])
    notifier(False)("━━──")
    assert ("±" in out.text()) == (encoding != "ascii")
    assert "<=" in out.text()
    assert "\\u6f22" in out.text()
    assert err.text() == "note: ##--\n"


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["recipes"], ["train", "--recipe", "iaf", "-h"]])
def test_pages_in_ascii(words, streams):
    out, _ = streams("ascii")
    assert main(words) == 0
    assert len(out.text()) > 500


def test_a_table_keeps_its_bytes_but_on_a_terminal(streams):
    cells = "é,\x1b[31m,\u202e,\udc80\n"
    out, _ = streams("ascii")
    table_writer().write(cells)
    assert out.buffer.getvalue() == cells.encode("utf-8", "surrogateescape")
    out, _ = streams("utf-8", terminal=True)
    table_writer().write(cells)
    assert out.text() == "é,\\x1b[31m,\\u202e,\\udc80\n"


def test_libraries_speak_as_notes(streams, monkeypatch):
    _, err = streams()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with library_notes(quiet=False):
            warnings.warn("overflow in \x1b[31m", RuntimeWarning, stacklevel=1)
            logging.getLogger("a.library").warning("font\nerror: %s", "\u202e")
        with library_notes(quiet=True):
            warnings.warn("not shown", RuntimeWarning, stacklevel=1)
            logging.getLogger("a.library").warning("not shown")
    assert err.text().splitlines() == [
        "note: RuntimeWarning: overflow in \\x1b[31m",
        "note: a.library: font\\nerror: \\u202e",
    ]


def test_a_message_of_an_exception_is_escaped(jensen, monkeypatch):
    def fail(words: list[str]) -> None:
        raise DataError("column 'a\x1b[31m\nerror: forged' is odd", "Drop \u202e.")

    monkeypatch.setattr("jensen.cli.app.run", fail)
    answer = jensen("recipes")
    assert answer.err == "error: column 'a\\x1b[31m\\nerror: forged' is odd\n       Drop \\u202e.\n"


def test_words_of_the_user_are_escaped(jensen):
    for words in (["\x1b[31m"], ["train", "digits", "--recipe", "\u202e"], ["evaluate", "\x9b1m"], ["data", "a\nb"]):
        answer = jensen(*words)
        assert answer.code in (2, 3, 4)
        assert all(c == "\n" or c.isprintable() for c in answer.err)


# --- streams that are closed or full ---


class Full(Stream):
    """A stream on a disk that is full, or on a pipe that is closed."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        if text:
            raise self.error
        return 0


@pytest.mark.parametrize("print_result", [print_lines, print_json, print_page])
@pytest.mark.parametrize("code", [32, 28, 5])
def test_an_error_of_stdout_does_not_stop_the_work(print_result, code, monkeypatch):
    output._failures.clear()
    monkeypatch.setattr("sys.stdout", Full(OSError(code, os.strerror(code))))
    print_result("text" if print_result is print_page else ["text"])
    monkeypatch.setattr("sys.stdout", Stream())
    failure = output.stdout_failure()
    assert failure is not None
    assert failure.errno == code
    output._failures.clear()


def test_a_full_stdout_is_a_failure_with_a_message(streams, monkeypatch):
    _, err = streams()
    monkeypatch.setattr("sys.stdout", Full(OSError(28, "No space left on device")))
    assert main(["recipes"]) == 1
    assert err.text().startswith("error: stdout: No space left on device\n")
    monkeypatch.setattr("sys.stdout", Full(BrokenPipeError(32, "Broken pipe")))
    assert main(["recipes"]) == 141


SHELL = [  # words of a shell after the command, and the exit codes
    (">&-", 141),
    (">/dev/full", 1),
    ("| head -c 0", 141),
    ("2>&-", 0),
    ("<&- >&- 2>&-", 141),
]


@pytest.mark.parametrize(("streams", "code"), SHELL)
def test_closed_streams_of_a_process(streams, code, here):
    command = f"set -o pipefail; {sys.executable} -m jensen --help {streams}"
    done = subprocess.run(["bash", "-c", command], cwd=here, env=environment(), capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("streams", [">&-", ">/dev/full", "</dev/null >&- 2>&-"])
def test_the_result_is_kept_where_stdout_takes_nothing(streams, run, start):
    command = f"{sys.executable} -m jensen evaluate run -k 5 {streams}"
    code = subprocess.run(["bash", "-c", command], env=environment(), capture_output=True).returncode
    assert code in (1, 141)
    assert (run / "evaluation.json").is_file()


@pytest.mark.parametrize("word", ["caf\udce9.csv", "\ud800", "a\udcff/b"])
def test_a_name_that_is_no_text_is_refused_before_any_work(word, jensen):
    for words in (["train", word], ["train", "digits", "--out", word], ["evaluate", word, "--quiet"]):
        answer = jensen(*words)
        assert answer.code == 2
        assert "bytes that are not text in utf-8" in answer.err
        assert as_one_line(word) in answer.err


# --- the law ---


def prints_by_itself(tree: ast.Module) -> list[int]:
    """Return the lines that print, or write to a standard stream."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in ("print", "sys.stdout.write", "sys.stderr.write", "sys.stdout.buffer.write"):
                lines.append(node.lineno)
    return lines


def test_all_text_goes_through_one_place():
    assert prints_by_itself(ast.parse("print(1)\nsys.stdout.write('')")) == [1, 2]
    own = {"cli/output.py", "data/image_worker.py"}  # the second answers another process of jensen, in bytes
    modules = set((ROOT / "jensen").rglob("*.py")) - {ROOT / "jensen" / name for name in own}
    assert {
        str(path): lines for path in modules if (lines := prints_by_itself(ast.parse(path.read_text("utf-8"))))
    } == {}
