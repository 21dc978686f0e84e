"""Shell completion, in a real bash; the scripts of other shells hold the same words."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from jensen.cli.completion_scripts import Flag, flags_of, script
from jensen.cli.verbs import VERBS
from jensen.recipes import RECIPES

BASH = shutil.which("bash")


@pytest.fixture(scope="module")
def completed(tmp_path_factory):
    """Return the words that bash offers after these words; files where there are none of ours."""
    path = tmp_path_factory.mktemp("completion") / "jensen.bash"
    path.write_text(script("bash"), encoding="utf-8")

    def offers(*words: str) -> set[str]:
        program = (
            f'source {path}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _jensen; printf "%s\\n" "${{COMPREPLY[@]}}"'
        )
        command = [BASH, "--norc", "-c", program, "bash", "jensen", *words]
        out = subprocess.run(command, capture_output=True, text=True, check=True)
        assert out.stderr == ""
        return set(out.stdout.split())

    return offers


needs_bash = pytest.mark.skipif(BASH is None, reason="there is no bash")


@needs_bash
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["tr"], {"train", "traverse"}),
        (["re"], {"resume", "reconstruct", "represent", "report", "recipes"}),
        ([""], set(VERBS)),
        (["train", "digits", "--recipe", "gm"], {"gmm"}),
        (["train", "digits", "--recipe", "=", "wake"], {"wake-sleep"}),
        (["train", "--recipe", "="], set(RECIPES)),
        (["rate-distortion", "digits", "--recipe", "beta-t"], {"beta-tcvae"}),
        (["train", "digits", "--sched"], {"--schedule"}),
        (["train", "digits", "--schedule", "c"], {"cosine", "constant"}),
        (["train", "digits", "--late"], {"--latent"}),
        (["train", "digits", "--recipe", "gumbel", "--temp"], {"--temperature"}),
        (["train", "digits", "--recipe", "=", "gumbel", "--temp"], {"--temperature"}),
        (["train", "digits", "--temp"], set()),
        (["evaluate", "RUN", "--start", ""], {"guide", "prior"}),
        (["completion", ""], {"bash", "zsh", "fish"}),
        (["train", "some/fi"], set()),
        (["sample", "RUN", "--out", "x"], set()),
    ],
)
def test_bash_offers(words, offered, completed):
    assert completed(*words) == offered


@needs_bash
def test_bash_falls_back_to_files():
    out = subprocess.run(
        [BASH, "--norc"], input=f"{script('bash')}\ncomplete -p jensen\n", capture_output=True, text=True
    )
    assert out.stdout == "complete -o bashdefault -o default -F _jensen jensen\n"
    assert out.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_word_is_in_every_script(shell, jensen):
    answer = jensen("completion", shell)
    assert answer.code == 0
    assert answer.out == f"{script(shell)}\n"
    words = set(re.findall(r"[\w-]+", answer.out))
    assert VERBS.keys() | RECIPES.keys() <= words
    dashes = (lambda name: name.lstrip("-")) if shell == "fish" else (lambda name: name)
    assert {dashes(name) for verb in VERBS for flag in flags_of(verb) for name in flag.names} <= words


def test_flags_of_a_verb():
    flags = {flag.names[0]: flag for flag in flags_of("train")}
    assert flags["--dequantize"] == Flag(("--dequantize", "--no-dequantize"), (), False)
    assert flags["--quiet"] == Flag(("--quiet",), (), False)
    assert flags["--lr"] == Flag(("--lr",), (), True)
    assert flags["--schedule"].choices == ("cosine", "constant", "linear")


def test_another_shell_is_refused(jensen):
    answer = jensen("completion", "tcsh")
    assert answer.code == 2
    assert "bash" in answer.err
