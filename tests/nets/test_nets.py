"""Networks: shapes for any batch and image, the layout of flat images, and one datum at a time."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jensen.core.errors import UsageError
from jensen.core.parts import build, spec_of
from jensen.core.random import stream
from jensen.nets import MLP, Chain, ConvDecoder, ConvEncoder, Experts, Planes, ResidualMLP, Standardize
from tests.contracts.members import ALL_NETS

NAMED = pytest.mark.parametrize("net", ALL_NETS, ids=lambda n: type(n).__name__)
SHAPES = [(1, 1, 1), (1, 1, 3), (5, 7, 2), (28, 28, 1), (33, 17, 4), (1, 9, 1), (4, 4, 3)]


@NAMED
@pytest.mark.parametrize("batch", [(), (1,), (0,), (5,), (3, 4), (2, 3, 4), (0, 3)], ids=str)
def test_any_batch_shape(net, batch):
    x = torch.randn(*batch, 12, dtype=torch.float64, generator=stream(0, "x"))
    assert net(x).shape[:-1] == batch


@NAMED
def test_one_datum_at_a_time(net):
    x = torch.randn(3, 4, 12, dtype=torch.float64, generator=stream(0, "x"))
    one = torch.stack([net(row[None])[0] for row in x.flatten(0, 1)]).unflatten(0, (3, 4))
    torch.testing.assert_close(net(x), one, rtol=1e-9, atol=1e-9)


@NAMED
def test_a_net_is_rebuilt_and_names_itself(net):
    again = build(spec_of(net))[0].double()
    again.load_state_dict(net.state_dict())
    x = torch.randn(3, 12, dtype=torch.float64, generator=stream(0, "x"))
    assert torch.equal(again(x), net(x))
    assert again.phrase == net.phrase != ""


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_images_of_any_size(shape):
    """Odd sizes and any number of channels, with [K, B] in front."""
    features = shape[0] * shape[1] * shape[2]
    x = torch.randn(2, 3, features, generator=stream(0, "x"))
    code = ConvEncoder(shape, 6, width=4)(x)
    assert code.shape == (2, 3, 6)
    for planes in (1, 2):
        assert ConvDecoder(6, shape, planes, width=4)(code).shape == (2, 3, planes * features)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_an_encoder_reads_height_width_channel(shape):
    """Entry (h W + w) C + c of a flat image is channel c at (h, w)."""
    height, width, channels = shape
    net, seen = ConvEncoder(shape, 2, width=4), []
    net.layers.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    net(torch.arange(2.0 * height * width * channels).reshape(2, -1))
    for h, w, c in (
        (0, 0, channels - 1),
        (height - 1, 0, 0),
        (0, width - 1, 0),
        (height // 2, width // 2, channels // 2),
    ):
        flat = (h * width + w) * channels + c
        assert seen[0][:, c, h, w].tolist() == [flat, flat + height * width * channels]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_decoder_writes_height_width_channel(shape):
    """Parameter p of channel c at (h, w) is entry p H W C + (h W + w) C + c."""
    height, width, channels = shape
    net, seen = ConvDecoder(3, shape, planes=2, width=4), []
    net.head.register_forward_hook(lambda _, inputs, output: seen.append(output))
    with torch.no_grad():
        out = net(torch.randn(2, 3, generator=stream(0, "z")))
    image = seen[0].contiguous()
    for p in (0, 1):
        for c in range(channels):
            plane = out[:, p * height * width * channels :][:, c : height * width * channels : channels]
            assert torch.equal(plane, image[:, p * channels + c].flatten(1))


def test_a_decoders_planes_are_apart():
    """With a head that only has a bias, each plane of parameters is the bias of its channels."""
    net = ConvDecoder(3, (5, 7, 3), planes=2, width=4)
    with torch.no_grad():
        net.head.weight.zero_()
        net.head.bias.copy_(torch.arange(6.0))
        out = net(torch.zeros(1, 3))[0]
    assert torch.equal(out, torch.cat([torch.arange(3.0).repeat(35), torch.arange(3.0, 6.0).repeat(35)]))


def test_every_pixel_reaches_the_code_and_back():
    encoder, decoder = ConvEncoder((33, 17, 2), 3, width=4), ConvDecoder(3, (33, 17, 2), width=4)
    x = torch.zeros(1, 33 * 17 * 2, requires_grad=True)
    assert torch.autograd.grad(encoder(x).sum(), x)[0].all()
    z = torch.randn(1, 3, generator=stream(0, "z"))
    assert decoder(z).std() > 0


@pytest.mark.parametrize("patch", [1, 2, 4])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.sampled(9)
def test_images_of_any_size_in_patches(shape, patch):
    """The pixel (h, w) of channel c is written by the (h mod p, w mod p)-th of its channels, and its own bias."""
    height, width, channels = shape
    features = height * width * channels
    arrangement = {"width": 4, "blocks": 1, "patch": patch, "norm": True}
    code = ConvEncoder(shape, 6, **arrangement)(torch.randn(2, 3, features, generator=stream(0, "x")))
    assert code.shape == (2, 3, 6)
    decoder = ConvDecoder(6, shape, 2, **arrangement, offset=True)
    assert decoder(code).shape == (2, 3, 2 * features)
    own = torch.arange(2.0 * features)  # sums of whole numbers are exact
    with torch.no_grad():
        decoder.head.weight.zero_()
        decoder.head.bias.copy_(torch.arange(2.0 * channels * patch**2))
        decoder.offset.copy_(own)
        out = (decoder(code[0, 0]) - own).reshape(2, height, width, channels)
    h, w = torch.arange(height)[:, None, None] % patch, torch.arange(width)[:, None] % patch
    for plane in (0, 1):
        place = ((plane * channels + torch.arange(channels)) * patch + h) * patch + w
        assert torch.equal(out[plane], place.float())


def test_a_normalised_encoder_is_blind_to_contrast_and_to_other_rows():
    """Blocks are the identity at first: without biases the scale of an image is lost in the norm before the end."""
    net = ConvEncoder((9, 7, 2), 3, width=8, blocks=2, norm=True).double()
    with torch.no_grad():
        for m in net.layers:
            if isinstance(m, nn.Conv2d):
                m.bias.zero_()
    x = torch.randn(4, 126, dtype=torch.float64, generator=stream(0, "x"))
    torch.testing.assert_close(net(1000 * x), net(x), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(net(x)[1:2], net(x[1:2]))
    plain = ConvEncoder((9, 7, 2), 3, width=8).double()
    assert not torch.allclose(plain(1000 * x), plain(x), rtol=0.1, atol=0.1)


def test_no_hidden_layer_is_an_affine_map():
    net = MLP(3, 2, ())
    x = torch.randn(4, 3, generator=stream(0, "x"))
    torch.testing.assert_close(net(2 * x) - net(x), net(x) - net(torch.zeros(4, 3)))


def test_an_unknown_activation_is_refused_by_name():
    with pytest.raises(UsageError, match="Choose from elu, gelu"):
        MLP(3, 2, activation="swish")


def test_standardising():
    x = torch.tensor([[1.0, 7.0, 0.0], [3.0, 7.0, 1e-20]])
    net = Standardize(3)
    assert torch.equal(net(x), x)
    net.set(x.mean(0), x.std(0, unbiased=False))
    torch.testing.assert_close(net(x)[:, :2], torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))
    assert torch.isfinite(net(torch.full((1, 3), 3e38))).all()
    assert not list(net.parameters())


def test_a_chain_runs_from_first_to_last():
    first, second = nn.Linear(2, 3), nn.Linear(3, 1)
    x = torch.randn(4, 2, generator=stream(0, "x"))
    assert torch.equal(Chain([first, second])(x), second(first(x)))


def test_residual_blocks_are_the_identity_at_first_and_learn():
    """With blocks or without, the same function of the same stem and head; every block gets a gradient."""
    x = torch.randn(4, 3, generator=stream(0, "x"))
    net = ResidualMLP(3, 2, width=5, blocks=2)
    torch.testing.assert_close(net(x), net.head(net.activation(net.stem(x))))
    images = torch.randn(4, 30, generator=stream(1, "x"))
    more = {"width": 4, "blocks": 2}
    for image in (
        ConvEncoder((5, 6, 1), 3, **more),
        ConvDecoder(30, (5, 6, 1), **more),
        ConvDecoder(30, (5, 6, 1), **more, patch=2, norm=True, offset=True),
    ):
        plain = type(image)(**{**image._made_with, "blocks": 0})
        shared = {k: v for k, v in image.state_dict().items() if k in plain.state_dict()}
        if isinstance(image, ConvDecoder):
            plain.load_state_dict(shared)
            torch.testing.assert_close(image(images), plain(images))
        image(images).square().sum().backward()
        assert all(p.grad is not None for p in image.parameters())
    net(x).square().sum().backward()
    assert all(bool(layer.weight.grad.abs().sum() > 0) for layer in net.second)


@pytest.mark.parametrize("make", [lambda: ResidualMLP(3, 2, blocks=-1), lambda: ConvEncoder((4, 4, 1), 2, blocks=-1)])
def test_a_negative_number_of_blocks_is_refused(make):
    with pytest.raises(UsageError, match=r"^blocks must be a whole number of at least 0, got -1"):
        make()


def test_planes_keep_pixels_in_their_places():
    """Convolutions are local: a pixel at one corner moves nothing at the other, in every image that comes in and every
    group that comes out, each flat in the order height, width, channel."""
    net = Planes((9, 9), (2, 1), 4, width=5, planes=2).double()
    x = torch.randn(1, 9 * 9 * 3, dtype=torch.float64, generator=stream(0, "x"))
    for entry, reach in ((0, 2), (9 * 9 * 2, 2)):  # pixel (0, 0) of the first image, and of the second
        moved = x.clone()
        moved[0, entry] += 1.0
        far = (net(moved) - net(x)).detach().reshape(2, 9, 9, 2).abs().amax((0, 3))
        assert bool((far[: reach + 1, : reach + 1] > 0).all())
        assert float(far[reach + 1 :].max()) == float(far[:, reach + 1 :].max()) == 0.0


def test_planes_resize_and_start_at_zero():
    x = torch.randn(3, 2 * 4 * 4, generator=stream(0, "x"))
    up = Planes((4, 4), (2,), 2, to=(8, 8), residual=True, zero=True)(x).reshape(3, 8, 8, 2)
    torch.testing.assert_close(up[:, ::2, ::2], x.reshape(3, 4, 4, 2))
    down = Planes((4, 4), (2,), 2, to=(1, 1), residual=True, zero=True)(x)
    torch.testing.assert_close(down, x.reshape(3, 16, 2).mean(1))
    with pytest.raises(UsageError, match="agree"):
        Planes((4, 4), (2,), 3, residual=True)


def experts(last: bool = False) -> tuple[Experts, list[nn.Module]]:
    nets = [MLP(4, 5, (6,)).double() for _ in range(3)]
    return Experts(nets, last), nets


@pytest.mark.parametrize("last", [False, True])
def test_each_class_has_its_own_net(last):
    """By hand, in any order of classes, in order (as enumerated), and where a class has no rows."""
    net, nets = experts(last)
    h = torch.randn(7, 4, dtype=torch.float64, generator=stream(0, "h"))
    for classes in ([2, 0, 1, 2, 2, 0, 1], [0, 0, 1, 1, 1, 2, 2], [2, 2, 2, 0, 0, 0, 0]):
        y = torch.eye(3, dtype=torch.float64)[classes]
        by_hand = torch.stack([nets[c](row) for c, row in zip(classes, h, strict=True)])
        torch.testing.assert_close(net(torch.cat([h, y] if last else [y, h], -1)), by_hand)


def test_rows_train_the_net_of_their_class():
    net, nets = experts()
    y = torch.eye(3, dtype=torch.float64)[[0, 2, 0]]
    net(torch.cat([y, torch.ones(3, 4, dtype=torch.float64)], -1)).sum().backward()
    moved = [any(p.grad is not None and bool(p.grad.any()) for p in mine.parameters()) for mine in nets]
    assert moved == [True, False, True]


def test_a_mixture_of_classes_is_a_weighed_sum_and_has_a_gradient():
    net, nets = experts()
    h = torch.randn(2, 4, dtype=torch.float64, generator=stream(0, "h"))
    y = torch.tensor([[0.2, 0.3, 0.5], [0.0, 1.0, 0.0]], dtype=torch.float64)
    every = torch.stack([mine(h) for mine in nets])
    torch.testing.assert_close(net(torch.cat([y, h], -1)), torch.einsum("bc,cbo->bo", y, every))
    y.requires_grad_()
    net(torch.cat([y, h], -1)).sum().backward()
    torch.testing.assert_close(y.grad, every.sum(-1).T)
    certain = torch.eye(3, dtype=torch.float64)[[2, 1]].requires_grad_()
    Experts(nets, through=True)(torch.cat([certain, h], -1)).sum().backward()
    torch.testing.assert_close(certain.grad, every.sum(-1).T)


def test_a_net_runs_on_rows_of_its_class_alone():
    """Also where the features beside the class have a gradient: a pass over classes costs what one net would."""
    net, nets = experts()
    seen = []
    for mine in nets:
        mine.register_forward_hook(lambda module, given, out: seen.append(len(given[0])))
    h = torch.zeros(4, 4, dtype=torch.float64, requires_grad=True)
    net(torch.cat([torch.eye(3, dtype=torch.float64)[[0, 2, 2, 2]], h], -1))
    assert seen == [1, 0, 3]


def test_copies_are_alike_and_apart():
    net = Experts.copies(3, MLP(4, 5, (6,)))
    first, second = (list(net.nets[i].parameters()) for i in (0, 1))
    assert all(torch.equal(a, b) and a is not b for a, b in zip(first, second, strict=True))
    assert net.phrase == "3 experts (MLP 4-6-5)"
