"""The U-Net: zero at first, any size and patch, and every pixel and feature reaches every output."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jensen.core.errors import UsageError
from jensen.nets import UNet


def awake(net):
    """The network with random weights, so that no part of it is silent."""
    torch.manual_seed(0)
    for parameter in net.parameters():
        nn.init.normal_(parameter, 0.0, 0.1)
    return net


@pytest.mark.parametrize("shape", [(8, 8, 1), (5, 9, 3), (1, 1, 2), (16, 4, 1)])
@pytest.mark.parametrize("patch", [1, 2, 4])
def test_patches_come_back_as_the_pixels_that_they_were(shape, patch):
    net = UNet(shape, images=1, features=1, outputs=shape[2], width=8, blocks=1, patch=patch)
    images = torch.arange(2 * shape[0] * shape[1] * shape[2], dtype=torch.float32).reshape(2, *shape)
    patches = net._patches(images)
    assert patches.shape[1] == shape[2] * patch**2
    assert torch.equal(net._pixels(patches), images)


def test_a_patch_holds_its_own_pixels():
    net = UNet((4, 4, 1), images=1, features=1, outputs=1, width=8, blocks=1, patch=2)
    rows = torch.arange(4.0)[:, None].expand(4, 4).reshape(1, 4, 4, 1)
    assert net._patches(rows)[0, :, 1, 0].tolist() == [2, 2, 3, 3]


@pytest.mark.parametrize("patch", [1, 2])
def test_it_is_zero_at_first(patch):
    net = UNet((8, 8, 3), images=2, features=4, outputs=3, width=8, patch=patch)
    assert not net(torch.randn(3, 2, 2 * 192 + 4)).any()


@pytest.mark.parametrize(("shape", "patch"), [((8, 8, 1), 1), ((6, 10, 2), 2)])
def test_every_input_reaches_every_output(shape, patch):
    """By attention a pixel in one corner changes the other; so does each feature of the whole image."""
    net = awake(UNet(shape, images=1, features=2, outputs=shape[2], width=8, blocks=1, patch=patch)).double()
    x = torch.randn(1, shape[0] * shape[1] * shape[2] + 2, dtype=torch.float64, requires_grad=True)
    for out in (net(x)[0, 0], net(x)[0, -1]):
        (gradient,) = torch.autograd.grad(out, x)
        assert (gradient != 0).all()


def test_all_parameters_have_gradients():
    net = awake(UNet((16, 16, 1), images=1, features=2, outputs=1, width=8))
    net(torch.randn(4, 258)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())


def test_images_are_the_channels_of_one_pixel():
    """A second image beside the first is two more channels of the same pixels."""
    beside = awake(UNet((4, 4, 1), images=2, features=1, outputs=1, width=8))
    channels = awake(UNet((4, 4, 2), images=1, features=1, outputs=1, width=8))
    channels.load_state_dict(beside.state_dict())
    first, second, feature = torch.randn(3, 16), torch.randn(3, 16), torch.randn(3, 1)
    joined = torch.stack([first, second], -1).flatten(1)
    torch.testing.assert_close(
        beside(torch.cat([first, second, feature], 1)), channels(torch.cat([joined, feature], 1))
    )


def test_sizes_below_one_are_refused():
    for wrong in ({"width": 0}, {"patch": 0}, {"images": 0}, {"features": 0}, {"blocks": 0}):
        with pytest.raises(UsageError):
            UNet((4, 4, 1), **({"images": 1, "features": 1, "outputs": 1} | wrong))


def test_the_phrase_names_sizes_and_patches():
    assert UNet((16, 16, 1), 1, 1, 1, 8).phrase == "U-Net over 16x16 8x8 4x4"
    assert UNet((16, 16, 1), 1, 1, 1, 8, patch=2).phrase == "U-Net over 8x8 4x4 of 2x2 pixels each"
