"""What codes are worth, on planted ones, and from a run to its report."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import jensen
from jensen.analysis import disentanglement
from jensen.cli import main
from jensen.core.errors import CompositionError, CorruptRunError, DataError
from jensen.data import read
from jensen.report import write
from jensen.report.facts import gather
from jensen.report.representation import representation as table
from jensen.runs import represent as representation
from jensen.runs.represent import clusters, probe, represent
from jensen.storage.files import write_json
from tests.records import fields

RNG = np.random.default_rng(0)
CLASSES = np.repeat(np.arange(4), 100)
PLACES = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]])
PAIR = (CLASSES[::2], CLASSES[1::2])
FAR = tuple(PLACES[t] + RNG.standard_normal((len(t), 2)) for t in PAIR)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape)


# ---------------------------------------------------------------- planted codes


def test_a_probe_reads_what_is_there_whatever_its_scale():
    result = probe("labels", tuple(c * [1e-4, 1e3] for c in FAR), PAIR)
    assert (result.value, result.chance, result.stderr) == (1.0, 0.25, 0.0)


def test_a_probe_of_noise_is_at_chance():
    """Within 4 standard errors of 200 rows."""
    result = probe("labels", (noise(200, 2), noise(200, 2)[::-1]), PAIR)
    assert abs(result.value - 0.25) < 4 * (0.25 * 0.75 / 200) ** 0.5
    assert result.stderr == pytest.approx((result.value * (1 - result.value) / 200) ** 0.5)


def test_a_guess_is_that_of_the_fitted_rows():
    """The class that is most frequent there is a tenth of the scored rows here."""
    known, truth = np.repeat([0, 1], [90, 10]), np.repeat([0, 1], [10, 90])
    assert probe("labels", (noise(100, 1), noise(100, 1)), (known, truth)).chance == pytest.approx(0.1)
    with pytest.raises(DataError, match="labels of the fitted rows are of a single class"):
        probe("labels", (noise(100, 1), noise(100, 1)), (np.zeros(100), truth))


def test_a_line_cannot_read_what_is_crossed():
    """Exclusive or: the clusters know it, a linear probe does not."""
    truth = tuple(np.isin(t, (1, 2)).astype(int) for t in PAIR)
    assert probe("labels", FAR, truth).value < 0.8
    assert probe("labels", tuple(np.hstack([c, c[:, :1] * c[:, 1:]]) for c in FAR), truth).value > 0.95


def test_clusters_that_are_the_classes():
    """Under any names of the classes."""
    for rename in (np.array([0, 1, 2, 3]), np.array([7, -3, 100, 5])):
        right, nmi, ari = clusters("labels", FAR, tuple(rename[t] for t in PAIR))
        assert [s.value for s in (right, nmi, ari)] == pytest.approx([1.0, 1.0, 1.0])
        assert right.chance == pytest.approx(0.25, abs=0.1)
        assert nmi.chance < 0.06
        assert abs(ari.chance) < 0.03


def test_clusters_that_merge_classes_by_hand():
    """Two clusters in four places, and two classes of which each has one place in either: accuracy 1/2, NMI and ARI
    of an even table."""
    codes = tuple(PLACES[t] * [10, 1] for t in PAIR)
    right, nmi, ari = clusters("labels", codes, tuple(t // 2 for t in PAIR))
    assert right.value == 0.5
    assert nmi.value == pytest.approx(0.0, abs=1e-12)
    assert ari.value == pytest.approx(-0.00502, abs=1e-4)  # pairs in excess of chance, of 200 rows: -1/199


def test_clusters_are_matched_on_fitted_rows_alone():
    """Scored labels that are shifted by one class are wrong, however well they would match."""
    right, nmi, _ = clusters("labels", FAR, (PAIR[0], (PAIR[1] + 1) % 4))
    assert (right.value, nmi.value) == (0.0, pytest.approx(1.0))
    strange = clusters("labels", FAR, (PAIR[0], np.full(200, 9)))
    assert strange[0].value == 0.0  # a class that no fitted row has


def test_codes_without_clusters():
    with pytest.raises(DataError, match="different codes"):
        clusters("labels", (np.zeros((200, 2)), FAR[1]), PAIR)


# ---------------------------------------------------------------- from a run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An exact principal component analysis: a training without steps."""
    return jensen.train("digits", recipe="ppca", latent=8, out=tmp_path_factory.mktemp("represent") / "run")


def test_labels_of_a_run(run):
    result = represent(run)
    assert {s.name for s in result.scores} == {"linear probe", "k-means accuracy", "k-means NMI", "k-means ARI"}
    assert all(s.of == "labels" and s.value > s.chance + 0.3 for s in result.scores)
    split = run.split()
    assert (result.fitted[0], result.scored[0], result.size) == (len(split.train), len(split.test), 8)
    assert result.to_dict() == represent(run).to_dict()


