"""Studies of narrow networks at 16 x 16 pixels: what is trained, measured and said."""

import json

import numpy as np
import pytest

from keras_recres import models, zoo
from keras_recres.backend import keras_private
from training import errors
from training.fit import loop as fit
from training.fit import options
from training.ledger.summary import FINAL
from training.studies import __main__ as reproduce
from training.studies import cifar16, degradation, lesion, shortcuts

pytestmark = pytest.mark.neutral
SETTINGS = {"tag": "cifar10_jpeg", "epochs": 12, "limit": None, "precision": "float32"}


def made(run, accuracy, loss, **settings):
    """A finished training in its folder."""
    run.path.mkdir(parents=True)
    metrics = {FINAL: accuracy + 0.002 * run.seed, cifar16.LOSS: loss + 0.01 * run.seed}
    metrics["settings"] = {**SETTINGS, "backend": "torch", **settings}
    (run.path / "metrics.json").write_text(json.dumps(metrics))


def reported(study, out, capsys, *more):
    assert errors.run(reproduce.main, [study, f"--out={out}", "--report", *more]) == 0
    assert (out / f"{study}.png").read_bytes().startswith(b"\x89PNG")
    return capsys.readouterr().out


def test_arms_differ_in_what_they_are_called_by():
    counts = {}
    for study in (degradation.STUDY, shortcuts.STUDY):
        for form in study.forms(study.parse([])):
            # At 8 layers all have what they differ by.
            arguments = {**form.arguments, "depth": 8}
            with keras_private.values_given_later():
                model = zoo.build(form.name, tag="cifar10_jpeg", **arguments)
            assert (model.input_shape, model.output_shape) == ((None, 16, 16, 3), (None, 10))
            counts[form.label] = model.count_params()
    gates, conv = {"exclusive_gate", "shortcut_gate"}, {"conv"}
    kernels = 3 * 8 + 2 * 8 * 8 + 8 * 16 + 16 * 16 + 16 * 32 + 32 * 32
    count = 9 * kernels + 4 * (3 * 8 + 2 * 16 + 2 * 32) + 33 * 10
    assert {counts[label] for label in {*counts} - gates - conv} == {count}
    # A 1 x 1 convolution a unit; that of a gate has a bias.
    assert counts["conv"] == count + 8 * 8 + 8 * 16 + 16 * 32
    assert {counts[label] for label in gates} == {count + 8 * 9 + 16 * 17 + 32 * 33}


def test_lesion_takes_the_trainings_of_the_two_other_studies(tmp_path):
    def trainings(study):
        a = study.parse([f"--out={tmp_path / study.name}"])
        for run in study.runs(a):
            asked = fit.arguments(run.command(a)[3:])
            yield run.path, options.settings_of(asked, run.name, "cifar10_jpeg")

    known = {**dict(trainings(shortcuts.STUDY)), **dict(trainings(degradation.STUDY))}
    assert all(settings["averaged"] == 2 for settings in known.values())
    taken = dict(trainings(lesion.STUDY))
    assert len(taken) == 4
    assert {path: known[path] for path in taken} == taken


def test_degradation_is_told_in_nats(tmp_path, capsys):
    losses = {"plain20": 1.0, "plain56": 1.5, "resnet20": 0.9, "resnet56": 0.8}
    for run in degradation.STUDY.runs(degradation.STUDY.parse([f"--out={tmp_path}"])):
        made(run, 0.6, losses[run.label])
        (run.path / "log.csv").write_text("epoch,loss\n0,2.0\n1,1.0\n")
        std = 1 + run.seed + ("56" in run.label)
        (run.path / degradation.RESPONSES).write_text(f"layer,std,rank\na,{std},1\nb,{std},2\n")
    said = reported("degradation", tmp_path, capsys)
    assert "Training loss of plain networks, 56 layers against 20: higher; +0.50 ± 0.0" in said
    assert "Training loss of residual networks, 56 layers against 20: lower; -0.10 ± 0.0" in said
    assert "Responses of residual networks, 56 layers against 20: not decided; +1.00" in said
    assert "2.500" in said  # The mean deviation of both seeds at 56 layers.


