"""No damaged or malicious file crashes a reader, hangs it or has it take memory: it is read, or refused."""

from __future__ import annotations

import sys

import pytest

from jensen.core.errors import UsageError
from tests.fuzz.hunt import hunt
from tests.fuzz.readers import Reader, readers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory and time are those of Linux")
READERS = readers()
FEW, MANY, CHUNK = 150, 100_000, 10_000


@pytest.mark.parametrize("reader", READERS, ids=lambda r: r.name)
@pytest.mark.sampled(6)
def test_some_mutants(reader: Reader) -> None:
    found = hunt(reader, range(FEW // reader.weight))
    assert found.found == ()
    assert found.read + found.refused == FEW // reader.weight
    assert found.refused > 0  # the mutants are no friends


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(MANY // CHUNK))
@pytest.mark.parametrize("reader", READERS, ids=lambda r: r.name)
def test_a_hundred_thousand_mutants(reader: Reader, chunk: int) -> None:
    found = hunt(reader, range(FEW + chunk * CHUNK, FEW + (chunk + 1) * CHUNK))
    assert found.found == ()


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        (lambda folder, content: 1 / 0, "ZeroDivisionError"),
        (lambda folder, content: bytearray(2**32), "MemoryError"),
        (lambda folder, content: __import__("os").kill(__import__("os").getpid(), 11), "status 11"),
    ],
)
def test_a_planted_fault_is_found(planted, said: str) -> None:
    assert said in hunt(Reader("planted", (), planted, 3), range(2)).found[0]


def test_a_refusal_apart_is_told_from_one_with_a_wrong_code() -> None:
    def refuse(folder, content) -> None:
        raise UsageError("it was made before", "Make it again.")

    assert hunt(Reader("planted", (), refuse, 4, apart="made before"), range(1)).refused == 1
    assert "exit 2" in hunt(Reader("planted", (), refuse, 4, apart="made after"), range(1)).found[0]


def test_a_planted_loop_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.hunt.SECONDS", 0.2)

    def forever(folder, content) -> None:
        while True:
            pass

    assert "longer than" in hunt(Reader("planted", (), forever, 3), range(1)).found[0]
