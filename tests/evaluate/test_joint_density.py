"""log p(x, z) at many points, and the coordinates of a frame."""

from __future__ import annotations

import pytest
import torch

from jensen.core.batch import Batch
from jensen.core.random import stream
from jensen.evaluate.joint_density import Frame, Joint, rows_of
from jensen.families import Beta, Gaussian
from jensen.models.conditionals import Given, Unconditional
from jensen.models.model import LatentVariableModel
from tests.identities.models import close, linear_model, simulated


def test_shared_points_and_points_of_rows_have_the_same_density():
    model = linear_model(2, 4)
    batch = simulated(model, 5)
    z = torch.randn(7, 1, 2, generator=stream(0, "z"), dtype=torch.float64)
    row = torch.tensor([3, 0, 3])
    with torch.no_grad():
        truth = model.log_joint(batch, z.expand(-1, 5, -1))
        for at_once in (1, 4, 1000):
            joint = Joint(model, batch, at_once)
            close(joint.at_all(z), truth)
            close(joint(z.expand(-1, 3, -1), row), truth[:, row])


def test_outside_the_support_there_is_nothing():
    model = LatentVariableModel(Unconditional(Beta(1)), Given(torch.nn.Identity(), Gaussian(1, 1.0))).double()
    z = torch.tensor([-0.5, 0.5, 1.5], dtype=torch.float64)[:, None, None]
    with torch.no_grad():
        log = Joint(model, Batch(torch.zeros(2, 1, dtype=torch.float64)), 10).at_all(z)
    assert torch.isfinite(log).tolist() == [[False, False], [True, True], [False, False]]


def test_rows_keep_what_belongs_to_them():
    x, mask = torch.arange(6.0).reshape(3, 2), torch.eye(3, 2).bool()
    some = rows_of(Batch(x, mask, n_data=9), torch.tensor([2, 0]))
    assert some.x.equal(x[[2, 0]])
    assert some.mask is not None
    assert some.mask.equal(mask[[2, 0]])
    assert (some.context, some.n_data) == (None, 9)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e6])
def test_coordinates_go_there_and_back(size):
    loc, factor = torch.ones(1, 2).double(), torch.tensor([[[2.0, 0.0], [-0.5, 0.3]]]).double()
    frame = Frame(loc, factor)
    z = size * torch.randn(20, 1, 2, generator=stream(0, "z"), dtype=torch.float64)
    u = frame.coordinates(z)
    close(frame.at(u) / size, z / size, 1e-9)
    for k in range(3):
        jacobian = torch.autograd.functional.jacobian(lambda v: frame.at(v[None, None])[0, 0], u[k, 0])
        close(frame.log_jacobian(u)[k, 0], jacobian.det().abs().log(), 1e-9)
