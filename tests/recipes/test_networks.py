"""Networks that recipes share: dense ones or convolutions, by the data, and their start."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jensen.core.batch import Rows
from jensen.core.errors import UsageError
from jensen.data import Schema
from jensen.families import DiscretizedLogistic, DiscretizedLogisticMixture, Poisson
from jensen.nets import MLP, ConvDecoder, ConvEncoder
from jensen.recipes import Nets, RecipeContext, find
from jensen.recipes.networks import conv_decoder, conv_encoder, convolves, features
from jensen.training import Optimizer

LEVELS = 256


def context(shape: tuple[int, ...], kind: str = "integers", n: int = 6) -> RecipeContext:
    size = torch.Size(shape).numel()
    x = torch.randint(0, LEVELS if kind == "integers" else 2, (n, size), generator=torch.Generator().manual_seed(0))
    schema = Schema(kind, shape, LEVELS if kind == "integers" else None)
    mean, scale = x.double().mean(0), x.double().std(0)
    return RecipeContext(schema, mean, scale, Rows(x, lambda x, g: x.float()), 10, Optimizer())


def networks(built) -> set[type]:
    kinds = (MLP, ConvEncoder, ConvDecoder)
    return {type(m) for part in (built.model, built.guide) for m in part.modules() if isinstance(m, kinds)}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((16, 16, 1), True),
        ((28, 28, 1), True),
        ((15, 40, 1), False),  # the shorter side counts
        ((8, 8, 1), False),
        ((4, 4, 3), True),  # in colour
        ((8, 8, 2), True),
        ((256,), False),
    ],
)
def test_images_that_are_large_or_in_colour_have_convolutions_by_default(shape, expected):
    of_data = context(shape)
    assert convolves(of_data, Nets()) is expected
    assert convolves(of_data, Nets(hidden=(50,))) is False  # which convolutions do not have
    assert convolves(of_data, Nets(net="mlp")) is False
    assert convolves(of_data, Nets(net="conv")) is True
    made = networks(find("vae")(of_data, latent=2, width=2 if expected else 32))
    assert made == ({ConvEncoder, ConvDecoder} if expected else {MLP})


@pytest.mark.parametrize("name", ["beta-vae", "conditional", "gan", "ladder", "pixel-vae", "vq-vae", "very-deep"])
def test_recipes_take_the_default_of_large_images(name):
    options = {"latent": 2} if "latent" in find(name).options else {}
    of_data = context((16, 16, 1), "binary")
    if name == "conditional":
        from jensen.data.labels import Labels

        y = torch.arange(6).remainder(2).numpy()
        of_data = RecipeContext(**{**vars(of_data), "labels": Labels.of(y, of_data.schema, "context", y)})
    built = find(name)(of_data, width=2, **options)
    assert any(isinstance(m, nn.Conv2d) for m in [*built.model.modules(), *built.guide.modules()])
    assert built.model.sample(2).shape[-1] == 256


@pytest.mark.parametrize(("name", "options"), [("count-vae", {}), ("miwae", {"sees_mask": True})])
def test_recipes_without_a_place_for_convolutions_stay_dense(name, options):
    assert networks(find(name)(context((16, 16, 1)), latent=2, **options)) == {MLP}
    with pytest.raises(UsageError, match="--net mlp"):
        find(name)(context((16, 16, 1)), latent=2, net="conv", **options)


@pytest.mark.parametrize("net", ["mlp", "conv"])
def test_a_decoder_starts_at_the_mean_of_the_data(net):
    """Dense or not, the bias of the locations is that of the best constant."""
    of_data = context((5, 7, 3))
    family = DiscretizedLogistic(of_data.dim, LEVELS)
    made = features(of_data, Nets(net=net, width=4), 2, family)
    bias = made.offset if isinstance(made, ConvDecoder) else made.layers[-1].bias
    start = family.start(of_data.mean).float()
    assert torch.equal(bias[: of_data.dim], start)
    # of convolutions scales start at zero, which is the standard member
    assert net == "mlp" or not bias[of_data.dim :].any()
    if isinstance(made, ConvDecoder):
        with torch.no_grad():
            made.head.weight.zero_()
            made.head.bias.zero_()
        reconstruction = family(made(torch.randn(9, 2))).mean
        torch.testing.assert_close(reconstruction, family(bias.expand(9, -1)).mean)


@pytest.mark.parametrize(("side", "patch"), [(8, 1), (9, 2), (16, 2), (17, 3), (28, 4), (32, 4), (64, 4)])
def test_the_finest_level_is_by_the_size_of_the_image(side, patch):
    of_data = context((side, side, 1), n=2)
    encode, decode = conv_encoder(of_data, Nets(width=2), 3), conv_decoder(Nets(width=2), 3, (side, side, 1), 2, True)
    first = encode.layers[0]
    assert (first.stride[0], decode.patch) == (patch, patch)
    assert decode.sizes[-1] == (-(-side // patch),) * 2
    assert decode(encode(torch.zeros(2, side * side))).shape == (2, 2 * side * side)


def test_networks_without_norm_are_those_of_earlier_versions():
    """Numbers of blocks as they were recorded, one position for each pixel, and no bias of each output."""
    of_data, nets = context((20, 20, 1), n=2), Nets(norm="none", width=4)
    encode, decode = conv_encoder(of_data, nets, 3), conv_decoder(nets, 3, (20, 20, 1), 1, True)
    for net, earlier in ((encode, ConvEncoder((20, 20, 1), 3, 4)), (decode, ConvDecoder(3, (20, 20, 1), 1, 4))):
        assert {k: v.shape for k, v in net.state_dict().items()} == {
            k: v.shape for k, v in earlier.state_dict().items()
        }
        earlier.load_state_dict(net.state_dict())
        x = torch.randn(2, 400 if net is encode else 3)
        assert torch.equal(net(x), earlier(x))
    assert not any(isinstance(m, nn.GroupNorm) for m in [*encode.modules(), *decode.modules()])


@pytest.mark.parametrize(
    ("shape", "options", "is_mixture"),
    [
        ((4, 4, 3), {}, True),
        ((16, 16, 1), {}, False),  # grey
        ((4, 4, 2), {}, False),
        ((4, 4, 3), {"net": "mlp"}, False),
        ((4, 4, 3), {"hidden": (8,)}, False),
        ((4, 4, 3), {"norm": "none"}, False),  # as earlier versions had it
        ((4, 4, 3), {"likelihood": "discretized-logistic"}, False),
        ((4, 4, 3), {"recipe": "ladder", "state": 4}, True),
        ((4, 4, 3), {"recipe": "miwae"}, False),  # whose entries may be missing within a pixel
        ((4, 4, 3), {"recipe": "count-vae", "likelihood": "poisson"}, None),
    ],
)
def test_photographs_in_colour_have_mixtures_over_channels_by_default(shape, options, is_mixture):
    of_data, name = context(shape), options.get("recipe", "vae")
    size = {} if name == "ladder" else {"latent": 2}
    rest = {k: v for k, v in options.items() if k != "recipe"}
    model = find(name)(of_data, width=4, **size, **rest).model
    if is_mixture is None:
        assert isinstance(model.likelihood.family, Poisson)
        return
    kind = DiscretizedLogisticMixture if is_mixture else DiscretizedLogistic
    assert isinstance(model.likelihood.family, kind)
    few = next(of_data.rows.batches(3))
    assert torch.isfinite(model.log_joint(few, torch.zeros(1, 3, model.latent))).all()
