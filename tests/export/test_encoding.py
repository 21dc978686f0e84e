"""The encoder's graph: q(z | x) as the run has it, points of it from noise, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jensen.core.errors import CompositionError
from jensen.export.encoding import encoder_graph, sampler_graph
from jensen.export.preparing import prepared_batch
from jensen.runs.export import subject_of
from tests.export.conftest import pixels, table_text


def inputs(graph, n=5):
    arrays = {"x": pixels()[:n, :, :, None], "label": np.arange(n) % 3, "noise": np.zeros((n, 3), np.float32)}
    arrays["uniform"] = np.full((n, 3, 3, 1), 0.5)
    return {port.name: arrays[port.name] for port in graph.inputs}


@pytest.mark.parametrize(
    ("recipe", "outputs"),
    [
        ("vae", ["mean", "scale"]),
        ("vq-vae", ["indices", "z"]),
        ("ladder", ["mean", "scale"]),
        ("ppca", ["mean", "scale"]),
        ("gmm", ["mean"]),
        ("gumbel", ["mean"]),
        ("convolutions", ["mean", "scale"]),
    ],
)
def test_module_gives_what_the_run_gives(trained_run, recipe, outputs):
    graph = encoder_graph(subject_of(trained_run(recipe)))
    arrays = inputs(graph)
    with torch.no_grad():
        actual = graph.module(**graph.tensors(arrays))
    expected = graph.expected(arrays)
    assert [port.name for port in graph.outputs] == outputs
    for port, value in zip(graph.outputs, actual, strict=True):
        assert value.shape[1:] == port.shape
        torch.testing.assert_close(value, torch.from_numpy(expected[port.name]))


def test_mean_is_what_the_run_encodes(trained_run):
    run = trained_run("vae")
    graph = encoder_graph(subject_of(run))
    expected = graph.expected({"x": pixels()[:, :, :, None]})
    np.testing.assert_allclose(expected["mean"], run.encode(pixels()), rtol=1e-5, atol=1e-6)


def test_scale_is_the_standard_deviation_and_noise_is_scaled_by_it(trained_run):
    subject = subject_of(trained_run("vae"))
    graph = sampler_graph(subject)
    latent = subject.model.latent
    arrays = {**inputs(graph), "noise": np.linspace(-2, 2, 5 * latent, dtype=np.float32).reshape(5, latent)}
    with torch.no_grad():
        base = subject.guide(prepared_batch(subject, arrays)).base_dist
        (z,) = graph.module(**graph.tensors(arrays))
    torch.testing.assert_close(z, base.loc + base.scale * torch.from_numpy(arrays["noise"]))
    scale = encoder_graph(subject).expected(arrays)["scale"]
    torch.testing.assert_close(torch.from_numpy(scale), base.scale)
    assert float((base.scale - 1).abs().max()) > 0.01  # so that its square differs


def test_without_noise_a_ladder_gives_its_means(trained_run):
    subject = subject_of(trained_run("ladder"))
    sampler, encoder = sampler_graph(subject), encoder_graph(subject)
    arrays = inputs(sampler)
    np.testing.assert_allclose(sampler.expected(arrays)["z"], encoder.expected(arrays)["mean"], rtol=1e-5, atol=1e-6)


def test_probabilities_of_classes_have_no_sampler(trained_run):
    subject = subject_of(trained_run("gmm"))
    assert encoder_graph(subject).outputs[0].meaning.startswith("probabilities of the classes")
    assert sampler_graph(subject) is None


def test_codes_have_no_sampler(trained_run):
    assert sampler_graph(subject_of(trained_run("vq-vae"))) is None


@pytest.mark.parametrize(("recipe", "reason"), [("iaf", "no mean and scale in closed form"), ("gan", "no encoder")])
def test_what_has_no_graph_is_refused_with_the_reason(trained_run, recipe, reason):
    with pytest.raises(CompositionError, match=reason):
        encoder_graph(subject_of(trained_run(recipe)))


def test_table_has_a_column_of_every_kind():
    assert table_text().startswith("age,sex,size,income,share,start,when\n")
