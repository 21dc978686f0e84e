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

from jensen.recipes import RECIPES

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECONDS = 120


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def session(text: str) -> list[tuple[str, list[str]]]:
    """Return the commands that follow a prompt in the console blocks, each with the output shown after it.

    A backslash continues a command.
    """
    steps: list[tuple[str, list[str]]] = []
    for line in "".join(blocks(text, "console")).replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            steps.append((line.removeprefix("$ "), []))
        else:
            steps[-1][1].append(line)
    return steps


def commands(text: str) -> list[str]:
    return [command for command, _ in session(text)]


# lines of an evaluation with annealing, whose words after the first depend on the time that was left for it
ANNEALED = ("verdict:", "but nothing bounds", "lost by the ELBO:", "no sign of over-fitting:", "no problem", "note: ")
UNMEASURED = ("to look at: ", "problem: ")  # said of a bound whose tightness was not measured
BY_ANNEALING = re.compile(r"log p\(x\) >= \S+ ± \S+ by annealing")


def is_annealed(line: str) -> bool:
    return line.startswith(ANNEALED) or BY_ANNEALING.match(line) is not None


def shape(line: str) -> str:
    """Return a line without its digits; of one that depends on time, the beginning."""
    begun = next((words for words in ANNEALED if line.startswith(words)), None)
    return begun or re.sub(r"[-+]?\d[\d,.:]*", "#", line)


def missing(shown: list[str], printed: list[str]) -> list[str]:
    """Return the lines shown that were not printed in their place, by their shapes."""
    absent, left, skips = [], [shape(line) for line in printed], False
    for line in shown:
        if line == "...":
            skips = True
        elif shape(line) in (left if skips else left[:1]):
            left, skips = left[left.index(shape(line)) + 1 :], False
        else:
            absent.append(line)
    return absent + ([] if skips or not shown else left)


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
    print("$", flush=True)
    if code := main(words):
        sys.exit(code)
"""


def run(
    arguments: list[str], folder: Path, stdin: str = "", seconds: int = SECONDS
) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        arguments,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path, "NO_COLOR": "1", "COLUMNS": "100", "MPLBACKEND": "Agg"},
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="replace",  # samples may go to stdout as bytes
        timeout=seconds,
        check=False,
    )


def check(done: subprocess.CompletedProcess[str], what: str) -> None:
    assert done.returncode == 0, f"{what}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert "Traceback" not in done.stderr, f"{what}\n{done.stderr[-4000:]}"
    assert "Warning" not in done.stderr, f"{what}\n{done.stderr[-4000:]}"


def quick(words: list[str]) -> list[str]:
    """Return the words of a command with few epochs: their number shows in digits alone, which are not compared."""
    at = words.index("--epochs") + 1 if "--epochs" in words else len(words)
    return [*words[:at], *["10"][: len(words) - at], *words[at + 1 :]]


@pytest.mark.parametrize(
    "timed", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["without annealing", "whole"]
)
def test_console_session_runs_and_prints_what_is_shown(timed, tmp_path):
    """Annealing takes minutes, and its verdict depends on how many: by default it is left out, with most epochs."""
    steps = [(shlex.split(command, comments=True), shown) for command, shown in session(README)]
    assert steps
    for (program, *_), _ in steps:
        assert program == "jensen", f"only jensen is run in a console block; use sh for {program}"
    if not timed:
        steps = [
            (
                [*words[:3], "--budget", "0"] if words[1] == "evaluate" else quick(words),
                [s for s in shown if not is_annealed(s)],
            )
            for words, shown in steps
        ]
    written = json.dumps([words for (_, *words), _ in steps])
    done = run([sys.executable, "-c", SESSION], tmp_path, written, 900 if timed else SECONDS)
    check(done, "the session")
    printed = [part.splitlines() for part in re.split(r"^\$\n", done.stdout, flags=re.MULTILINE)[1:]]
    for (words, shown), lines in zip(steps, printed, strict=True):
        lines = lines if timed else [line for line in lines if not line.startswith(UNMEASURED)]
        assert missing(shown, lines) == [], f"{shlex.join(words)} prints other lines:\n{chr(10).join(lines)}"


def test_train_and_evaluate_are_shown_with_their_output():
    assert {"train", "evaluate"} <= {command.split()[1] for command, shown in session(README) if len(shown) > 3}


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["an epoch", "whole"])
@pytest.mark.parametrize("program", blocks(README, "python"))
def test_python_example_runs(program, whole, tmp_path):
    program = program if whole else re.sub(r"\bepochs=\d+", "epochs=1", program)
    check(run([sys.executable, "-c", program], tmp_path), program)


def test_there_is_a_python_example():
    assert blocks(README, "python")


def test_named_verbs_exist(tmp_path):
    answer = run([*script(), "--help"], tmp_path)
    check(answer, "jensen --help")
    quoted = [*commands(README), *re.findall(r"`(jensen [^`\n]+)`", README)]
    verbs = {words[1] for words in map(str.split, quoted) if re.fullmatch(r"[a-z][a-z-]*", words[1])}
    assert verbs
    assert {verb for verb in verbs if not re.search(rf"\b{verb}\b", answer.stdout)} == set()


def test_every_recipe_is_in_the_table():
    """Each recipe once, beside the axis in which it differs from `vae`."""
    rows = re.findall(r"^\| (?:prior|likelihood|guide|gradient|objective|players) \| (.*) \|$", README, re.MULTILINE)
    assert len(rows) == 6
    named = [name for row in rows for name in re.findall(r"`([a-z-]+)`", row)]
    assert sorted([*named, "vae"]) == sorted(RECIPES)


def test_the_example_of_parts_is_short():
    """From parts to a run in at most ten lines beside imports and data."""
    [example] = [block for block in blocks(README, "python") if "LatentVariableModel" in block]
    lines = [line for line in example.partition("\nmodel = ")[2].splitlines() if line]
    assert len(lines) <= 8


def test_parsing_of_sessions():
    text = "```console\n$ jensen a \\\n    --b 1\noutput\n$ jensen c\n```\n```sh\n$ jensen d\n```\n"
    assert [shlex.split(line) for line in commands(text)] == [["jensen", "a", "--b", "1"], ["jensen", "c"]]
    assert [shown for _, shown in session(text)] == [["output"], []]


@pytest.mark.parametrize(
    ("shown", "absent"),
    [
        ([], []),
        (["a -1.5 b", "c 0:07", "d"], []),
        (["a 2 b", "...", "d"], []),
        (["a 2 b", "..."], []),
        (["a 2 b"], ["c #", "d"]),
        (["a 2 b", "d"], ["d", "c #", "d"]),
        (["...", "e"], ["e"]),
    ],
)
def test_output_that_differs_is_noticed(shown, absent):
    assert missing(shown, ["a 1,000 b", "c 1", "d"]) == absent


def test_verdicts_may_differ():
    assert missing(["verdict: loose by about 1 nats"], ["verdict: tight to about 0.1 nats"]) == []
