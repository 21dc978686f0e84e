"""Small exact models in double precision, and the estimates that the identity tests hold against them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jensen.core.batch import Batch, Rows
from jensen.core.random import drawing_from, stream
from jensen.estimators.base import GradientEstimator
from jensen.estimators.enumeration import Enumerate
from jensen.estimators.quadrature import Quadrature
from jensen.families import Categorical, Family, Gaussian, positive_inverse
from jensen.guides import Amortized, Exact
from jensen.models.conditionals import Conditional, Given, Linear, Table, Unconditional
from jensen.models.draw import Draw, weigh
from jensen.models.guide import Guide
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from jensen.objectives import ImportanceWeighted


def close(actual: Tensor | float, expected: Tensor | float, tolerance: float = 1e-9) -> None:
    """Both agree to the tolerance, relative or absolute."""
    actual, expected = (torch.as_tensor(t, dtype=torch.float64) for t in (actual, expected))
    torch.testing.assert_close(actual, expected.expand_as(actual), rtol=tolerance, atol=tolerance)


def scrambled(module: nn.Module, name: str, size: float = 0.5) -> nn.Module:
    """The module in double precision, each parameter moved by a random amount of that size."""
    generator = stream(0, name)
    with torch.no_grad():
        for p in module.double().parameters():
            if p.requires_grad:
                p.add_(size * torch.randn(p.shape, dtype=p.dtype, generator=generator))
    return module


def linear_model(latent: int = 2, dim: int = 5, noise: str = "shared", name: str = "linear") -> LatentVariableModel:
    """Probabilistic PCA, or factor analysis (noise "feature"), at arbitrary parameters."""
    with drawing_from(stream(0, name)):
        model = LatentVariableModel(Unconditional(Gaussian(latent)), Linear(latent, dim, noise))
    return scrambled(model, name)


def mixture_model(
    classes: int = 3, dim: int = 2, spread: float = 1.0, name: str = "mixture", family: Family | None = None
) -> LatentVariableModel:
    """A Gaussian mixture, with diagonal covariances unless a family says otherwise, at arbitrary parameters."""
    with drawing_from(stream(0, name)):
        likelihood = Table(Gaussian(dim) if family is None else family, classes)
        model = LatentVariableModel(Unconditional(Categorical(classes), learn=True), likelihood)
    scrambled(model, name)
    with torch.no_grad():
        likelihood.table[:, :dim] *= spread
    return model


def curved_model(dim: int = 3) -> LatentVariableModel:
    """One latent feature and a small network: an evidence without closed form."""
    with drawing_from(stream(0, "curved")):
        net = MLP(1, dim, (6,), "tanh")
    return scrambled(LatentVariableModel(Unconditional(Gaussian(1)), Given(net, Gaussian(dim, "shared"))), "curved")


def amortized(dim: int, family: Family, name: str = "guide") -> Amortized:
    """A guide with an arbitrary network, which is far from any posterior."""
    with drawing_from(stream(0, name)):
        return Amortized(Given(MLP(dim, family.size, (8,)), family)).double()


class Fixed(Conditional):
    """One distribution for all data, or one row of parameters for each: a conditional without a network."""

    def __init__(self, family: Family, values: Tensor) -> None:
        super().__init__()
        self.family, self.values = family, nn.Parameter(values)

    def params(self, c: Tensor | None = None) -> Tensor:
        return self.values if self.values.dim() > 1 or c is None else self.values.expand(len(c), -1)

    @property
    def phrase(self) -> str:
        return "fixed"


def normal_guide(loc: Tensor, scale: Tensor) -> Amortized:
    """q = N(loc, scale^2), [Z] for all data or [B, Z]."""
    return Amortized(Fixed(Gaussian(loc.shape[-1]), torch.cat([loc, positive_inverse(scale)], -1)))


def simulated(model: LatentVariableModel, n: int, name: str = "data") -> Batch:
    """Data that the model itself made."""
    return Batch(model.simulate(n, stream(0, name))[1].x)


def rows(batch: Batch) -> Rows:
    return Rows(batch.x)


def evidence(model: LatentVariableModel, batch: Batch, estimator: GradientEstimator | None = None) -> Tensor:
    """log p(x) [B] under the exact posterior, by one node or by all states."""
    finite = isinstance(model.prior.family, Categorical)
    return ImportanceWeighted()((estimator or (Enumerate() if finite else One())).draw(model, Exact(model), batch))


class One(Quadrature):
    """A single point at the guide's mean, for any number of latent features: enough where weights are constant."""

    def draw(self, model, guide, batch, generator=None) -> Draw:
        q = guide(batch)
        return weigh(model, q, q.mean[None], batch)


def climbed(
    model: LatentVariableModel, guide: Guide, batch: Batch, estimator: GradientEstimator, objective=None
) -> None:
    """Climb the mean objective with L-BFGS from where the model is."""
    objective = objective or ImportanceWeighted()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.LBFGS(parameters, max_iter=300, line_search_fn="strong_wolfe", tolerance_grad=1e-9)

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = -objective(estimator.draw(model, guide, batch, stream(0, "noise"))).mean()
        loss.backward()
        return loss

    optimiser.step(closure)
