"""Models that the doctor looks at, and what it found."""

from __future__ import annotations

import torch
from torch import nn

from jensen.core.batch import Rows
from jensen.families import Gaussian
from jensen.guides import Amortized
from jensen.models.conditionals import Given, Linear, Unconditional
from jensen.models.model import LatentVariableModel
from tests.identities.models import normal_guide, simulated


def rows(model, n, name="data"):
    return Rows(simulated(model, n, name).x)


def pair(model, n=300):
    return rows(model, n, "train"), rows(model, n, "test")


def names(diagnosis, severity="problem"):
    return {f.name for f in diagnosis.findings if f.severity == severity}


def standard_guide(latent):
    """q(z | x) = N(0, 1), whatever x."""
    return normal_guide(torch.zeros(latent, dtype=torch.float64), torch.ones(latent, dtype=torch.float64))


def sharp(sd, latent=3, n=300):
    """x = z + noise of that size, and the encoder that undoes it."""
    model = LatentVariableModel(Unconditional(Gaussian(latent)), Linear(latent, latent)).double()
    model.likelihood.assign(torch.eye(latent), torch.zeros(latent), torch.tensor([sd**2]))
    net = nn.Linear(latent, 2 * latent).double()
    with torch.no_grad():
        net.weight.copy_(torch.eye(2 * latent, latent))
        net.bias.zero_()
        net.bias[latent:] = Gaussian(latent).raw(torch.full((latent,), sd, dtype=torch.float64))
    return model, Amortized(Given(net, Gaussian(latent))), *pair(model, n)
