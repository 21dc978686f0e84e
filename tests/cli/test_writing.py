"""Tables that a spreadsheet opens: cells that it would run are counted, and neutralised on request."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from jensen.cli.writing import Target
from jensen.core.errors import UsageError

RUN = ["=cmd|' /C calc'!A0", "@SUM(1)", "+1+cmd", "-2+3+cmd", "\t=1", "\r=1", "\uff1dcmd", "-A1", "-1-2", "-,", "--1,5"]
NOT_RUN = [
    "cat",
    "a=b",
    "-1",
    "+2.5",
    "-1e-5",
    "-inf",
    "",
    "'=1",
    "1-2",
    "x@y",
    "-45,80",
    "-1.234,50 €",
    "-$1,234.50",
    "-5 %",
]


def table(path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))


def write(path, texts: list[str], safe: bool, quiet: bool = False) -> None:
    x = np.array([-1.5] * len(texts))[:, None]
    before = {"file": np.array(texts, dtype=object)}
    Target(path, safe, quiet).write(x, ["=size"], bytes, (np.arange(len(texts)), texts), before)


@pytest.mark.parametrize("safe", [False, True])
def test_cells_that_would_run(safe, tmp_path, capsys):
    path = tmp_path / "x.csv"
    texts = RUN + NOT_RUN
    write(path, texts, safe)
    mark = "'" if safe else ""
    shown = [*(mark + text for text in RUN), *NOT_RUN]
    assert table(path) == [["file", f"{mark}=size", "label"], *([text, "-1.5", text] for text in shown)]
    assert path.read_bytes().endswith(b"\n")
    assert b"\r\n" not in path.read_bytes()
    err = capsys.readouterr().err
    assert f"note: {2 * len(RUN) + 1} cells of text that a spreadsheet would run" in err
    assert f"first), {len(RUN) + 1} texts repeated" in err
    assert ("--spreadsheet-safe" in err) == (not safe)
    assert "with an apostrophe before them" in err


def test_nothing_is_said_of_plain_text(tmp_path, capsys):
    Target(tmp_path / "x.csv").write(-np.ones((2, 1)), ["a"], bytes, (np.array([0, 1]), NOT_RUN))
    write(tmp_path / "y.csv", RUN, safe=False, quiet=True)
    assert capsys.readouterr().err == ""


def test_names_keep_their_bytes(tmp_path):
    names = ["é\x9b31m", "\u202egnp", b"\xff.png".decode("utf-8", "surrogateescape"), "\ud800"]
    write(tmp_path / "x.csv", names, safe=True)
    content = (tmp_path / "x.csv").read_bytes()
    for name in (*(n.encode() for n in names[:2]), b"\xff.png", b"\\ud800"):
        assert name in content or name == b"\xff.png"  # one name that no bytes have takes the others' form


@pytest.mark.parametrize(
    "words",
    [
        ["encode", "run", "pets.csv", "--out"],
        ["sample", "run", "--out"],
        ["reconstruct", "run", "pets.csv", "--out"],
        ["impute", "run", "holes.csv", "--out"],
        ["evaluate", "run", "pets.csv", "--budget", "0", "--rows"],
    ],
    ids=lambda words: words[0],
)
def test_every_verb_that_writes_tables(words, jensen, here):
    rng = np.random.default_rng(0)
    lines = ["@SUM(A1),weight,kind", *(f"{a},{b},{'=cmd' if a > 0 else 'dog'}" for a, b in rng.normal(size=(40, 2)))]
    (here / "pets.csv").write_text("\n".join(lines))
    (here / "holes.csv").write_text(
        "\n".join([lines[0], *(line.replace(line.partition(",")[0], "") for line in lines[1:])])
    )
    assert (
        jensen("train", "pets.csv", "--labels", "kind", "--recipe", "ppca", "--latent", "1", "--out", "run").code == 0
    )
    answer = jensen(*words, "x.csv")
    assert answer.code == 0, answer.err
    assert "that a spreadsheet would run" in answer.err
    plain = table(here / "x.csv")
    answer = jensen(*words, "x.csv", "--force", "--spreadsheet-safe")
    assert "with an apostrophe before them" in answer.err
    for row, safe_row in zip(plain, table(here / "x.csv"), strict=True):
        assert [f"'{cell}" if cell in ("=cmd", "@SUM(A1)") else cell for cell in row] == safe_row


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.png"])
def test_the_option_of_tables_is_refused_elsewhere(name, tmp_path):
    with pytest.raises(UsageError, match=r"--spreadsheet-safe is of a .csv"):
        Target.choose(str(tmp_path / name), tmp_path / "y.npy", False, pictures=True, safe=True)
    for out in ("-", str(tmp_path / "x.CSV"), None):
        assert Target.choose(out, tmp_path / "y.csv", False, pictures=True, safe=True).safe