def test_shortcuts_stand_in_two_tables_that_share_the_identity(tmp_path, capsys):
    study = shortcuts.STUDY
    for run in study.runs(study.parse([f"--out={tmp_path}"])):
        made(run, 0.4 if run.label == "dropout" else 0.6, 1.0, epochs=6)
    said = reported("shortcuts", tmp_path, capsys, "--arms", "dropout", "relu_only")
    assert "Dropout of a half against the identity, test accuracy: less accurate; -20.00" in said
    assert (
        "before the convolutions against the identity, test accuracy: equal to within 1 p" in said
    )
    text = (tmp_path / "shortcuts.md").read_text(encoding="utf-8")
    assert text.count("| identity, ReLU after the sum | 216,578 | 1.00 ± 0.01 | 60.10") == 2
    one = "| ReLU alone before the convolutions | 216,578 | 1.00 | 60.00 | -0.10 ± 0.17 | 1 |"
    assert text.count(one) == 1
    assert "exclusive" not in text
    assert "the others have one seed" in text


@pytest.mark.slow
def test_a_network_is_trained_and_its_responses_are_measured_once(toy_cifar, tmp_path, capsys):
    out = tmp_path / "degradation"
    command = ["degradation", f"--data-dir={toy_cifar}/cifar10.npz", "--arms=plain20", "--seeds=1"]
    command += ["--epochs=1", f"--out={out}"]
    assert errors.run(reproduce.main, command) == 0, capsys.readouterr().err
    file = out / "plain20" / "0" / degradation.RESPONSES
    lines = file.read_text().splitlines()
    assert len(lines) == 1 + 19
    file.write_text("\n".join(["layer,std,rank", "a,7,1"]))
    assert errors.run(reproduce.main, command) == 0
    assert "7.000" in capsys.readouterr().out


def test_what_lesions_and_paths_cost_is_measured_and_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(lesion, "COUNTS", (1, 4))
    monkeypatch.setattr(lesion, "FIVE", 1)
    monkeypatch.setattr(lesion, "DRAWS", 2)
    monkeypatch.setattr(lesion, "EXAMPLES", 2)
    study = lesion.STUDY
    runs = study.runs(study.parse([f"--out={tmp_path / 'lesion'}"]))
    small = {"input_shape": (4, 4, 1), "filters": (4, 4, 4)}
    nets = {
        "residual": models.preact_resnet(14, **small),
        "plain": models.cifar_resnet(14, residual=False, **small),
    }
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4, 4, 1)).astype("float32")
    for run in runs:
        made(run, 0.5, 1.0)
        if run.seed == 0:
            # All is right in the network as it is.
            labels = nets[run.label].predict(x, verbose=0).argmax(1)
            study.measure(nets[run.label], x, labels, run.path)
            found = json.loads((run.path / lesion.KEPT).read_text())
            assert found["whole"] == 0
            assert len(found["deleted"]) == len(found["swapped"]) == 2
            assert 0 <= found["single"] <= found["worst"] <= 100
    # The second seed of the plain network loses 40 points more.
    for run, worse in zip(runs[2:], (0, 40), strict=True):
        found = json.loads((runs[worse // 40].path / lesion.KEPT).read_text())
        found |= {"whole": 10.0, "single": 11.0 + worse}
        (run.path / lesion.KEPT).write_text(json.dumps(found))
    said = reported("lesion", tmp_path / "lesion", capsys)
    assert "One block deleted, the plain network against the residual one: " in said
    assert "with 0, 1, 4 blocks deleted the mean error is" in said
    assert "4 draws a seed, 2 seeds." in said
    assert "Gradient of a path, with one unit more: " in said
    assert "Of 6 units 95 % of the gradient comes through" in said
