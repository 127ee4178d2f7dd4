"""The curvature experiment: joined curves, its claims on made-up networks, its command line."""

import csv
import dataclasses
import json
import types

import keras
import numpy as np
import pytest

from keras_recres import models, zoo
from keras_recres.layers import RecurrentResidual
from keras_recres.probes import CurvatureRecord, curves, extrinsic_curvature
from training import errors
from training.studies import __main__ as reproduce
from training.studies import curvature_claims as claims
from training.studies import curvature_planar, curvature_vit, curvature_zoo
from training.studies import planar_nets as planar
from training.studies.curvature_probed import Probed, join, probe
from training.studies.planar_curves import points

pytestmark = pytest.mark.neutral

RNG = np.random.default_rng(2)
FACTS = {"network": "planar_rec", "weights": "trained", "seed": 0}


@pytest.mark.slow
def test_a_joined_curve_gives_each_ones_record():
    some = {
        "circle": curves.circle(2.0),
        "spline": curves.spline(RNG.normal(size=(5, 2))),
        "line": curves.line([0.0, 1.0], [2.0, 0.0]),
    }
    model = models.planar(depth=2, steps=2)
    done = []
    found = probe(model, some, 9, done.append, network="planar", weights="random", seed=0)
    assert done == [27]
    for name, curve in some.items():
        alone = extrinsic_curvature(model, curve, curve.theta(9), check=False)
        assert found.rows == alone.names
        np.testing.assert_allclose(found.records[name].kappa, alone.kappa, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(found.records[name].speed, alone.speed, rtol=1e-4)
        np.testing.assert_allclose(found.records[name].arc_length, alone.arc_length, rtol=1e-4)
    assert found.kappa(["circle", "line"]).shape == (4, 18)
    # All rows but the first, the curve itself.
    np.testing.assert_allclose(found.kappa(["circle"]), found.records["circle"].kappa[1:])
    assert found.last_steps == [False, True, False, True]


def test_a_joined_curve_is_its_parts():
    a, b = curves.line([0.0, 0.0], [1.0, 2.0]), curves.circle(3.0)
    x = np.asarray(join({"a": a, "b": b})(np.array([0.25, 1.25], "float32")))
    np.testing.assert_allclose(x, [[0.25, 0.5], [0, 3]], atol=1e-5)


def made_up(network, seed, kappa, accuracy=None, weights="trained"):
    """A network of four blocks and a head, along one curve of length 2 and 5 θ."""
    blocks = np.outer([0.25, 0.5, 0.75, 1, 99], np.full(5, kappa))
    rows = [*((f"block{i}", 0) for i in range(4)), ("head", None)]
    record = CurvatureRecord(np.linspace(0, 1, 5), rows, blocks, np.full((5, 5), 2.0))
    stretch = {"stretch": np.full(5, 3.0), "spectrum": np.ones((5, 5)), "added_turning": np.ones(5)}
    stretch["turning_rate"] = 3 * blocks
    return Probed(network, weights, seed, {"c": record}, {"c": stretch}, accuracy, 0.1)


def test_the_last_block_counts_and_no_head():
    one = made_up("planar_rec", 0, 2.0)
    found = {measure: value(one, ["c"]) for measure, value in claims.MEASURES.items()}
    assert found == {claims.KAPPA: 2, claims.RATE: 6, "mean of κ": 2, "mean turning rate": 6}
    assert one.stretch(["c"]) == 3
    assert claims.growth(one.kappa(["c"])) == pytest.approx(1)
    assert np.isnan(claims.growth(one.kappa(["c"])[:3]))


def test_order_is_the_share_of_pairs():
    found = claims.order([3, 4, 5, 1], [2, 2, 2, 1], ("deep", "rec"))
    # Twelve pairs with the large ones, one tie and three losses of the small one.
    assert found.share == pytest.approx((12 + 0.5) / 16)
    assert found.medians == (3.5, 2)
    assert claims.order([3, 4, 5], [0, 1, 2], ("a", "b")).verdict == "holds"
    assert claims.order([0, 1, 2], [3, 4, 5], ("a", "b")).verdict == "fails"
    assert claims.order([0, 5, 1, 4], [3, 2, 2.5, 2], ("a", "b")).verdict == "undecided"


def test_claims_compare_kinds_and_correlate_inside_them():
    probed = [
        made_up(kind, seed, base + 0.1 * seed, (base + 0.1 * sign * seed) / 4)
        for kind, base, sign in (("shallow", 1, 1), ("rec", 2, 1), ("deep", 3, -1))
        for seed in range(6)
    ]
    low, high = claims.orders(probed, ("shallow", "absent", "rec", "deep"), ["c"])
    assert (low.more, low.less, low.share) == ("rec", "shallow", 1)
    assert (high.more, high.less, high.verdict) == ("deep", "rec", "holds")
    found = claims.correlations(probed, ["c"])["median of κ"]
    assert found["shallow"].value == pytest.approx(1)
    assert found["deep"].value == pytest.approx(-1)
    assert 0.5 < found["all"].value < 1


@pytest.mark.slow
def test_planar_command_line(tmp_path, capsys, monkeypatch):
    # Fewer layers and steps, for less to compile.
    sizes = ((1, 1), (1, 3), (3, 1))
    networks = tuple(
        dataclasses.replace(network, depth=depth, steps=steps)
        for network, (depth, steps) in zip(planar.NETWORKS, sizes, strict=True)
    )
    monkeypatch.setattr(planar, "NETWORKS", networks)
    arguments = ["curvature", "--part=planar", "--seeds=4", "--steps=100", "--theta=16"]
    assert errors.run(reproduce.main, [*arguments, f"--out={tmp_path}"]) == 0
    out = capsys.readouterr().out
    for text in ("planar_shallow", "planar_deep above planar_rec", "along the data's curves", "ρ"):
        assert text in out
    for name in ("curvature_planar", "figure2"):
        for ending in ("png", "svg"):
            assert (tmp_path / f"{name}.{ending}").stat().st_size > 5000
    with open(tmp_path / "curvature.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # Three curves; 1 + 3 + 3 layers and steps and the inputs; 4 seeds, trained and random.
    assert len(rows) == 3 * 10 * 4 * 2
    summary = json.loads((tmp_path / "summary.json").read_text())["planar"]
    last = [
        float(row["kappa_median"])
        for row in rows
        if (row["network"], row["weights"], row["curve"]) == ("planar_rec", "trained", "ellipse")
        and (row["layer"], row["step"]) == ("block0", "2")
    ]
    found = summary["networks_ellipse"]["planar_rec trained"]["kappa_median"]
    assert found == pytest.approx(np.median(last), rel=1e-4)
    assert summary["correlations"]["data"]["median of κ"]["all"]["count"] == 12
    assert any("deep > recurrent > shallow" in sentence for sentence in summary["verdict"])


@pytest.fixture
def tiny_vits(monkeypatch):
    """Two networks of a pretend zoo, one of them "trained"."""

    def build(name, tag=None):
        x = inputs = keras.Input((32, 32, 1))
        x = keras.layers.Reshape((4, -1))(x)
        x = keras.layers.Dense(8)(x)
        branch = keras.layers.Dense(8, activation="tanh")
        x = RecurrentResidual(branch, steps=2 if "rec" in name else 1, name="block0")(x)
        x = keras.layers.LayerNormalization(name="norm")(x)
        x = keras.layers.Dense(4, name="head")(keras.layers.Flatten()(x))
        model = keras.Model(inputs, x)
        model.preprocess = lambda images: images.astype("float32") / 255
        return model

    pretend = types.SimpleNamespace(build=build, load=build, info=zoo.info)
    monkeypatch.setattr(curvature_vit, "zoo", pretend)
    monkeypatch.setattr(curvature_vit, "DATASET", "corners")
    monkeypatch.setattr(curvature_vit, "NAMES", ("vit3", "vit3_rec"))
    monkeypatch.setattr(curvature_vit, "trained_names", lambda: ["vit3_rec"])


@pytest.mark.slow
def test_vit_command_line(tmp_path, capsys, tiny_vits, corners_file):
    arguments = ["curvature", "--part=vit", "--images=100", "--vit-theta=4", "--vit-seeds=1"]
    arguments += [f"--data-dir={corners_file}", f"--out={tmp_path}"]
    assert errors.run(reproduce.main, arguments) == 0
    out = capsys.readouterr().out
    assert "random weights, median turning rate in the last block: vit3_rec > vit3" in out
    assert "vit3: no trained weights yet" in out
    assert (tmp_path / "curvature_vit.svg").stat().st_size > 5000
    summary = json.loads((tmp_path / "summary.json").read_text())["vit"]
    assert set(summary["networks"]) == {"vit3 random", "vit3_rec random", "vit3_rec trained"}
    assert len(summary["networks"]["vit3_rec trained"]["kappa_by_depth"]) == 2
    assert {"pca", "class means", "class 0", "arc 2"} <= set(summary["curves"])


@pytest.mark.slow
def test_epochs_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(planar, "NETWORKS", (planar.Network("planar_rec", 1, 3, 6, 0.15, 0.97),))
    arguments = ["curvature", "--part=epochs", "--seeds=1", "--steps=500", "--theta=16"]
    assert errors.run(reproduce.main, [*arguments, f"--out={tmp_path}"]) == 0
    assert "planar_rec" in capsys.readouterr().out
    with open(tmp_path / "curvature_epochs.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["steps"]) for row in rows] == [0, 100, 200, 300, 400, 500]
    losses = [float(row["loss"]) for row in rows[1:]]
    assert losses == sorted(losses, reverse=True)
    # The last row is that of the network as it was left: the same training, measured at its end.
    x, y = points("spiral")
    model = planar.train(planar.NETWORKS[0], x[:, None], y[:, None], 500).model(0)
    through = curvature_planar.data_curves(x, y)
    own = probe(model, {n: through[n] for n in curvature_planar.ARMS}, 8, print, **FACTS)
    kappa = np.median(own.kappa(curvature_planar.ARMS)[-1])
    assert float(rows[-1]["median of κ"]) == pytest.approx(kappa, rel=1e-3)
    assert (tmp_path / "curvature_epochs.png").stat().st_size > 5000


@pytest.mark.slow
def test_accuracy_command_line(tmp_path, capsys, monkeypatch, corners_file):
    def load(name, tag, features_only):
        x = inputs = keras.Input((32, 32, 1))
        x = keras.layers.Rescaling(float(name[-1]))(keras.layers.Flatten()(x))
        model = keras.Model(inputs, keras.layers.Dense(4, kernel_initializer="ones")(x))
        model.preprocess = lambda images: images.astype("float32") / 255
        return model

    names = [f"cifar_{i}" for i in range(1, 6)]
    pretend = types.SimpleNamespace(load=load)
    monkeypatch.setattr(curvature_vit, "DATASET", "corners")
    monkeypatch.setattr(curvature_zoo, "zoo", pretend)
    monkeypatch.setattr(curvature_zoo, "names", lambda: names)
    monkeypatch.setattr(curvature_vit, "accuracy", lambda name: int(name[-1]) / 10)
    arguments = ["curvature", "--part=accuracy", "--images=100", "--vit-theta=4"]
    arguments += [f"--data-dir={corners_file}", f"--out={tmp_path}"]
    assert errors.run(reproduce.main, arguments) == 0
    found = json.loads((tmp_path / "summary.json").read_text())["accuracy"]
    assert [row["accuracy"] for row in found["networks"]] == [0.1, 0.2, 0.3, 0.4, 0.5]
    # What multiplies its input stretches more.
    assert found["correlations"]["stretch"]["value"] == pytest.approx(1)
    assert "Stretch of the features and accuracy" in capsys.readouterr().out
    assert (tmp_path / "curvature_accuracy.png").stat().st_size > 5000


def test_ratios_are_of_logarithms_and_have_an_interval():
    probed = [
        made_up(kind, seed, base * factor)
        for kind, base in (("rec", 1.0), ("deep", 3.0))
        for seed, factor in enumerate((0.9, 1 / 0.9))
    ]
    (said,) = claims.ratios(probed, ("absent", "rec", "deep"), ["c"])
    # s² = ln² 0.9 each of two, over four trainings, and t for two degrees of freedom.
    reach = 4.3027 * 2**0.5 * abs(np.log(0.9))
    low, high = 3 * np.exp(-reach), 3 * np.exp(reach)
    assert said.startswith("deep has 3.00 times the median of κ of rec (95 % interval ")
    assert f"{low:.2f} to {high:.2f}, 4 networks" in said


def test_image_curves_go_through_the_images():
    labels = np.array([0, 0, 1, 0, 1, 1, 0, 1, 0, 1])
    images = RNG.normal(size=(10, 4, 4, 1))
    found = curvature_vit.image_curves(images, labels)
    assert len(found) == curvature_vit.curve_count(labels)
    # The first arc goes from image 0 to the first of another class, 2; the next begins at 3.
    for name, index in (("arc 0", 0), ("arc 1", 3)):
        begin = np.asarray(found[name](np.zeros(1, "float32")))[0]
        np.testing.assert_allclose(begin, images[index], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--part=vits"], "found 'vits'. Did you mean 'vit'?"),
        (["--curves=spirl"], "found 'spirl'. Did you mean 'spiral'?"),
        (["--seeds=3"], "--seeds must be at least 4, found 3."),
        (["--vit-theta=1"], "--vit-theta must be at least 2, found 1."),
        (["--part=vit", "--data-dir=/nowhere"], "'cifar10' is not in /nowhere"),
        (["--out=/proc/nowhere"], "--out /proc/nowhere cannot be written"),
    ],
)
def test_mistakes_get_one_sentence(arguments, sentence, capsys, tmp_path):
    arguments = [f"--out={tmp_path}", *arguments]
    assert errors.run(reproduce.main, ["curvature", *arguments]) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert err.count("\n") == 1
