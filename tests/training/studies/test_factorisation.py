"""Kernels in parts, heads, units: what is compared has the parameters that it is said to have."""

import keras
import numpy as np
import pytest

from training.ledger.summary import FINAL, Summary
from training.studies import __main__ as reproduce
from training.studies import factorisation
from training.studies.effects import sentence
from training.studies.forms import Table

pytestmark = pytest.mark.neutral

FORMS = factorisation.STUDY.forms(None)


def test_networks_have_fewer_or_equally_many_parameters():
    found = {form.label: factorisation.network(form.label) for form in FORMS}
    assert all(model.output_shape == (None, 10) for model in found.values())
    counts = {label: model.count_params() for label, model in found.items()}
    # Two of the four kernels lead from C to C channels: 18 C² for 25 C².
    assert counts["whole"] - counts["stacked"] == (25 - 18) * (32**2 + 64**2)
    assert counts["separable"] < counts["bottleneck"] < counts["stacked"]
    assert counts["nin_dense"] == counts["nin_dropout"] > counts["nin_mean"]
    for label in ("pyramid", "rir"):
        assert counts[label] == pytest.approx(counts["resnet"], rel=0.03)


def test_a_deleted_unit_leaves_its_shortcut_and_comes_back():
    inputs = keras.Input((2,))
    x = inputs
    # The first branch turns the answer round, the second adds nothing.
    for stage, added in ((1, [5.0, 0.0]), (2, [0.0, 0.0])):
        branch = keras.layers.Dense(2, kernel_initializer="zeros", name=f"dense{stage}")
        norm = keras.layers.BatchNormalization(name=factorisation.HALVING["resnet"].format(stage))
        x = keras.layers.Add()([x, norm(branch(x))])
        branch.bias.assign(added)
    model, x = keras.Model(inputs, x), np.array([[0.0, 1.0]] * 4, "float32")
    labels = np.array([0, 0, 0, 1])
    before = model.predict(x, verbose=0)
    lost = factorisation.without_halving(model, factorisation.HALVING["resnet"], x, labels)
    assert lost == [50.0, 0.0]
    assert (model.predict(x, verbose=0) == before).all()


@pytest.mark.parametrize("label", factorisation.HALVING)
def test_the_norms_of_halving_units_are_there(label):
    model = factorisation.network(label)
    for stage in (1, 2):
        norm = model.get_layer(factorisation.HALVING[label].format(stage))
        (after,) = (node.operation for node in norm._outbound_nodes)
        assert isinstance(after, keras.layers.Add)
        assert after.output.shape[1] == 16 // 2**stage


def test_a_network_is_trained_and_told_in_its_group(toy_cifar, tmp_path):
    command = ["factorisation", f"--data-dir={toy_cifar}/cifar10.npz", "--arms=separable"]
    assert reproduce.main([*command, "--seeds=1", "--epochs=1", f"--out={tmp_path}"]) == 0
    said = (tmp_path / "factorisation.md").read_text(encoding="utf-8")
    assert "**kernels of 5 x 5 and their parts, 1 epochs**" in said
    assert "| separable |" in said


def test_claims_are_of_accuracy_and_of_what_a_deleted_unit_costs():
    lost = {"resnet": 40.0, "pyramid": 20.0}
    measured = []
    for form in FORMS:
        seeds = {seed: {FINAL: 0.6 + 0.001 * seed} for seed in range(form.seeds or 2)}
        if form.label in lost:
            seeds = {k: {**m, factorisation.LOST: lost[form.label] + k} for k, m in seeds.items()}
        measured.append(Summary(form.label, seeds))
    *first, last = (
        sentence(*claim) for claim in factorisation.STUDY.claims(Table(FORMS, measured), None)
    )
    assert len(first) == 7
    assert "against four convolutions, 5 x 5: equal to within 1 point" in first[0]
    assert "PyramidNet against ResNet: cheaper; -20.00 ±" in last
