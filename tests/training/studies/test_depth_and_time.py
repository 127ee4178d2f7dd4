"""Depth and time at equal parameters, and films: what is compared, and how it is counted."""

import argparse

import numpy as np
import pytest

from training.ledger.summary import FINAL, Summary
from training.studies import __main__ as reproduce
from training.studies import depth_and_time, moving_mnist
from training.studies.forms import Form, Table


@pytest.mark.parametrize("kind", depth_and_time.KINDS)
def test_networks_have_the_parameters_that_are_counted(kind):
    model = depth_and_time.network(kind, 6)
    assert model.count_params() == depth_and_time.parameters(kind, 6)
    assert model.output_shape == (None, 10)


@pytest.mark.neutral
def test_parameters_are_equal_to_a_few_percent():
    found = {
        kind: depth_and_time.parameters(kind, depth_and_time.units_of(kind))
        for kind in depth_and_time.KINDS
    }
    assert all(abs(n / depth_and_time.PARAMETERS - 1) < 0.06 for n in found.values()), found


def test_a_network_learns_rows(digits, tmp_path):
    command = ["depth_and_time", "--arms=residual", "--seeds=1", "--epochs=3", "--limit=200"]
    assert reproduce.main([*command, f"--out={tmp_path}"]) == 0
    said = (tmp_path / "depth_and_time.md").read_text()
    units = depth_and_time.units_of("residual")
    counted = depth_and_time.parameters("residual", units)
    assert f"| RecurrentResidual of an LSTM | {units} | {counted:,} |" in said
    assert (tmp_path / "depth_and_time.png").exists()


@pytest.mark.neutral
def test_claims_are_against_lstms_one_on_another():
    forms = depth_and_time.STUDY.forms(None)
    measured = [
        Summary(f.label, {seed: {FINAL: 0.9 + 0.01 * i + 0.001 * seed} for seed in range(2)})
        for i, f in enumerate(forms)
    ]
    claims = list(depth_and_time.STUDY.claims(Table(forms, measured), None))
    assert [round(effect.mean) for _, effect in claims] == [1, 2, 3, 4, 5, 1]


@pytest.mark.neutral
def test_cross_entropy_is_the_sum_over_a_film():
    logits = np.zeros((3, 10, 32, 32, 1), "float32")
    assert moving_mnist.nats(logits, np.ones_like(logits)) == pytest.approx(10_240 * np.log(2))
    assert moving_mnist.nats(logits + 50, np.ones_like(logits)) == pytest.approx(0, abs=1e-9)


@pytest.mark.neutral
def test_films_are_halved(digits):
    seen, to_come = moving_mnist.films("train", 2, argparse.Namespace(data_dir=None))
    assert seen.shape == to_come.shape == (2, 10, 32, 32, 1)
    assert 0.1 < seen.mean() < 0.4


def test_a_film_is_continued_and_told_in_nats(digits, monkeypatch, tmp_path):
    monkeypatch.setattr(moving_mnist, "TESTED", 4)
    small = {"filters": (2,), "kernel_size": 1, "patch_size": 16}
    form = Form("plain", "", "small", {**small, "peephole": None})
    monkeypatch.setattr(moving_mnist.MovingMnist, "forms", lambda self, a: [form])
    command = ["moving_mnist", "--seeds=1", "--epochs=1", "--limit=16", f"--out={tmp_path}"]
    assert reproduce.main(command) == 0
    said = (tmp_path / "moving_mnist.md").read_text()
    assert "Telling one half everywhere costs 7,098 nats a film." in said
    assert (tmp_path / "moving_mnist.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.neutral
def test_lower_nats_are_told_as_lower():
    forms = [Form(label, "") for label in moving_mnist.FORMS]
    nats = {"peepholes": (900.0, 910.0), "plain": (920.0, 915.0), "fc": (1500.0, 1490.0)}
    measured = [Summary(k, {i: {"nats": x} for i, x in enumerate(v)}) for k, v in nats.items()]
    from training.studies.effects import sentence

    first, *_ = moving_mnist.STUDY.claims(Table(forms, measured, key="nats"), None)
    assert sentence(*first).startswith("ConvLSTM against FC-LSTM: lower; -590.00 ±")
    assert "nats a film (4 trainings" in sentence(*first)
