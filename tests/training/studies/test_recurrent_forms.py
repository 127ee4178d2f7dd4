"""The comparison of forms of recurrence: what is built, what is trained, what is said."""

import json
import sys

import pytest

from keras_recres import zoo
from keras_recres.models import multiply_adds
from training import errors
from training.fit import loop as fit
from training.fit import options
from training.jobs import pending_rows, pending_trainings
from training.settings import Settings
from training.studies import __main__ as reproduce
from training.studies.recurrent_forms import STUDY

pytestmark = pytest.mark.neutral

STEPS = (2, 4, 2)  # Of vit3_rec.
WIDTH = 256


def asked(tmp_path, *more):
    return STUDY.parse([f"--out={tmp_path}", *more])


def settings_of(run, a):
    """The settings.json of a run, from its command line."""
    given = fit.arguments(run.command(a)[3:])
    return options.settings_of(given, run.name, "cifar10_jpeg")


@pytest.mark.slow
def test_a_form_adds_what_it_is_called_by_and_no_computation(tmp_path):
    found = {}
    for form in STUDY.forms(asked(tmp_path)):
        model = zoo.build(form.name, tag="cifar10_jpeg", **form.arguments)
        found[form.label] = model.count_params(), multiply_adds(model).total
    plain, work = found["recurrent"]
    # Two norms a block, each a scale and a shift, for every step but the first.
    norms = 2 * 2 * WIDTH * sum(steps - 1 for steps in STEPS)
    vectors = WIDTH * sum(STEPS)
    added = {
        "once": 0,
        "recurrent": 0,
        "norms": norms,
        "embedding": vectors,
        "both": norms + vectors,
        "scaled": sum(STEPS),
    }
    assert {label: count - plain for label, (count, _) in found.items()} == {
        **added,
        "sampled": 0,
        "supervised": 0,
        "distilled": 0,
    }
    assert {total for label, (_, total) in found.items() if label != "once"} == {work}
    assert found["once"][1] < work


@pytest.mark.slow
def test_each_form_is_another_training_and_two_are_those_of_the_zoo(tmp_path):
    a = asked(tmp_path)
    settings = {run.label: settings_of(run, a) for run in STUDY.runs(a)[:9]}
    assert len({Settings.of(found).key() for found in settings.values()}) == 9
    assert settings["sampled"]["steps"] == "uniform(1,4)"
    assert settings["supervised"]["deep_supervision"] == 0.5
    assert settings["both"]["model_arguments"] == {"unshare": ["norm"], "step_embedding": True}
    for label, name in (("once", "vit3"), ("recurrent", "vit3_rec")):
        (row,) = pending_rows.rows([f"{name}.cifar10_jpeg"])
        (training,) = pending_trainings.trainings(row, tmp_path / "pending")[:1]
        # Filed is that of another machine, whose precision the row's other seeds have.
        here = {**json.loads(json.dumps(settings[label])), "precision": "mixed_bfloat16"}
        assert here == training.settings()


def test_networks_and_data_sets_have_folders_of_their_own(tmp_path):
    found = {
        run.path
        for blocks in (3, 7)
        for dataset in ("cifar10", "tiny_imagenet80")
        for run in STUDY.runs(asked(tmp_path, f"--blocks={blocks}", f"--dataset={dataset}"))
    }
    assert len(found) == 4 * 3 * 9


def prepare(run, a, value):
    """A finished training in its folder."""
    run.path.mkdir(parents=True)
    metrics = {"val_accuracy": value, "settings": settings_of(run, a)}
    (run.path / "metrics.json").write_text(json.dumps(metrics))


@pytest.mark.slow
def test_differences_are_told_and_kept(empty_zoo, tmp_path, monkeypatch, capsys):
    out, a = tmp_path / "out", asked(tmp_path / "out")
    better = {"once": -0.03, "norms": 0.02, "sampled": -0.001}
    for run in STUDY.runs(a):
        if run.label in ("recurrent", *better):
            luck = (0.0, 0.002, 0.001)[run.seed]
            prepare(run, a, 0.6 + luck + better.get(run.label, 0) * (1 + 0.01 * run.seed))
    arguments = ["recurrent_forms", "--report"]
    assert errors.run(reproduce.main, [*arguments, f"--out={out}", "--record"]) == 0
    said = capsys.readouterr().out
    assert "several times against once, all shared: more accurate; +3.03 ± 0.08 points" in said
    assert "own (+0.27% parameters) against all shared: more accurate; +2.02 ±" in said
    assert "(+0.00% parameters) against all shared: equal to within 1 point; -0.10 ± 0.08" in said
    assert said.count("not measured yet") == 5
    assert "not the original pixels" in said
    text = (out / "recurrent_forms.md").read_text(encoding="utf-8")
    assert "| norms of every step's own | 1,8" in text
    assert "| 62.12 ± 0.11 | +2.02 ± 0.08 | 3 |" in text
    assert (out / "recurrent_forms.png").read_bytes().startswith(b"\x89PNG")
    # Elsewhere what was filed counts, each form as itself.
    again = [*arguments, f"--out={tmp_path / 'again'}", "--adopt=cifar10_jpeg"]
    assert errors.run(reproduce.main, again) == 0
    assert (tmp_path / "again" / "recurrent_forms.md").read_text(encoding="utf-8") == text
    # But not what the recipe said once, beside which nothing could stand.
    module = sys.modules["training.recipes.cifar10_vit"]
    monkeypatch.setitem(module.SETTINGS, "learning-rate", 0.5)
    later = [*arguments, f"--out={tmp_path / 'later'}", "--adopt=cifar10_jpeg"]
    capsys.readouterr()
    assert errors.run(reproduce.main, later) == 2
    said = capsys.readouterr().err
    assert said.startswith("0 trainings adopted")
    assert "no training is finished" in said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--forms=norm"], "--forms has 'norm', which is not among once, recurrent, norms"),
        (["--seeds=0"], "--seeds must be at least 1, found 0."),
    ],
)
def test_a_mistake_is_a_sentence(tmp_path, capsys, more, message):
    assert errors.run(reproduce.main, ["recurrent_forms", f"--out={tmp_path}", *more]) == 2
    assert message in capsys.readouterr().err
