"""The decoder's graph: mean and parameters of p(x | z) in the data's own units, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jensen.core.errors import CompositionError
from jensen.export.decoding import decoder_graph
from jensen.runs.export import subject_of


@pytest.mark.parametrize("recipe", ["vae", "conditional", "table", "ladder"])
def test_module_gives_what_the_run_gives(trained_run, recipe):
    run = trained_run(recipe)
    graph = decoder_graph(subject_of(run))
    z = np.random.default_rng(0).standard_normal((5, run.model.latent)).astype(np.float32)
    arrays = {"z": z, "label": np.arange(5) % 3}
    with torch.no_grad():
        actual = graph.module(**graph.tensors(arrays))
    expected = graph.expected(arrays)
    for port, value in zip(graph.outputs, actual, strict=True):
        assert value.shape[1:] == port.shape
        np.testing.assert_allclose(value.numpy(), expected[port.name], rtol=2e-4, atol=1e-5)


def test_integers_have_their_location_in_levels(trained_run):
    run = trained_run("vae")
    graph = decoder_graph(subject_of(run))
    with torch.no_grad():
        mean, location, scale = graph.module(torch.zeros(2, 2))
    assert [port.name for port in graph.outputs] == ["mean", "location", "scale"]
    assert mean.shape == (2, 3, 3, 1)
    top = run.schema.levels - 1
    assert ((mean >= 0) & (mean <= top)).all()
    assert (scale > 0).all()
    assert location.shape == (2, 9)


def test_likelihood_of_positions_is_refused(trained_run):
    with pytest.raises(CompositionError, match="product over positions"):
        decoder_graph(subject_of(trained_run("pixel-vae")))
