"""Parts whose sizes disagree are told when a run is opened; those that agree are not."""

from __future__ import annotations

import pytest
import torch

import jensen as j
from jensen.core.errors import CorruptRunError
from jensen.guides import FromPrior, Shared
from jensen.runs.agreement import check_agreement

PLAIN = j.LatentVariableModel(j.Unconditional(j.Gaussian(2)), j.Given.mlp(2, (4,), j.Bernoulli(6)))
LINEAR = j.LatentVariableModel(j.Unconditional(j.Gaussian(2)), j.Linear(2, 6))
SEEING = j.LatentVariableModel(j.Unconditional(j.Gaussian(2)), j.Given(j.MLP(5, 6, (4,)), j.Bernoulli(6), context=True))


def encoder(inputs: int = 6, latent: int = 2, context: bool = False) -> j.Amortized:
    return j.Amortized(j.Given(j.MLP(inputs, 2 * latent, (4,)), j.Gaussian(latent)), context=context)


AGREEING = {
    "amortised": (PLAIN, encoder(), 0),
    "shared": (PLAIN, Shared(j.Unconditional(j.Gaussian(2), learn=True)), 0),
    "from the prior": (PLAIN, FromPrior(PLAIN.prior), 0),
    "exact": (LINEAR, j.Exact(LINEAR), 0),
    "conditional": (SEEING, encoder(9, context=True), 3),
}
OTHERS = {
    "fewer inputs": (PLAIN, encoder(5), 0, "do not fit together"),
    "another latent space": (PLAIN, encoder(6, 3), 0, r"z has 2 features, the prior \[2\], q \[3\]"),
    "an encoder without the classes": (SEEING, encoder(9, context=True), 2, "do not fit together"),
    "no classes": (SEEING, encoder(), 0, "needs a context"),
    "a decoder of another size": (
        j.LatentVariableModel(j.Unconditional(j.Gaussian(2)), j.Given(j.MLP(2, 5, (4,)), j.Bernoulli(6))),
        encoder(),
        0,
        "do not fit together",
    ),
    "a decoder of another space": (
        j.LatentVariableModel(j.Unconditional(j.Gaussian(2)), j.Given(j.MLP(3, 6, (4,)), j.Bernoulli(6))),
        encoder(),
        0,
        "do not fit together",
    ),
}


@pytest.mark.parametrize("name", AGREEING)
def test_parts_that_agree(name: str) -> None:
    model, guide, classes = AGREEING[name]
    before = torch.get_rng_state()
    check_agreement(model, guide, classes)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", OTHERS)
def test_parts_that_do_not(name: str) -> None:
    model, guide, classes, said = OTHERS[name]
    with pytest.raises(CorruptRunError, match=said):
        check_agreement(model, guide, classes)
