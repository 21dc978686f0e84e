"""Pieces are divided among processes, and their results put together as one process has them."""

from __future__ import annotations

import torch

from jensen.core.batch import Rows
from jensen.core.divided import by_chunks, by_groups, divided, in_columns, processes_now, recut
from jensen.core.processes import ALONE, Processes
from jensen.core.random import stream
from tests.several import together

SIZES = (1, 7, 8, 9, 40)  # rows, in chunks of 8: fewer chunks than processes, and a last one that is smaller
WEIGHT = torch.randn(3, 2, generator=stream(0, "weight"))


def rows(n: int) -> Rows:
    return Rows(torch.randn(n, 3, generator=stream(n, "rows")))


def noisy(n: int) -> Rows:
    return Rows(rows(n).stored, lambda x, noise: x + torch.rand(x.shape, generator=noise))


def _columns(n: int) -> list[torch.Tensor]:
    """Columns of several types, from rows and further noise that are drawn in order."""
    noise = stream(n, "noise")

    def draw(batch) -> torch.Tensor:
        return torch.randn(len(batch), generator=noise)

    def columns(batch) -> list[torch.Tensor]:
        z = draw(batch)
        return [z, z.double()[:, None] * batch.x.double(), z > 0, torch.full_like(z, -0.0), z / 0 - z / 0]

    return in_columns(noisy(n).batches(8, noise), columns, draw)


def _divided(processes: Processes) -> list[torch.Tensor | int]:
    seen = []

    def product(batch) -> torch.Tensor:
        seen.append(len(batch))
        return batch.x @ WEIGHT

    with divided(processes):
        assert processes_now() is processes
        results = [by_chunks(rows(n), 8, product) for n in SIZES]
        results += [by_chunks(noisy(n), 8, product, stream(n, "noise")) for n in SIZES]
        columns = [column for n in SIZES for column in _columns(n)]
        in_columns(iter(()), lambda batch: [batch.x])
    assert processes_now() is ALONE
    return [*results, *columns, sum(seen)]


def test_the_result_is_that_of_one_process_to_the_bit():
    *expected, all_rows = _divided(ALONE)
    assert all_rows == 2 * sum(SIZES)
    answers = together(_divided, 3)
    for *results, _ in answers:
        for mine, one in zip(results, expected, strict=True):
            assert mine.dtype == one.dtype
            assert mine.shape == one.shape
            # to the bit: signs of zero and NaN too
            assert mine.contiguous().view(torch.uint8).equal(one.contiguous().view(torch.uint8))
    assert sum(seen for *_, seen in answers) == all_rows  # nothing is computed twice


def _grouped(processes: Processes) -> list[list[int]]:
    """The results of ten pieces of two rows, exchanged after four, and how much was computed at each of them."""
    computed, counts, results = [], [], []

    def doubled(index: torch.Tensor) -> list[torch.Tensor]:
        computed.append(len(index))
        return [2 * index]

    with divided(processes):
        for (values,) in by_groups(torch.arange(19).split(2), doubled, 4):
            results.append(values.tolist())
            counts.append(len(computed))
    return [*results, counts]


def test_groups_have_the_results_of_all_pieces_and_are_computed_when_they_are_asked_for():
    *results, counts = _grouped(ALONE)
    assert results == [[4 * i, 4 * i + 2] for i in range(9)] + [[36]]
    assert counts == list(range(1, 11))
    for *mine, seen in together(_grouped, 2):
        assert mine == results
        assert max(seen[:4]) <= 2  # of the first four pieces
        assert seen[-1] == 5


def test_recut_results_have_the_rows_that_are_asked_for():
    parts = [(part, part.double()[:, None] / 3) for part in torch.arange(23).split(4)]
    for rows in (1, 3, 7, 23, 50):
        pieces = list(recut(iter(parts), rows))
        assert [len(piece[0]) for piece in pieces[:-1]] == [rows] * (len(pieces) - 1)
        for whole, column in zip(zip(*parts, strict=True), zip(*pieces, strict=True), strict=True):
            assert torch.cat(column).equal(torch.cat(whole))
    assert list(recut(iter(()), 3)) == []
