"""Trained networks made recurrent and trained on: what is compared with what."""

import pytest

from keras_recres import zoo
from keras_recres.models import multiply_adds, recurrent
from training import errors
from training.fit import in_depth as rules_of
from training.fit import loop as fit
from training.ledger import filed_runs
from training.studies import __main__ as reproduce
from training.studies import in_depth

pytestmark = pytest.mark.neutral


def asked(run, a):
    return fit.arguments(run.command(a)[3:])


@pytest.mark.slow
def test_arms_are_compared_for_what_they_cost(tmp_path):
    a = in_depth.STUDY.parse([f"--out={tmp_path}", "--seeds=1"])
    options = {run.label: asked(run, a) for run in in_depth.STUDY.runs(a)}
    assert {arm: options[arm].epochs for arm in ("twice", "once", "rank_16")} == {
        "twice": 4,
        "once": 5,
        "rank_16": 2,
    }
    built, products = {}, {}
    for label, name in (("twice", "vit3"), ("rank_16", "vit7"), ("dropped", "vit7")):
        model = zoo.build(name, tag="cifar10_jpeg")
        built[label], _ = recurrent(model, rules_of.parse(options[label]), verbose=False)
        products[label] = multiply_adds(built[label]).total
        products[name] = multiply_adds(model).total
    ratio = products["twice"] / products["vit3"]
    # A half of the epochs once, the other twice.
    assert (1 + ratio) / 2 == pytest.approx(in_depth.LONGER, abs=0.001)
    assert products["rank_16"] == products["vit7"]
    assert products["dropped"] == products["vit7"] - 4 * 9_060_864
    assert built["rank_16"].count_params() == 2_135_040


def test_what_was_trained_is_told_and_kept_apart(empty_zoo, tmp_path):
    command = [f"--out={tmp_path}", "--report", "--precision=float32", "--arms", "once", "twice"]
    a = in_depth.STUDY.parse([*command, "--epochs=1"])
    values = {"once": (0.70, 0.702), "twice": (0.712, 0.714)}
    for run in in_depth.STUDY.runs(a):
        settings = fit.settings_of(asked(run, a), run.name, "cifar10_jpeg")
        accuracy = values[run.label][run.seed]
        metrics = {"val_accuracy": accuracy, "settings": settings, "trainable_parameters": 1000}
        filed_runs.give(run, metrics)
    told = ["in_depth", *command, "--epochs=1", "--record"]
    assert errors.run(reproduce.main, told) == 0
    text = (tmp_path / "in_depth.md").read_text()
    assert "| vit3 trained on | 1,000 | 1 | 70.10 ± 0.14 | 2 |" in text
    assert "for as much computation: more accurate; +1.20 ± 0.14" in text
    assert "vit7" not in text
    # No seed of the row of vit3 is among them.
    filed = filed_runs.read(filed_runs.CONTROLS)
    assert [m["settings"]["deepen"][:3] for m in filed] == ["*=1", "*=1", "*=2", "*=2"]
    assert filed_runs.read() == []
    # Elsewhere they count, also those whose steps the recipe draws.
    elsewhere = ["in_depth", f"--out={tmp_path / 'there'}", *command[1:], "--epochs=1"]
    assert errors.run(reproduce.main, [*elsewhere, "--adopt=cifar10_jpeg"]) == 0
    assert (tmp_path / "there" / "in_depth.md").read_text() == text
