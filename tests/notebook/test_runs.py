"""A run in a notebook: its numbers with kinds, its pictures, and what to type next."""

from __future__ import annotations

import jensen
from jensen.notebook import runs as cards
from jensen.notebook.runs import of_group, of_run


def test_a_run_of_images_shows_its_number_and_pictures(run):
    card = of_run(run)
    assert card.title == "3-feature VAE on small.npz"
    assert card.sentence.startswith("240 images of small.npz; 2 epochs in 0:0")
    assert card.numbers[0].kind == "nats per datum, stochastic lower bound; ± over data"
    assert [panel.tiles for panel in card.panels] == [True, True, False, False, False]
    assert "3-feature VAE on small.npz" in run._repr_html_()
    assert any("jensen.report.write" in note for note in card.notes)


def test_a_run_without_an_evaluation_shows_what_training_measured(flat):
    card = of_run(flat)
    number = card.numbers[0]
    assert (number.name, number.value) == ("log p(x) ≥", f"{flat.metrics[-2]['valid']['bound']:.2f}")
    assert "lower bound, validation rows of epoch 2, without an error" in number.kind
    assert any("Not evaluated yet" in note for note in card.notes)
    assert len(card.panels) == 2


def test_rows_that_are_too_many_are_not_read(run, monkeypatch):
    monkeypatch.setattr(cards, "LARGEST", 10)
    monkeypatch.setattr(type(run), "part", None)  # which would fail
    card = of_run(jensen.load(run.path))
    assert any("were not read" in note for note in card.notes)
    assert len(card.panels) == 3  # samples, the bound over epochs and over K


def test_a_group_shows_mean_and_spread_over_seeds(images, tmp_path):
    group = jensen.train(images, latent=2, epochs=1, hidden=(6,), seeds=2, out=tmp_path / "g")
    card = of_group(group)
    assert [row[0] for row in card.tables[0].rows] == group.names
    assert "± over 2 seeds" in card.numbers[0].kind
    assert repr(group) == f"RunGroup({str(group.path)!r}: 2 of 2 members done)"
