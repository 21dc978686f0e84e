"""Rules over a whole box: a Gaussian to rounding, and nothing where a peak is narrower than the nodes."""

from __future__ import annotations

import pytest
import torch

from jensen.core.batch import Batch
from jensen.evaluate.cells import Integrand
from jensen.evaluate.joint_density import Joint
from jensen.evaluate.posterior_modes import Survey, survey
from jensen.evaluate.smooth_rules import smooth
from tests.identities.models import close, evidence, linear_model, simulated


def surveyed(latent: int) -> tuple[Integrand, Survey, Batch, torch.Tensor]:
    model = linear_model(latent, 4)
    batch = simulated(model, 5)
    joint = Joint(model, batch, 1 << 12)
    z = torch.zeros(4, 5, latent, dtype=torch.float64)
    with torch.no_grad():
        place = survey(joint, z, joint.at_all(z))
        return Integrand(joint, place.frame), place, batch, evidence(model, batch)


@pytest.mark.parametrize("latent", [1, 2])
def test_gaussian_posteriors_are_integrated_to_rounding(latent):
    integrand, place, _, truth = surveyed(latent)
    with torch.no_grad():
        value, error, used = smooth(integrand, place, torch.full((5,), 1e-9).double())
    close(value, truth, 1e-9)
    assert float(error.max()) < 1e-8
    assert float(used.max()) < 8000


def test_a_narrow_peak_is_left_to_others():
    integrand, place, _, _ = surveyed(1)
    place.widths[:, :] = 1e-3
    place.peaks[:, 0] = 0.5
    with torch.no_grad():
        _, error, used = smooth(integrand, place, torch.full((5,), 1e-6).double())
    assert torch.isinf(error).all()
    assert not used.any()
