"""Published weights of two binary VAEs, built through the public API, give the figures that were measured with them.

The weights are not part of the project: JENSEN_REFERENCE_WEIGHTS names a folder with bdmc_vae_mnist_z50.npz (of
lxuechen/BDMC) and bitsback_torch_binary_vae_params_random.npz (of bits-back/bits-back), JENSEN_MNIST the folder of
MNIST's test images; JENSEN_REFERENCE_ROWS takes the first images only.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import jensen
from jensen.data import read
from jensen.nets import MLP

WEIGHTS, MNIST = (os.environ.get(name) for name in ("JENSEN_REFERENCE_WEIGHTS", "JENSEN_MNIST"))
ROWS = int(os.environ.get("JENSEN_REFERENCE_ROWS", "10000"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (WEIGHTS and MNIST), reason="JENSEN_REFERENCE_WEIGHTS and JENSEN_MNIST name no folders"),
]


class FromLog(nn.Module):
    """Location and log-scale [..., 2 Z], as published, to the parameters of jensen's Gaussian."""

    def __init__(self, net: nn.Module, family: jensen.Gaussian) -> None:
        super().__init__()
        self.net, self.family = net, family

    def forward(self, x: Tensor) -> Tensor:
        loc, log_scale = self.net(x).chunk(2, -1)
        return torch.cat([loc, self.family.raw(log_scale.exp())], -1)


def filled(net: MLP, arrays: dict[str, np.ndarray], layers: Sequence[Sequence[str]]) -> MLP:
    """The net with published weights; a layer of several names has their outputs side by side."""
    linear = [m for m in net.layers if isinstance(m, nn.Linear)]
    with torch.no_grad():
        for layer, names in zip(linear, layers, strict=True):
            for own, kind in ((layer.weight, "weight"), (layer.bias, "bias")):
                own.copy_(torch.cat([torch.from_numpy(arrays[f"{name}.{kind}"]) for name in names]))
    return net


def built(
    file: str, latent: int, hidden: tuple[int, ...], activation: str, encoder, decoder, half: bool
) -> tuple[jensen.LatentVariableModel, jensen.Amortized]:
    """Model and guide of a file; `half`: the published second half is a log-variance, not the log of a scale."""
    with np.load(Path(WEIGHTS) / file, allow_pickle=False) as found:
        arrays = {k: found[k] for k in found.files}
    down = filled(MLP(784, 2 * latent, hidden, activation), arrays, encoder)
    up = filled(MLP(latent, 784, hidden, activation), arrays, decoder)
    if half:
        with torch.no_grad():
            for own in (down.layers[-1].weight, down.layers[-1].bias):
                own[latent:] *= 0.5
    family = jensen.Gaussian(latent)
    model = jensen.LatentVariableModel(
        jensen.Unconditional(jensen.Gaussian(latent)), jensen.Given(up, jensen.Bernoulli(784))
    )
    return model.eval(), jensen.Amortized(jensen.Given(FromLog(down, family), family)).eval()


@pytest.fixture(scope="module")
def images() -> jensen.Rows:
    """MNIST's test images, each pixel a coin thrown once with its grey value, from seed 0."""
    grey = read(Path(MNIST) / "t10k-images-idx3-ubyte.gz").x.reshape(-1, 784)
    bits = np.random.default_rng(0).random(grey.shape) < grey / 255.0
    return jensen.Rows(torch.from_numpy(bits[:ROWS].astype(np.float32)))


CASES = {
    "bdmc_vae_mnist_z50.npz": (
        (50, (200, 200), "elu", [["fc1"], ["fc2"], ["fc3"]], [["fc4"], ["fc5"], ["fc6"]], True),
        (95.76, 100, 90.26),
    ),
    "bitsback_torch_binary_vae_params_random.npz": (
        (40, (100,), "relu", [["fc1"], ["fc21", "fc22"]], [["fc3"], ["fc4"]], False),
        (105.49, 50, 100.33),
    ),
}


@pytest.mark.parametrize("file", CASES)
def test_published_figures(file, images, capsys):
    """-ELBO and -IWAE-K within 0.2 nats, beyond what the rows that were left out could change."""
    how, (elbo, k, iwae) = CASES[file]
    found = jensen.Importance(k)(*built(file, *how), images)
    with capsys.disabled():
        print(
            f"\n{file}: -ELBO {-float(found.elbo.mean()):.3f} ({elbo}), -IWAE-{k} {-found.mean:.3f} ({iwae})", end=" "
        )
    fewer = 0.0 if len(images) == 10_000 else 3 * found.stderr
    assert -float(found.elbo.mean()) == pytest.approx(elbo, abs=0.2 + fewer)
    assert -found.mean == pytest.approx(iwae, abs=0.2 + fewer)
