"""Steps that solve larger problems: what is measured, told and drawn."""

import dataclasses

import pytest

from keras_recres import zoo
from keras_recres.zoo import problems
from keras_recres.zoo.evaluation import evaluate
from tests.marks import slow_on, slow_on_tensorflow
from training import errors
from training.studies import __main__ as reproduce
from training.studies import deep_thinking
from training.studies.deep_thinking import STUDY

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def short(monkeypatch):
    """Two numbers of steps and two sizes."""
    monkeypatch.setattr(deep_thinking, "STEPS", (2, 4))
    problem = ("prefix_sum_rec", "deep_thinking", {3: 40, 5: 7})
    monkeypatch.setattr(deep_thinking, "PROBLEMS", {"prefix_sums": problem})


# The others have the network of one of these.
@slow_on("jax")
@slow_on_tensorflow
@pytest.mark.parametrize("arm", ["recurrent", "untied", "no_recall"])
def test_each_number_of_steps_is_measured_as_the_network_with_so_many(arm, short, tmp_path):
    (run,) = STUDY.runs(STUDY.parse(["--arms", arm, "--seeds=1", f"--out={tmp_path}"]))
    run.path.mkdir(parents=True)
    arguments = {"width": 4, **run.arguments}
    run = dataclasses.replace(run, arguments=arguments)
    zoo.build(run.name, **arguments).save_weights(run.path / "some.weights.h5")
    found, used = deep_thinking.measured(run, "prefix_sums", {3: 40, 5: 7})
    assert [(row["size"], row["steps"], row["examples"]) for row in found] == [
        (3, 2, 40), (3, 4, 40), (5, 2, 7), (5, 4, 7),
    ]  # fmt: skip
    for row in found[:2]:
        model = zoo.build(run.name, steps=30, input_shape=(3, 1), **arguments)
        model.load_weights(run.path / "some.weights.h5")
        block = model.get_layer("think")
        block.steps = row["steps"]
        split = problems.read("prefix_sums/3", "test", 40)
        measured = evaluate(model, split.data, split.labels)
        assert row["right"] == pytest.approx(measured["top1_percent"] * 40 / 100)
    assert len(used) == 47
    assert all(1 <= row["steps_used"] <= 4 for row in used)
    (run.path / "some.weights.h5").unlink()
    # What was measured is read again.
    assert deep_thinking.measured(run, "prefix_sums", {3: 40, 5: 7}) == (found, used)


@pytest.mark.neutral
def test_the_table_has_the_best_number_of_steps(tmp_path, capsys):
    a = STUDY.parse(["--arms", "recurrent", "untied", f"--out={tmp_path}"])
    arms = STUDY.chosen(a)
    found = [
        {"arm": "recurrent", "seed": seed, "size": 32, "steps": steps, "examples": 10, "right": n}
        for seed, steps, n in (
            (0, 5, 3),
            (1, 5, 4),
            (0, 30, 10),
            (1, 30, 9),
            (0, 60, 10),
            (1, 60, 9),
        )
    ]
    used = [{"arm": "recurrent", "seed": 0, "size": 32, "example": 0, "steps_used": 12}]
    STUDY.show(found, used, a)
    told = (tmp_path / "prefix_sums.md").read_text()
    assert f"| {arms[0].what} | 2 | 95.0 (30) |" in told
    assert f"| {arms[1].what} |  | pending |" in told
    assert arms[0].what in capsys.readouterr().out
    assert Image.open(tmp_path / "prefix_sums.png").size[0] > 500


@pytest.mark.slow
@pytest.mark.neutral
def test_arms_are_trained_measured_and_told(short, tmp_path, capsys):
    command = ["deep_thinking", "--arms", "recurrent", "untied", "--limit=100", "--epochs=1"]
    command += ["--seeds=1", f"--out={tmp_path}"]
    assert errors.run(reproduce.main, command) == 0
    for arm in ("recurrent", "untied"):
        assert (tmp_path / "prefix_sums" / arm / "0" / "by_steps.csv").exists()
    assert "every step its own weights" in (tmp_path / "prefix_sums.md").read_text()
