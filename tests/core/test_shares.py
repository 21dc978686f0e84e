"""The scope of a share: draws are those of the whole batch, and means are over it."""

from __future__ import annotations

import pytest
import torch

from jensen.core.processes import Processes
from jensen.core.random import drawing_from, normal_like_rows, stream, uniform_like_rows
from jensen.core.shares import Share, batch_mean, current_share, gathered, mean_of_batch, sharing
from tests.several import together

ROWS = torch.randn(7, 3, dtype=torch.float64, generator=stream(0, "rows"))


@pytest.mark.parametrize("n", [0, 1, 2, 7, 8])
@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_shares_are_all_rows_once(n, size):
    shares = [Processes(rank, size).share(n) for rank in range(size)] if n else []
    counted = [row for share in shares if share.counts for row in range(share.start, share.stop)]
    assert counted == list(range(n))
    assert all(len(share) >= 1 and share.stop <= n and share.of == n for share in shares)
    sizes = [len(share) if share.counts else 0 for share in shares]
    assert max(sizes, default=0) - min(sizes, default=0) <= 1


@pytest.mark.parametrize("draw", [normal_like_rows, uniform_like_rows])
@pytest.mark.parametrize("rows", [0, 1, -2])
def test_noise_is_that_of_all_rows(draw, rows):
    shape = [5, 5, 4]
    whole, parts = draw(shape, rows, ROWS, stream(0, "noise")), []
    for start, stop in ((0, 2), (2, 5)):
        shape[rows] = stop - start
        with sharing(Share(start, stop, 5)):
            parts.append(draw(shape, rows, ROWS, stream(0, "noise")))
    assert torch.cat(parts, rows).equal(whole)


def test_other_draws_are_of_each_share_and_move_the_generator_alike():
    drawn, after = [], []
    for share in (Share(0, 2, 4), Share(2, 4, 4)):
        noise = stream(0, "noise")
        with sharing(share):
            with drawing_from(noise):
                drawn.append(torch.randn(2))
            after.append(normal_like_rows([2], 0, ROWS, noise))
        assert share.own_noise
    assert not drawn[0].equal(drawn[1])
    fresh = [torch.randn(4, dtype=torch.float64, generator=stream(0, "noise"))]
    assert not torch.cat(after).equal(fresh[0])  # the generator has moved, in both as far
    again = stream(0, "noise")
    torch.randint(2**62, (1,), generator=again)
    assert torch.cat(after).equal(torch.randn(4, dtype=torch.float64, generator=again))


def test_a_scope_without_draws_changes_nothing():
    share, noise = Share(0, 2, 4), stream(0, "noise")
    with sharing(share), drawing_from(noise):
        pass
    assert not share.own_noise
    assert torch.equal(noise.get_state(), stream(0, "noise").get_state())


def test_outside_of_a_share_everything_is_whole():
    assert current_share() is None
    assert gathered(ROWS) is ROWS
    assert batch_mean(ROWS).equal(ROWS.mean(0))
    assert mean_of_batch(ROWS.mean(0), 7).equal(ROWS.mean(0))


def _means(processes: Processes) -> list[torch.Tensor]:
    """Statistics of batches of 7 rows and of 1, and the gradient of a loss of them by this process's rows."""
    results = []
    for n in (7, 1):
        share = processes.share(n)
        rows = ROWS[share.start : share.stop].clone().requires_grad_()
        with sharing(share):
            mean = batch_mean(rows)
            loss = mean.square().sum().expand(len(rows)).sum() * (share.counts / share.of)
            (slope,) = torch.autograd.grad(loss, rows)
            weighted = mean_of_batch(rows.detach().mean().reshape(1), len(rows))
            results += [mean.detach(), slope * share.counts, weighted, gathered(rows.detach().repeat_interleave(2, 0))]
    return results


def test_statistics_are_those_of_the_whole_batch():
    answers = together(_means)
    for place, n in enumerate((7, 1)):
        rows = ROWS[:n].clone().requires_grad_()
        (slope,) = torch.autograd.grad(rows.mean(0).square().sum(), rows)
        for own, share in zip(answers, (Processes(0, 2).share(n), Processes(1, 2).share(n)), strict=True):
            mean, gradient, weighted, vectors = own[4 * place : 4 * place + 4]
            torch.testing.assert_close(mean, ROWS[:n].mean(0))
            torch.testing.assert_close(gradient, slope[share.start : share.stop] * share.counts)
            torch.testing.assert_close(weighted, ROWS[:n].mean().reshape(1))
            assert vectors.equal(ROWS[:n].repeat_interleave(2, 0))