def test_given_rows_are_halved_without_overlap(run, monkeypatch):
    seen = []
    monkeypatch.setattr(representation, "probe", lambda name, codes, truth: seen.append(codes) or score())
    monkeypatch.setattr(representation, "clusters", lambda *given: [])
    some, labels = read("digits").x[1:].reshape(-1, 8, 8, 1), read("digits").labels[1:]
    result = represent(run, some, labels=labels, seed=1)
    (fitted, scored), every = seen[0], run.encode(some)
    assert result.fitted[0] + result.scored[0] == len(fitted) + len(scored) == 1796
    assert np.array_equal(np.sort(np.vstack([fitted, scored]), 0), np.sort(every.astype(float), 0))
    assert any("were trained on" in note for note in result.notes)


def score() -> representation.RepresentationScore:
    return representation.RepresentationScore("linear probe", "labels", 1.0, 0.1)


def test_rows_that_occur_twice_are_told(run, tmp_path):
    digits = read("digits")
    np.savez(
        tmp_path / "twice.npz", x=np.tile(digits.x[:60], (2, 1)).reshape(-1, 8, 8), y=np.tile(digits.labels[:60], 2)
    )
    assert any("among the fitted" in note for note in represent(run, tmp_path / "twice.npz").notes)


def test_rows_without_labels_are_refused(run, tmp_path):
    np.save(tmp_path / "bare.npy", read("digits").x[:50].reshape(-1, 8, 8))
    with pytest.raises(DataError, match="neither labels nor factors"):
        represent(run, tmp_path / "bare.npy")
    np.savez(tmp_path / "few.npz", x=read("digits").x[:12].reshape(-1, 8, 8), y=np.arange(12))
    with pytest.raises(DataError, match="too few"):
        represent(run, tmp_path / "few.npz")


def test_rows_of_unknown_label_play_no_part(run, tmp_path):
    digits = read("digits")
    labels = digits.labels.copy()
    labels[::2] = -1
    np.savez(tmp_path / "some.npz", x=digits.x.reshape(-1, 8, 8)[1:], y=labels[1:])
    result = represent(run, tmp_path / "some.npz")
    probed = result.scores[0]
    assert probed.value > 0.8
    assert probed.stderr == pytest.approx((probed.value * (1 - probed.value) / 450) ** 0.5, rel=0.1)
    said = next(note for note in result.notes if note.startswith("labels are known of "))
    fitted, scored = (int(n) for n in re.findall(r"(\d+) of 898", said))
    assert fitted + scored == (labels[1:] >= 0).sum()
    assert f"{probed.stderr:.9f}" == f"{(probed.value * (1 - probed.value) / scored) ** 0.5:.9f}"


def test_complete_labels_need_no_note(run):
    assert not any("are known of" in note for note in represent(run).notes)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Principal components of the sprites, some rows of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disentanglement, "TREES", 3)
        patch.setattr(representation, "MOST", 400)
        out = tmp_path_factory.mktemp("made") / "run"
        run = jensen.train("sprites", recipe="ppca", latent=6, out=out)
        yield run


@pytest.mark.usefixtures("unrendered")
def test_factors_of_a_run_from_the_command_line_to_the_report(made, capsys):
    assert main(["represent", str(made.path), "--quiet"]) == 0
    output = capsys.readouterr().out
    for words in (
        "linear probe",
        "rotation",
        "MIG",
        "chance",
        "fitted to 400 of 3277 training",
        "scored on 400 of 409 test",
        "seed 0",
    ):
        assert words in output
    path = made.path / "representation.json"
    record = json.loads(path.read_text())  # as --json prints it
    values = {(s["name"], s["of"]): s["value"] for s in record["scores"]}
    assert ("k-means accuracy", "shape") in values  # the labels are that factor
    assert ("linear probe", "labels") not in values
    assert {name for name, of in values if of == "factors"} == {
        "MIG",
        "SAP",
        "DCI disentanglement",
        "DCI completeness",
        "DCI informativeness",
        "FactorVAE score",
    }
    assert (record["fitted"]["n"], record["scored"]["n"]) == (400, 400)
    assert "FactorVAE score" in write(made).read_text()
    facts = gather(made, False)
    held = fields(path)
    path.write_text("{}")
    with pytest.raises(CorruptRunError, match="jensen represent"):
        table(facts, {})
    write_json(path, held | {"weights_sha256": "other"})
    assert table(facts, {}) is None  # of other weights


def test_a_model_without_an_encoder_is_refused(tmp_path):
    run = jensen.train("digits", recipe="gan", epochs=1, out=tmp_path / "run")
    with pytest.raises(CompositionError, match="no encoder"):
        represent(run)


def test_no_warning_leaks_from_codes_that_hardly_differ():
    """Warnings are errors in the tests: k-means finds fewer clusters than there are classes."""
    codes = np.vstack([np.zeros((30, 2)), np.full((1, 2), 1e-300)])
    truth = np.arange(31) % 2
    assert representation.clusters("labels", (codes, codes), (truth, truth))[0].name == "k-means accuracy"
    assert representation.probe("labels", (codes * 1e250, codes), (truth, truth)).value <= 1
