"""The outcome of a training, as the command line prints it."""

from __future__ import annotations

from types import SimpleNamespace

from jensen.evaluate.quantity import EVIDENCE


def test_the_outcome_is_that_of_the_kept_epoch(tmp_path):
    from jensen.cli.train import outcome

    def line(epoch, bound):
        measures = {"objective": bound, "bound": bound, "rate": 1.0, "distortion": -bound - 1.0}
        return {"event": "epoch", "epoch": epoch, "train": measures, "valid": measures}

    ended = {"event": "stopped", "reason": "early stopping", "epoch": 3, "kept_epoch": 2, "seconds": 1.0}
    run = SimpleNamespace(
        metrics=[line(1, -9.0), line(2, -5.0), line(3, -7.0), ended],
        spec={
            "split": {"sizes": {"valid": 4}},
            "choices": {"epochs": 9, "precision": "float32"},
            "players": [],
            "command": {},
        },
        path=tmp_path,
        sentence="",
        conditional=False,
        quantity=EVIDENCE,
        weights="raw",
        guide=SimpleNamespace(is_exact=True),
        model=SimpleNamespace(
            likelihood=SimpleNamespace(family=SimpleNamespace(scale_floor=None), is_quadrature=False)
        ),
        stages=(),
        device="cpu",
    )
    found = outcome(run)
    assert (found["bound"], found["kept_epoch"], found["epoch"]) == (-5.0, 2, 3)
