"""Studies on made sequences: the tasks, what each arm is, what truncation costs, what is told."""

import json

import numpy as np
import pytest

from training import errors
from training.ledger.summary import FINAL, Summary
from training.studies import __main__ as reproduce
from training.studies import (
    gradient_flow,
    sequences,
    trained_here,
    truncation,
    truncation_memory,
)
from training.studies.forms import Form, Table


@pytest.mark.neutral
def test_the_adding_task_marks_one_number_of_either_half():
    x, y = sequences.adding(50, 10, 0)
    assert (x[:, :5, 1].sum(1) == 1).all()
    assert (x[:, 5:, 1].sum(1) == 1).all()
    assert y[:, 0] == pytest.approx([row[row[:, 1] == 1, 0].sum() for row in x])
    # What guessing the mean has right is little.
    assert np.mean(abs(y - 1) < sequences.NEAR) < 0.3


@pytest.mark.neutral
def test_an_echo_is_the_symbol_before():
    x, y = sequences.echo(3, 6, 2, 4, 0)
    assert (y[:, :2] == 4).all()
    assert (y[:, 2:] == x[:, :4].argmax(-1)).all()


@pytest.mark.parametrize("kind", gradient_flow.KINDS)
def test_each_kind_passes_a_state_on_in_time_and_in_depth(kind):
    in_time, deep = gradient_flow.in_time(kind, 5), gradient_flow.deep(kind, 5)
    assert in_time(np.ones((2, 5, 2))).shape == deep(np.ones((2, *deep.input_shape[1:]))).shape
    # What is run again has the weights of one step.
    again = gradient_flow.deep(kind, 9)
    assert again.count_params() == deep.count_params()


class Small(gradient_flow.GradientFlow):
    """Two arms in place of forty-five."""

    def forms(self, a):
        known = {form.label: form for form in super().forms(a)}
        return [known[label] for label in ("plain_50_clipped", "lstm_50_depth")]


def test_gradients_are_measured_before_and_after_training(tmp_path, capsys):
    command = ["--updates=2", "--seeds=1", f"--out={tmp_path}"]
    Small().main(command)
    found = json.loads((tmp_path / "plain_50_clipped" / "0" / "metrics.json").read_text())
    # U is orthogonal and tanh′ at most 1.
    assert 0 < found["first"] <= 1.0001
    assert found["last"] != found["first"]
    assert found["settings"]["updates"] == 2
    assert len(gradient_flow.read_norms(tmp_path / "lstm_50_depth" / "0" / "first.csv")) == 51
    said = capsys.readouterr().out
    assert "0.5: 2.94e-39, 0.9: 1.39e-06, 1.1: 1.99e+05, 1.5: 3.46e+22" in said
    # It is done once, and not mixed with other trainings.
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    marks = [f"<!-- {Small().name}:{place} -->" for place in ("begin", "end")]
    page.write_text("\n".join(["before", *marks, "after"]), encoding="utf-8")
    Small().main([*command, "--report", f"--page={page}"])
    before, _, picture, *lines, end, after = page.read_text(encoding="utf-8").split("\n")
    assert (before, end, after) == ("before", marks[1], "after")
    shown = page.parent / picture.partition("(")[2].rstrip(")")
    assert shown.read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / f"{Small().name}.md").read_text(encoding="utf-8").strip() in "\n".join(lines)
    with pytest.raises(errors.UserError, match="holds a training with updates 2, not 3"):
        Small().main(["--updates=3", *command[1:]])


@pytest.mark.neutral
def test_claims_on_truncation_are_told_with_interval_and_memory():
    forms = truncation.STUDY.forms(None)
    right = {1: 0.3, 2: 0.3, 4: 0.31, 8: 0.3, 12: 0.8, 16: 0.9, 32: 0.95, 64: 0.96}
    measured = [
        Summary(
            form.label,
            {
                seed: {FINAL: right[int(form.label)] + 0.01 * seed, "whole": 500.0, "windows": 5.0}
                for seed in range(2)
            },
        )
        for form in forms
    ]
    said = list(truncation.STUDY.claims(Table(forms, measured), None))
    assert str(said[1][1]).startswith("+50.00 ± 0.7")
    assert said[-1] == ("Memory of the windows: 5 MB at k = 1, 5 MB at k = 64 (one process each).")


def test_truncation_and_windows_learn_the_same_network(capsys):
    shapes = [
        [w.shape for w in truncation_memory.network(8, 4, 2, **more).weights]
        for more in ({"truncate": 2}, {"stateful": True})
    ]
    assert shapes[0] == shapes[1]
    for way in truncation.WAYS:
        truncation_memory.main(way, 2, units=4, steps=8, batch=2)
        assert json.loads(capsys.readouterr().out) >= 0


def test_an_echo_within_reach_of_gradients_is_learnt():
    x, y = sequences.echo(32 * 4, 6, 1, truncation_memory.SYMBOLS, 0)
    model = truncation_memory.network(6, 16, truncate=2)
    first = sequences.learn(model, x, y, truncation_memory.cross_entropy(), 0.02)
    last = sequences.learn(model, x, y, truncation_memory.cross_entropy(), 0.02, epochs=6)
    assert last < 0.8 * first


@pytest.mark.neutral
@pytest.mark.parametrize("name", ["gradient_flow", "truncation"])
def test_a_report_without_trainings_says_so(name, tmp_path, capsys):
    assert errors.run(reproduce.main, [name, "--report", f"--out={tmp_path / 'out'}"]) == 2
    assert "no training is finished" in capsys.readouterr().err


@pytest.mark.neutral
def test_other_units_than_points_are_told_as_such():
    study = trained_here.TrainedHere()
    study.unit, study.key = "nats", "nats"
    forms = [Form("one", ""), Form("other", "")]
    nats = {"one": (10.0, 11.0), "other": (20.0, 21.0)}
    measured = [Summary(k, {i: {"nats": x} for i, x in enumerate(v)}) for k, v in nats.items()]
    ((what, effect, *words),) = study.compared(
        Table(forms, measured, key="nats"), "One against other", "one", "other"
    )
    assert (what, effect.mean, words) == ("One against other", -10.0, ["nats", "higher", "lower"])
