"""Damaged and malicious variants of a file, the same for the same seed."""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable, Sequence

INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)
WORDS = (b"1e999", b"-1", b"1" + b"0" * 12, b"9" * 400, b"nan", b"NaN", b"inf", b"null", b'"', b"{", b"[", b"]", b",")
WORDS = (*WORDS, b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\n", b"'", b";", b"0x10", b"1_0", b"true", b"\\", b"../")
Mutation = Callable[[random.Random, bytes], bytes]


def flip(noise: random.Random, x: bytes) -> bytes:
    """One to eight bits, anywhere."""
    changed = bytearray(x)
    for _ in range(noise.choice((1, 1, 1, 2, 8))):
        changed[noise.randrange(len(x))] ^= 1 << noise.randrange(8)
    return bytes(changed)


def cut(noise: random.Random, x: bytes) -> bytes:
    return x[: noise.randrange(len(x))]


def remove(noise: random.Random, x: bytes) -> bytes:
    at = noise.randrange(len(x))
    return x[:at] + x[at + noise.choice((1, 2, 4, 16, 200)) :]


def repeat(noise: random.Random, x: bytes) -> bytes:
    at, many = noise.randrange(len(x)), noise.choice((1, 8, 64))
    return x[:at] + x[at : at + many] * noise.choice((2, 3, 50)) + x[at + many :]


def claim(noise: random.Random, x: bytes) -> bytes:
    """A binary number of 1 to 8 bytes becomes an extreme one, near the beginning more often than not."""
    form = noise.choice(("<B", "<H", ">H", "<I", ">I", "<Q", ">Q"))
    width = struct.calcsize(form)
    number = noise.choice(INTERESTING) % 2 ** (8 * width)
    at = noise.randrange(min(len(x), noise.choice((16, 128, 10**9))))
    return x[:at] + struct.pack(form, number) + x[at + width :]


def number(noise: random.Random, x: bytes) -> bytes:
    """A number in digits becomes an extreme one, or something that is none."""
    found = list(re.finditer(rb"\d+", x[:20_000]))
    if not found:
        return claim(noise, x)
    chosen = noise.choice(found)
    word = noise.choice((*WORDS, *(str(n).encode() for n in INTERESTING)))
    return x[: chosen.start()] + word + x[chosen.end() :]


def insert(noise: random.Random, x: bytes) -> bytes:
    at = noise.randrange(len(x) + 1)
    return x[:at] + noise.choice((*WORDS, noise.randbytes(noise.choice((1, 4, 40))))) + x[at:]


def exchange(noise: random.Random, x: bytes) -> bytes:
    """Two quoted words or two blocks change places."""
    found = list(re.finditer(rb'"[^"]*"|[A-Za-z_]{2,}', x[:20_000]))
    if len(found) > 1 and noise.random() < 0.7:
        a, b = sorted(noise.sample(found, 2), key=lambda m: m.start())
        return x[: a.start()] + b[0] + x[a.end() : b.start()] + a[0] + x[b.end() :]
    i, j = sorted(noise.randrange(len(x)) for _ in range(2))
    return x[:i] + x[j : j + 8] + x[i + 8 : j] + x[i : i + 8] + x[j + 8 :]


def nest(noise: random.Random, x: bytes) -> bytes:
    """Brackets deep enough to exhaust a parser that calls itself."""
    at, deep = noise.randrange(len(x)), noise.choice((200, 5000, 100_000))
    return x[:at] + b"[" * deep + (b"]" * deep if noise.random() < 0.5 else b"") + x[at:]


MUTATIONS: tuple[Mutation, ...] = (
    flip,
    flip,
    flip,
    cut,
    remove,
    repeat,
    claim,
    claim,
    number,
    number,
    insert,
    exchange,
)


def mutant(seeds: Sequence[bytes], number: int) -> bytes:
    """The mutant of this number: one of the files, changed once or a few times."""
    noise = random.Random(number)
    found = noise.choice(seeds)
    if noise.random() < 0.01:
        return nest(noise, found)
    for _ in range(noise.choice((1, 1, 1, 2, 4))):
        found = noise.choice(MUTATIONS)(noise, found) or b"\0"
    return found
