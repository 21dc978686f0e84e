"""Imputations and reconstructions that several processes divide are those of one process, to the bit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jensen.analysis import imputation, latents
from jensen.analysis.imputation import Imputation, imputations, impute
from jensen.core.batch import Rows
from jensen.core.divided import divided
from jensen.core.processes import ALONE, Processes
from jensen.core.random import stream
from jensen.guides import Exact
from tests.analysis.test_imputation import MASK, holed, wide_guide
from tests.identities.models import linear_model, simulated
from tests.several import together

K = 8


@pytest.fixture
def small_pieces(monkeypatch):
    """Two rows at a time."""
    monkeypatch.setattr(imputation, "RESAMPLED", 2 * K * 3)
    monkeypatch.setattr(latents, "CHUNK", 2)


def results(processes: Processes) -> list[Tensor]:
    """Return all tensors of imputations by every method, and reconstructions of rows that are prepared with noise."""
    model = linear_model(2, 5)
    data = holed(model, MASK.repeat(2, 1))
    found = []
    with divided(processes):
        for method in imputation.METHODS:
            drawn = impute(model, wide_guide(), data, 3, method=method, k=K, steps=None if method == "sir" else 8)
            found += [t for t in vars(drawn).values() if isinstance(t, Tensor)]
        noisy = Rows(simulated(model, 7).x, lambda x, noise: x + torch.rand(x.shape, dtype=x.dtype, generator=noise))
        found += [
            latents.reconstruct(model, Exact(model), noisy, sample=sample, generator=stream(0, "noise"))
            for sample in (False, True)
        ]
    return found


def test_they_are_those_of_one_process(small_pieces):
    expected = results(ALONE)
    assert len(expected) == 5 + 7 + 5 + 2
    for answer in together(results, 2):
        for mine, one in zip(answer, expected, strict=True):
            assert mine.dtype == one.dtype
            assert mine.nan_to_num(-7.0).equal(one.nan_to_num(-7.0))


def test_pieces_have_noise_of_their_own(small_pieces):
    model = linear_model(2, 5)
    row = holed(model, MASK[:1])
    alike = Rows(row.stored.expand(4, -1), mask=MASK[:1].expand(4, -1), fill=row.fill)  # pyright: ignore[reportAttributeAccessIssue]
    z = impute(model, wide_guide(), alike, 1, k=K).z[0]
    assert len(torch.unique(z, dim=0)) == 4


def _joined(parts: list[Imputation]) -> dict[str, Tensor | int | None]:
    """The tensors of imputations of rows after another, as one of all of them has them."""
    rows_are_second = ("x", "z")
    return {
        name: torch.cat([vars(part)[name] for part in parts], int(name in rows_are_second))
        if isinstance(value, Tensor)
        else value
        for name, value in vars(parts[0]).items()
    }


def _in_pieces(processes: Processes) -> list[dict[str, Tensor | int | None]]:
    """Imputations of eleven rows by every method, three at a time."""
    model = linear_model(2, 5)
    data = holed(model, MASK.repeat(3, 1)[:11])
    with divided(processes):
        return [
            _joined(list(imputations(model, wide_guide(), data, 3, size=3, method=method, k=K, steps=8)))
            for method in imputation.METHODS
        ]


@pytest.mark.slow
def test_rows_in_pieces_have_the_imputations_of_all_rows(small_pieces):
    model = linear_model(2, 5)
    data = holed(model, MASK.repeat(3, 1)[:11])
    expected = [
        vars(impute(model, wide_guide(), data, 3, method=method, k=K, steps=8)) for method in imputation.METHODS
    ]
    for answer in (_in_pieces(ALONE), *together(_in_pieces, 2)):
        for mine, one in zip(answer, expected, strict=True):
            assert mine.keys() == one.keys()
            for name, value in one.items():
                if isinstance(value, Tensor):
                    assert mine[name].nan_to_num(-7.0).equal(value.nan_to_num(-7.0)), name
                else:
                    assert mine[name] == value
