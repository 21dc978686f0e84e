"""Every member of every axis, once or in each of its kinds: what is listed here is held to its abstraction."""

from __future__ import annotations

from torch import nn

from jensen.conditionals import Conditional, Given, Linear, Table, Unconditional
from jensen.estimators import Enumerate, GradientEstimator, Pathwise, Quadrature
from jensen.families import Bernoulli, Categorical, DiscretizedLogistic, Family, Gaussian, Mixture
from jensen.guides import Amortized, Deterministic, Exact, Guide, Shared
from jensen.model import LatentVariableModel
from jensen.nets import MLP, Chain, ConvDecoder, ConvEncoder, Net, ResidualMLP, Standardize
from jensen.objectives import Distortion, Elbo, ImportanceWeighted, Objective, Of, Ramp, Rate
from jensen.randomness import drawing_from, stream
from jensen.refine import Refined

__all__ = ["ALL_CONDITIONALS", "ALL_ESTIMATORS", "ALL_FAMILIES", "ALL_GUIDES", "ALL_NETS", "ALL_OBJECTIVES", "MODELS"]

ALL_FAMILIES: list[Family] = [
    Gaussian(3),
    Gaussian(3, "feature"),
    Gaussian(3, "shared"),
    Gaussian(3, 0.5),
    Bernoulli(3),
    Categorical(3),
    DiscretizedLogistic(3, 2),
    DiscretizedLogistic(3, 5),
    DiscretizedLogistic(3, 256),
    Mixture(Gaussian(3), 2),
    Mixture(Bernoulli(3), 2),
    Mixture(DiscretizedLogistic(3, 5), 2),
    Mixture(Mixture(Gaussian(3), 2), 2),
]

with drawing_from(stream(0, "members")):
    ALL_NETS: list[Net] = [
        MLP(12, 5, (4,)),
        MLP(12, 5, ()),
        Standardize(12),
        Chain([Standardize(12), MLP(12, 5, (4,), "tanh")]),
        ConvEncoder((2, 3, 2), 5, width=4),
        ConvDecoder(12, (2, 3, 1), planes=2, width=4),
        ResidualMLP(12, 5, 4, 2),
        ResidualMLP(12, 5, 4, 0),
        ConvEncoder((2, 3, 2), 5, width=4, blocks=2),
        ConvDecoder(12, (2, 3, 1), planes=2, width=4, blocks=1),
    ]

    # over two latent features, from context [..., 2]
    ALL_CONDITIONALS: list[Conditional] = [
        *(Given(MLP(2, f.size - f.shared, (4,)), f) for f in ALL_FAMILIES),
        *(Table(f, 2) for f in ALL_FAMILIES),
        Unconditional(Gaussian(3)),
        Unconditional(Categorical(3), learn=True),
        Linear(2, 3),
        Linear(2, 3, "feature"),
    ]

    # one data set for all: x [B, 3] of zeros and ones
    MODELS: dict[str, LatentVariableModel] = {
        "linear": LatentVariableModel(Unconditional(Gaussian(2)), Linear(2, 3)),
        "network": LatentVariableModel(Unconditional(Gaussian(2)), Given(MLP(2, 3, (4,)), Bernoulli(3))),
        "mixture prior": LatentVariableModel(
            Unconditional(Mixture(Gaussian(2), 2)), Given(MLP(2, 6, (4,)), DiscretizedLogistic(3, 2))
        ),
        "finite": LatentVariableModel(Unconditional(Categorical(4), learn=True), Table(Gaussian(3), 4)),
        "no latent": LatentVariableModel(Unconditional(Gaussian(0)), Unconditional(Gaussian(3), learn=True)),
    }

    # each with the names of the models that it can serve
    ALL_GUIDES: list[tuple[Guide, list[str]]] = [
        (Amortized(Given(MLP(3, 4, (4,)), Gaussian(2))), ["linear", "network", "mixture prior"]),
        (Amortized(Given(MLP(3, 4, (4,)), Categorical(4))), ["finite"]),
        (Shared(Unconditional(Gaussian(2), learn=True)), ["linear", "network", "mixture prior"]),
        (Shared(Unconditional(Categorical(4), learn=True)), ["finite"]),
        (Deterministic(MLP(3, 2, (4,))), ["linear", "network"]),
        (Refined(MODELS["linear"], Amortized(Given(MLP(3, 4, (4,)), Gaussian(2))), steps=4), ["linear", "network"]),
        (Exact(MODELS["linear"]), ["linear"]),
        (Exact(MODELS["finite"]), ["finite"]),
        (Exact(MODELS["no latent"]), ["no latent"]),
    ]

for _module in (*ALL_NETS, *ALL_CONDITIONALS, *MODELS.values(), *(guide for guide, _ in ALL_GUIDES)):
    nn.Module.double(_module)

ALL_ESTIMATORS: list[GradientEstimator] = [Pathwise(1), Pathwise(4), Enumerate(), Quadrature(5)]

ALL_OBJECTIVES: list[Objective] = [
    Elbo(),
    Elbo(4.0),
    ImportanceWeighted(),
    Rate(),
    Distortion(),
    -Distortion() - 2 * Rate(),
    Elbo() - Ramp(0.5, 10) * Rate(),
    Of(lambda draw: draw.mean(draw.z.square().sum(-1)), "energy"),
]
