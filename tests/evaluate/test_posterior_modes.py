"""The survey of a posterior: its modes, its frame and its extent, against closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jensen.core.batch import Batch
from jensen.evaluate.joint_density import Joint
from jensen.evaluate.posterior_modes import Survey, survey
from jensen.families import Gaussian
from jensen.models.conditionals import Given, Unconditional
from jensen.models.model import LatentVariableModel
from tests.identities.models import close, linear_model, simulated


class Square(nn.Module):
    """Both roots of x explain it."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z.square()


def surveyed(model: LatentVariableModel, batch: Batch, at: float = 0.0) -> Survey:
    joint = Joint(model, batch, 1 << 14)
    z = torch.full((3, len(batch), model.latent), at, dtype=torch.float64)
    with torch.no_grad():
        return survey(joint, z, joint.at_all(z))


@pytest.mark.parametrize("latent", [1, 2])
@pytest.mark.parametrize("at", [0.0, 50.0])
def test_the_frame_is_the_posteriors(latent, at):
    """Mean and covariance of a linear model, to the tolerance at which the moving grid stops, wherever the guide is."""
    model = linear_model(latent, 4)
    batch = simulated(model, 6)
    p = model.posterior(batch)
    place = surveyed(model, batch, at)
    away = (place.frame.loc - p.mean).abs() / p.stddev
    assert float(away.detach().max()) < 0.7
    spread = place.frame.factor.square().sum(-1).sqrt() / p.stddev
    assert 0.6 < float(spread.min().detach()) < float(spread.max().detach()) < 1.6
    assert (place.lo < -4).all()
    assert (place.hi > 4).all()
    assert float(place.outside.max()) < -20


@pytest.mark.parametrize(("latent", "sd"), [(1, 0.1), (1, 1e-4), (2, 0.05)])
def test_every_root_is_a_peak(latent, sd):
    model = LatentVariableModel(Unconditional(Gaussian(latent)), Given(Square(), Gaussian(latent, sd))).double()
    place = surveyed(model, Batch(torch.ones(1, latent, dtype=torch.float64)))
    there = ~place.peaks[0].isnan().any(-1)
    z = place.frame.at(place.peaks.nan_to_num(0.0).transpose(0, 1))[:, 0][there]
    close(z.abs(), torch.ones_like(z), sd)
    assert len({tuple(row) for row in z.sign().tolist()}) == 2**latent
    # sqrt(2) standard deviations, of which there are sd / 2, lie within the width
    slope = place.frame.factor.diagonal(dim1=-2, dim2=-1)[0]
    assert (place.widths[0][there] * slope < 2 * sd).all()


def test_rounding_is_measured():
    """Single precision is worth 1e-7 of the numbers that are added; double precision much less."""
    model = linear_model(1, 4)
    batch = simulated(model, 4)
    assert float(surveyed(model, batch).noise.max()) < 1e-12
    single = surveyed(model.float(), Batch(batch.x.float()))
    assert 1e-8 < float(single.noise.max()) < 1e-4
