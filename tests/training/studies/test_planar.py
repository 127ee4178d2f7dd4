"""The planar experiment: independent seeds, exact members, its verdict and its command line."""

import csv
import json

import keras
import numpy as np
import pytest

from training import errors
from training.studies import __main__ as reproduce
from training.studies import planar_nets as planar
from training.studies.planar_curves import FAMILIES, points

pytestmark = pytest.mark.graphs
SHALLOW, RECURRENT, DEEP = planar.NETWORKS


def spirals(seeds):
    x, y = points("spiral", 20)
    return np.repeat(x[:, None], seeds, axis=1), np.repeat(y[:, None], seeds, axis=1)


@pytest.fixture(scope="module", autouse=True)
def without_xla():
    """TensorFlow runs graphs as they are: XLA takes longer to compile a step than all take."""
    with pytest.MonkeyPatch.context() as patch:
        if keras.backend.backend() == "tensorflow":
            patch.setattr(planar, "jit_compile", lambda: False)
        yield


@pytest.fixture(scope="module")
def recurrent(without_xla):
    return planar.train(RECURRENT, *spirals(3), steps=400)


@pytest.mark.slow
def test_each_member_is_the_planar_network_of_its_weights(recurrent):
    x, y = points("spiral", 20)
    for seed in range(3):
        model = recurrent.model(seed)
        assert model.count_params() == RECURRENT.parameters
        logits = model.predict(x, verbose=0).astype("float64")
        log_p = logits - np.logaddexp(logits[:, :1], logits[:, 1:])
        assert -log_p[np.arange(len(y)), y].mean() == pytest.approx(recurrent.loss[seed], abs=1e-5)
        assert (logits.argmax(1) == y).mean() == pytest.approx(recurrent.accuracy[seed])


def test_training_lowers_every_seed_below_chance(recurrent):
    # Six parameters and a seventh of the steps: far from done, and yet below ln 2.
    assert (recurrent.loss < np.log(2)).all()
    assert recurrent.accuracy.mean() > 0.5


@pytest.mark.slow
@pytest.mark.neutral
def test_no_seed_knows_of_another(recurrent):
    x, y = spirals(3)
    x[:, 1:] *= 0.3
    other = planar.train(RECURRENT, x, y, steps=400)
    (layer,), (other_layer,) = recurrent.weights, other.weights
    for part, other_part in zip(layer, other_layer, strict=True):
        np.testing.assert_allclose(part[0], other_part[0], atol=1e-4)
    assert np.abs(layer[0][1] - other_layer[0][1]).max() > 1e-2


def results(*rows):
    """Results with these (loss, accuracy) for every one of three seeds."""
    return [
        planar.Result(network, np.full(3, loss), np.full(3, accuracy), [], 0.3)
        for network, (loss, accuracy) in zip(planar.NETWORKS, rows, strict=True)
    ]


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        (((0.46, 0.77), (0.15, 0.97), (0.05, 0.99)), "holds"),
        (((0.46, 0.77), (0.15, 1.00), (0.05, 1.00)), "holds"),
        (((0.46, 0.77), (0.15, 0.97), (0.20, 0.99)), "fails"),
        (((0.10, 1.00), (0.15, 0.97), (0.05, 1.00)), "fails"),
        (((0.46, 0.77), (0.15, 0.77), (0.05, 0.99)), "fails"),
        (((0.03, 1.00), (0.02, 1.00), (0.01, 1.00)), "saturated"),
    ],
)
@pytest.mark.neutral
def test_ordering_is_judged_by_loss_and_accuracy(rows, verdict):
    assert planar.ordering(results(*rows)) == verdict


@pytest.mark.neutral
def test_the_pictured_seed_is_the_median_one():
    result = planar.Result(SHALLOW, np.array([0.3, 0.1, 0.9, 0.2]), np.ones(4), [], 0.3)
    assert result.median_seed == 3
    assert result.select([0, 2]).median_seed == 0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.neutral
def test_curves_are_two_apart_from_one_another(family):
    x, y = points(family)
    assert x.shape == (200, 2)
    assert x.dtype == np.float32
    assert np.bincount(y).tolist() == [100, 100]
    gaps = np.linalg.norm(x[y == 0][:, None] - x[y == 1][None], axis=-1)
    assert gaps.min() > 0.1


@pytest.mark.neutral
def test_the_spiral_is_the_documented_one():
    x, y = points("spiral")
    radius = np.linalg.norm(x[y == 0], axis=1)
    np.testing.assert_allclose(radius[[0, -1]], [0.75, 5], rtol=1e-6)
    np.testing.assert_allclose(x[y == 1], -x[y == 0])
    angle = np.unwrap(np.arctan2(x[y == 0][:, 1], x[y == 0][:, 0]))
    assert angle[-1] - angle[0] == pytest.approx(2 * np.pi, rel=1e-5)


@pytest.mark.neutral
@pytest.mark.slow
def test_command_line_prints_the_table_and_leaves_pictures(tmp_path, capsys):
    arguments = ["planar", "--seeds=2", "--steps=100", f"--out={tmp_path / 'run'}"]
    assert errors.run(reproduce.main, arguments) == 0
    out = capsys.readouterr().out
    for text in ("planar_shallow", "0.46 / 77 %", "0.15 / 97 %", "0.05 / 99 %", "2 seeds"):
        assert text in out
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {
        *(f"{name}.{ending}" for name in ("figure2", "regions") for ending in ("png", "svg")),
        "seeds.csv",
        "summary.json",
        "said.json",
    }
    # It is told again, and nothing else as it.
    assert errors.run(reproduce.main, [*arguments, "--report"]) == 0
    assert capsys.readouterr().out == out
    assert errors.run(reproduce.main, [*arguments, "--report", "--scale=0.5"]) == 2
    assert "what was measured with scale 0.3: give the same." in capsys.readouterr().err
    with open(tmp_path / "run" / "seeds.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    losses = [float(row["loss"]) for row in rows if row["network"] == "planar_deep"]
    assert summary["networks"]["planar_deep"]["median_loss"] == pytest.approx(
        np.median(losses), rel=1e-5
    )


@pytest.mark.neutral
@pytest.mark.slow
def test_sweep_covers_every_setting(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("training.studies.planar_sweep.SCALES", (0.3,))
    arguments = ["planar", "--sweep", "--seeds=1", "--steps=100", f"--out={tmp_path}"]
    assert errors.run(reproduce.main, arguments) == 0
    assert f"of {len(FAMILIES)} settings" in capsys.readouterr().out
    with open(tmp_path / "sweep.csv", encoding="utf-8") as file:
        assert [row["curves"] for row in csv.DictReader(file)] == list(FAMILIES)
    assert (tmp_path / "sweep.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["planr"], "there is no experiment 'planr'. Did you mean 'planar'?"),
        (["planar", "--curves=spirl"], "found 'spirl'. Did you mean 'spiral'?"),
        (["planar", "--seeds=0"], "--seeds must be at least 1, found 0."),
        (["planar", "--scale=-1"], "--scale must be above 0, found -1.0."),
        (["planar", "--zoo", "--scale=1"], "--zoo files the default setting"),
        (["planar", "--out=/proc/nowhere"], "--out /proc/nowhere cannot be written"),
    ],
)
@pytest.mark.neutral
def test_mistakes_get_one_sentence(arguments, sentence, capsys):
    assert errors.run(reproduce.main, arguments) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert err.count("\n") == 1
