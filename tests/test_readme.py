"""The README's commands and examples run, as written, and what it points at exists.

A `console` block is a session with the `jensen` script; all of them run in order in one folder, and in one process, so
that torch is imported once. Each `python` block is a program of its own, in an empty folder. Other blocks (`sh`,
`text`) are not run.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECONDS = 120


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    """The lines that follow a prompt in the console blocks; a backslash continues a line."""
    lines = "".join(blocks(text, "console")).replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def script() -> list[str]:
    """The `jensen` of this environment, or what it would run where the package is not installed."""
    installed = Path(sys.executable).with_name("jensen")
    program = "import sys; from jensen.cli import main; sys.exit(main())"
    return [str(installed)] if installed.exists() else [sys.executable, "-c", program]


SESSION = """
import json, sys
from jensen.cli import main
for words in json.load(sys.stdin):
    print("$ jensen", *words, file=sys.stderr, flush=True)
    if code := main(words):
        sys.exit(code)
"""


def run(arguments: list[str], folder: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        arguments,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path, "NO_COLOR": "1", "COLUMNS": "100", "MPLBACKEND": "Agg"},
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="replace",  # samples may go to stdout as bytes
        timeout=SECONDS,
        check=False,
    )


def check(done: subprocess.CompletedProcess[str], what: str) -> None:
    assert done.returncode == 0, f"{what}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert "Traceback" not in done.stderr, f"{what}\n{done.stderr[-4000:]}"
    assert "Warning" not in done.stderr, f"{what}\n{done.stderr[-4000:]}"


def test_console_session_runs(tmp_path):
    session = [shlex.split(command, comments=True) for command in commands(README)]
    assert session
    for program, *_ in session:
        assert program == "jensen", f"only jensen is run in a console block; use sh for {program}"
    check(run([sys.executable, "-c", SESSION], tmp_path, json.dumps([words for _, *words in session])), "the session")


@pytest.mark.parametrize("program", blocks(README, "python"))
def test_python_example_runs(program, tmp_path):
    check(run([sys.executable, "-c", program], tmp_path), program)


def test_there_is_a_python_example():
    assert blocks(README, "python")


def test_named_verbs_exist(tmp_path):
    answer = run([*script(), "--help"], tmp_path)
    check(answer, "jensen --help")
    quoted = [*commands(README), *re.findall(r"`(jensen [^`\n]+)`", README)]
    verbs = {words[1] for words in map(str.split, quoted) if words[1].islower()}
    assert verbs
    assert {verb for verb in verbs if not re.search(rf"\b{verb}\b", answer.stdout)} == set()


def test_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)#\s]+)", README)
    local = [target for target in targets if "://" not in target]
    assert local
    assert [target for target in local if not (ROOT / target).exists()] == []


def test_parsing_of_sessions():
    text = "```console\n$ jensen a \\\n    --b 1\noutput\n$ jensen c\n```\n```sh\n$ jensen d\n```\n"
    assert [shlex.split(line) for line in commands(text)] == [["jensen", "a", "--b", "1"], ["jensen", "c"]]
