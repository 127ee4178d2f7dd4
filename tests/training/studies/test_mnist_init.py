"""Maps of initialisation over depth: stacked networks, their theory, what is said of them."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres import layers
from training import errors
from training.studies import __main__ as reproduce
from training.studies import (
    mnist_init_limits,
    mnist_init_maps,
    mnist_init_nets,
    mnist_init_report,
)
from training.studies.mnist_init import STUDY
from training.studies.mnist_init_cells import Cells, _key
from training.studies.mnist_init_maps import MAPS, below_trouble, best_values, exponent
from training.studies.mnist_init_nets import Run

pytestmark = [pytest.mark.neutral, pytest.mark.graphs]

OF = {m.name: m for m in MAPS}


def apart(model, runs, r, width):
    """One of the stacked networks, built from the public layers."""
    run = runs[r]
    weights = {layer.name: layer for layer in model.layers}

    def of(name):
        kernel, bias = weights[name].get_weights()
        return [kernel[r], bias[r, 0]]

    def dense(units, name, x):
        layer = keras.layers.Dense(units)
        y = layer(x)
        layer.set_weights(of(name))
        return y

    x = inputs = keras.Input((model.input_shape[-1],))
    x = dense(width, "embedding", x)
    activation = layers.AlphaReLU(run.alpha) if run.alpha else run.activation
    for i in range(run.depth):
        kind = layers.FRN if run.kind == "frn" else layers.RRN
        layer = kind(width, activation=activation)
        x = layer(x)
        layer.set_weights(of(f"w{i}") + (of(f"v{i}") if run.kind == "frn" else []))
    return keras.Model(inputs, dense(10, "logits", x))


@pytest.mark.slow
@pytest.mark.parametrize(
    "runs",
    [
        [Run("rrn", "tanh", 2, variance, seed=seed) for variance in (0.1, 2.0) for seed in (0, 1)],
        [Run("frn", "relu", 2, 0.5, 0.5, sigma_v_sq, 0.3) for sigma_v_sq in (0.5, 1.0)],
        [Run("frn", "alpha_relu", 2, 1.0, 0.5, 1.0, 0.5, alpha=alpha) for alpha in (0.6, 1.0)],
    ],
    ids=["rrn_tanh", "frn_relu", "frn_alpha_relu"],
)
def test_each_of_the_stacked_networks_is_one_of_the_public_layers(runs):
    model = mnist_init_nets.build(runs, 7, 12, 10)
    x = np.random.default_rng(0).standard_normal((5, 12)).astype("float32")
    stacked = ops.convert_to_numpy(model(x))
    assert stacked.shape == (5, len(runs), 10)
    for r in range(len(runs)):
        one = ops.convert_to_numpy(apart(model, runs, r, 7)(x))
        np.testing.assert_allclose(stacked[:, r], one, rtol=1e-4, atol=1e-5)


def test_initial_variances_are_those_that_were_asked_for():
    runs = [Run("frn", "relu", 1, 0.5, 0.3, 2.0, 0.1), Run("frn", "relu", 1, 1.5, 0.3, 2.0, 0.1)]
    model = mnist_init_nets.build(runs, 400, 8, 10)
    weights = {layer.name: layer.get_weights() for layer in model.layers if layer.get_weights()}
    (w, b), (v, a) = weights["w0"], weights["v0"]
    for r, run in enumerate(runs):
        assert w[r].var() * 400 == pytest.approx(run.sigma_w_sq, rel=0.02)
        assert v[r].var() * 400 == pytest.approx(2.0, rel=0.02)
        assert b[r].var() == pytest.approx(0.3, rel=0.25)
        assert a[r].var() == pytest.approx(0.1, rel=0.25)
    # One seed: the same normal numbers, so that a comparison is of variances alone.
    np.testing.assert_allclose(w[0] * 3**0.5, w[1], rtol=1e-5)


def blobs(count, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 10
    centres = np.random.default_rng(9).standard_normal((10, 20))
    return (centres[labels] + 0.3 * rng.standard_normal((count, 20))).astype("float32"), labels


@pytest.mark.slow
def test_networks_learn_and_one_that_diverges_leaves_the_others_alone():
    data = (*blobs(1000, 0), *blobs(200, 1))
    good = [Run("frn", "relu", 3, 0.5), Run("frn", "relu", 3, 0.5, seed=1)]
    wild = Run("frn", "relu", 3, 1e9)
    alone = mnist_init_nets.train(good, data, 16, 40, 0.03)
    together = mnist_init_nets.train([good[0], wild, good[1]], data, 16, 40, 0.03)
    assert (alone > 0.9).all()
    np.testing.assert_allclose(together[[0, 2]], alone)
    assert np.isnan(together[1])


def test_theory_is_asked_for_the_networks_of_the_map():
    # tanh FRN: what leads ln χ⁰/χᴸ does not depend on ρ where σ_v²/(1 + ρ²) is held.
    of = OF["frn_tanh_rho"]
    for value in of.values:
        run = of.run(value, 10, 0)
        assert run.sigma_v_sq**2 / (run.sigma_v_sq + run.sigma_a_sq) == pytest.approx(1)
        assert run.sigma_a_sq == pytest.approx(value * run.sigma_v_sq)
    # ReLU FRN without biases: χ⁰/χᴸ = (1 + σ_w²/2)^L; with them p is larger than that.
    of = OF["frn_relu"]
    assert (of.predicted(20) >= 20 * np.log1p(np.array(of.values) / 2)).all()
    assert (np.diff(OF["frn_alpha_relu"].predicted(20)) > 0).all()
    assert (np.diff(OF["rrn_tanh"].predicted(20)) > 0).all()


def test_the_law_of_the_best_is_found_where_it_holds():
    depths = (5, 20, 80)
    values = tuple(4.0**-k for k in range(4))
    # σ_w² = 1/L: σ_w √L constant.
    assert exponent(values, depths, [0, 1, 2]) == pytest.approx((-0.5, 0), abs=1e-9)
    accuracy = np.array([[0.5, 0.9, np.nan], [0.8, 0.7, 0.6], [np.nan] * 3, [0.9, 0.8, np.nan]])
    assert best_values(accuracy).tolist() == [1, 0, -1, 0]
    # The second has no trouble, the third nothing else.
    assert below_trouble(accuracy) == [0, 1]


def test_trainings_are_kept_line_by_line(tmp_path):
    runs = [Run("frn", "alpha_relu", 5, 1.0, alpha=0.7), Run("rrn", "tanh", 5, 0.1, seed=1)]
    cells = Cells(tmp_path, {"steps": 3})
    assert cells.get(runs[0], 0.1) is None
    cells.add(runs, 0.1, np.array([0.25, np.nan]))
    with open(cells.path, "a", encoding="utf-8") as file:
        file.write("rrn,tanh,5")  # The process ended here.
    again = Cells(tmp_path, {"steps": 3})
    assert again.get(runs[0], 0.1) == 0.25
    assert np.isnan(again.get(runs[1], 0.1))
    assert again.get(runs[0], 0.2) is None
    means, trouble = again.table([[runs[0], runs[1]]], 0.1)
    assert (means[0], trouble[0]) == (0.25, 1)
    with pytest.raises(errors.UserError, match="holds trainings with"):
        Cells(tmp_path, {"steps": 4})


def test_what_is_filed_gives_the_table_and_sentences_of_results(tmp_path, capsys):
    arguments = ["mnist_init", "--report", f"--out={tmp_path}", "--adopt"]
    assert errors.run(reproduce.main, [*arguments, "mnist"]) == 0
    said = capsys.readouterr()
    assert "538 trainings adopted from zoo/logs/mnist_init" in said.err
    assert "The best σ_w falls as L^(-0.40 ± 0.08)" in said.out
    assert "ahead of it: Xavier at 200 (84 % against 53)" in said.out
    for more, sentence in (
        (["cifar10"], "--adopt cifar10: zoo/logs/mnist_init has trainings on 'mnist' alone."),
        (["mnist", f"--out={tmp_path}/short", "--steps=9"], "mnist_init holds trainings with"),
    ):
        assert errors.run(reproduce.main, [*arguments, *more]) == 2
        assert sentence in capsys.readouterr().err


def test_what_is_finished_is_filed_once(tmp_path, empty_zoo, capsys):
    (tmp_path / "runs").mkdir()
    cells = Cells(tmp_path / "runs", {"width": 4, "steps": 2, "limit": None})
    runs = [run for row in mnist_init_report.Grid(MAPS[0], 1).runs(5) for run in row]
    cells.add(runs, MAPS[0].learning_rate, np.linspace(0.5, 0.9, len(runs)))
    arguments = ["mnist_init", "--report", "--record", "--parts=maps", "--seeds=1"]
    arguments += ["--width=4", "--steps=2", f"--out={cells.path.parent}"]
    for count in (len(runs), 0):
        assert errors.run(reproduce.main, arguments) == 0
        assert f"{count} networks filed in zoo/logs/mnist_init" in capsys.readouterr().out
    filed = empty_zoo / "logs" / "mnist_init" / "cells.csv"
    assert filed.read_text() == cells.path.read_text()


@pytest.mark.slow
def test_the_command_trains_reports_and_goes_on(tmp_path, monkeypatch, capsys, data_dir):
    for module in (mnist_init_maps, mnist_init_report):
        monkeypatch.setattr(module, "DEPTHS", (1, 2, 3))
    monkeypatch.setattr(mnist_init_limits, "DEPTHS", (1, 2))
    arguments = ["mnist_init", f"--data-dir={data_dir / 'tfds'}", f"--out={tmp_path}"]
    arguments += ["--steps=2", "--width=4", "--seeds=1", "--limit=300"]
    assert errors.run(reproduce.main, arguments) == 0
    said = capsys.readouterr().out
    assert said.count("rank correlation of accuracy with") == len(MAPS)
    assert "The best σ_w falls as L^(" in said
    assert "(iii) ReLU FRN: " in said
    rows = (tmp_path / "cells.csv").read_text().splitlines()
    stacks = STUDY.runs(STUDY.parse(arguments[1:])).stacks
    asked = [_key(run, rate) for _, runs, rate in stacks for run in runs]
    assert len(asked) == 3 * sum(len(m.values) for m in MAPS) + 4 * 2 * 3
    # One that is asked for twice is kept once.
    assert len(rows) == 1 + len(set(asked))
    assert set(json.loads((tmp_path / "maps.json").read_text())["maps"]) == set(OF)
    for name in ("maps", "limits"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / f"{name}.svg").stat().st_size > 1000
    # Nothing is trained again, and nothing is needed but what is kept.
    monkeypatch.setattr(mnist_init_nets, "train", None)
    assert errors.run(reproduce.main, [*arguments[:1], *arguments[2:]]) == 0


def test_the_suggestion_is_said_to_train_only_where_every_seed_does():
    def row(method, depth, *accuracies):
        values = np.array(accuracies)
        learnt = int((np.nan_to_num(values) > mnist_init_limits.LEARNT).sum())
        key = {"network": "(iii) ReLU FRN", "method": method, "depth": depth}
        return {**key, "accuracies": values, "learnt": learnt}

    rows = [row(m, 10, 0.8, 0.82) for m in ("He", "Xavier")] + [row("suggested", 10, 0.81, 0.8)]
    rows += [row("He", 50, np.nan, np.nan), row("Xavier", 50, 0.5, 0.1)]
    rows += [row("suggested", 50, 0.8, 0.1)]
    (said,) = mnist_init_limits.sentences(rows)
    assert "the suggestion trains at 10 layers; it fails at 50" in said
    assert "He at 50 (diverged against 45)" in said
    assert "at 10 (" not in said
    rows = [r for r in rows if (r["method"], r["depth"]) != ("Xavier", 10)]
    rows.append(row("Xavier", 10, 0.9, 0.92))
    (said,) = mnist_init_limits.sentences(rows)
    assert "ahead of it: Xavier at 10 (91 % against 80)" in said


def test_only_what_lies_beyond_the_best_counts_against_an_explosion():
    of, depths = OF["rrn_tanh"], (5, 20)
    predicted = np.stack([of.predicted(depth) for depth in depths])
    # Rises to ln χ⁰/χᴸ = 2 and falls as it rises further.
    accuracy = 0.9 - 0.05 * np.abs(predicted - 2)
    assert mnist_init_maps.beyond_best(of, accuracy, depths).value > 0.95
    total, _ = mnist_init_maps.correlation(of, accuracy, depths)
    assert total.value < 0.7


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--parts=mapps"], "--parts must be some of maps, limits, found 'mapps'"),
        (["--width=0"], "--width must be at least 1, found 0"),
        (["--out=/dev/null/x"], "cannot be written"),
    ],
)
def test_mistakes_get_one_sentence(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert errors.run(reproduce.main, ["mnist_init", *arguments]) == 2
    assert sentence in capsys.readouterr().err
