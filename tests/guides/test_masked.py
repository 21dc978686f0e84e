"""A guide that sees the mask tells a hole from a zero, and sees nothing where everything is observed."""

from __future__ import annotations

import torch
from torch import nn

from jensen.core.batch import Batch
from jensen.families import Gaussian
from jensen.guides.masked import Masked
from jensen.models.conditionals import Given


def guide() -> Masked:
    torch.manual_seed(0)
    return Masked(Given(nn.Linear(6, 4), Gaussian(2)))


def test_complete_rows_are_read_as_if_there_were_no_mask():
    q, x = guide(), torch.randn(5, 3)
    assert torch.equal(q(Batch(x)).mean, q(Batch(x, mask=torch.ones(5, 3, dtype=torch.bool))).mean)


def test_a_hole_is_read_by_the_weights_of_its_own_column():
    """The mask adds minus the weights of the columns that are missing, and nothing else."""
    q, x = guide(), torch.zeros(1, 3)
    holes = torch.tensor([[True, False, True]])
    net = q.conditional.net
    shift = net(torch.cat([x, holes.float() - 1], -1)) - net(torch.cat([x, 0 * x], -1))
    assert torch.allclose(shift, -net.weight[:, 3 + 1][None], atol=1e-6)
    assert not torch.equal(q(Batch(x, mask=holes)).mean, q(Batch(x)).mean)
