"""Tied or untied steps, with shortcuts or without: equal parameters, and the interaction."""

import types

import numpy as np
import pytest

from keras_recres import zoo
from keras_recres.models import multiply_adds
from tests.marks import slow_on_tensorflow
from training.ledger.summary import FINAL, Summary
from training.studies import __main__ as reproduce
from training.studies import planar_nets, tied_convnets, tied_planar, tying
from training.studies.effects import sentence
from training.studies.forms import Form, Table


@pytest.mark.neutral
def test_the_arms_in_the_plane_have_the_parameters_that_they_are_compared_for():
    counts = {arm: made.parameters for arm, made in tied_planar.ARMS.items()}
    assert counts == {"tied": 72, "untied": 72, "narrow": 6, "once": 72}


@pytest.mark.neutral
def test_convolutional_arms_have_equal_parameters_or_equal_width():
    forms = tied_convnets.STUDY.forms(None)
    built = {f.label: zoo.build(f.name, tag="cifar10", **f.arguments) for f in forms}
    counts = {arm: model.count_params() for arm, model in built.items()}
    products = {arm: multiply_adds(model).total for arm, model in built.items()}
    for net in tying.NETS:
        tied, untied, narrow, once = (tying.label(arm, net) for arm in tied_convnets.ARMS)
        assert counts[tied] == pytest.approx(counts[untied], rel=0.01)
        # Without the norms of four steps more.
        assert counts[once] == counts[tied] - 4 * 2 * 4 * (16 + 32 + 65)
        assert products[narrow] == products[untied] < products[tied] / 4
        assert counts[narrow] < counts[untied] / 3
    # A shortcut has no parameter.
    assert counts["tied_plain"] == counts["tied_residual"]


@pytest.mark.neutral
def test_the_interaction_is_the_difference_of_the_differences():
    means = {"tied_residual": 90, "untied_residual": 80, "tied_plain": 70, "untied_plain": 72}
    rng = np.random.default_rng(0)
    values = {label: mean + rng.normal(size=5) for label, mean in means.items()}
    measured = [
        Summary(label, {seed: {FINAL: y / 100} for seed, y in enumerate(drawn)})
        for label, drawn in values.items()
    ]
    found = list(tying.claims(Table([Form(label, "") for label in means], measured)))
    # The arms of the other contrasts are not there.
    with_shortcuts, without, both = (claim[1] for claim in found)
    assert both.mean == pytest.approx(with_shortcuts.mean - without.mean)
    # Four means of five seeds each, whose differences share nothing.
    assert both.error == pytest.approx(2**0.5 * without.error)
    said = sentence(*found[-1])
    assert "with shortcuts less that without: shortcuts suit tied steps more; +1" in said
    assert "20 trainings" in said


def test_networks_of_more_neurons_have_two_logits_and_plain_ones_no_shortcut():
    rng = np.random.default_rng(0)
    x = np.pad(rng.normal(size=(6, 1, 2)), ((0, 0), (0, 0), (0, 1))).astype("float32")
    y = np.arange(6)[:, None] % 2
    arm = types.SimpleNamespace(depth=1, steps=2)
    found = planar_nets.train(arm, x, y, steps=100, scale=None, shortcut="none")
    ((kernel, bias),) = found.weights
    for _ in range(2):
        x = np.tanh(np.einsum("bsi,sij->bsj", x, kernel) + bias)
    log_p = x[..., :2] - np.logaddexp(x[..., :1], x[..., 1:2])
    wanted = -np.take_along_axis(log_p, y[..., None], -1).mean()
    assert found.loss[0] == pytest.approx(wanted, abs=1e-5)


@slow_on_tensorflow
def test_the_plane_is_measured_and_told_again(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(planar_nets, "REPEATS", 2)
    command = ["tied_planar", "--seeds=2", "--steps=2", f"--out={tmp_path}"]
    assert reproduce.main(command) == 0
    said = capsys.readouterr().out
    assert "Tied against untied steps at equal parameters, without: " in said
    assert (
        "| narrow, with shortcuts | 2 | 1 × 12 | 6 |" in (tmp_path / "tied_planar.md").read_text()
    )
    assert (tmp_path / "tied_planar.png").read_bytes().startswith(b"\x89PNG")
    assert reproduce.main([*command, "--report"]) == 0
    assert capsys.readouterr().out.split() == said.split()
