"""Rows and batches keep what belongs to each row."""

from __future__ import annotations

import torch

from jensen.core.batch import Rows


def test_a_subset_keeps_the_masks_of_its_own_rows():
    mask = torch.tensor([[True, True], [True, False], [False, True]])
    rows, index = Rows(torch.zeros(3, 2), mask=mask), torch.tensor([2, 0])
    subset = rows.subset(index)
    assert subset.mask is not None
    assert subset.mask.equal(mask[index])
    assert subset.take(torch.tensor([0])).mask.tolist() == [[False, True]]
