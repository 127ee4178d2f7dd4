"""The callback in a tiny fit(): what it measures, where it is written, and what it leaves alone."""

import csv

import keras
import numpy as np
import pytest

from keras_recres import models
from keras_recres.probes import CurvatureCallback, curves, extrinsic_curvature

CIRCLE = curves.circle(1.0)


def fit(callbacks, epochs=2, initial_epoch=0, model=None):
    keras.utils.set_random_seed(0)
    model = model or models.planar(depth=1, steps=2)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x = np.random.default_rng(0).normal(size=(16, 2)).astype("float32")
    history = model.fit(
        x, -x, batch_size=8, epochs=epochs, initial_epoch=initial_epoch, verbose=0,
        callbacks=callbacks,
    )  # fmt: skip
    return model, history.history


def lines(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_it_measures_before_and_every_other_epoch(tmp_path):
    path = tmp_path / "curvature.csv"
    probe = CurvatureCallback(CIRCLE, path, every=2, points=8)
    _, history = fit([probe, keras.callbacks.CSVLogger(tmp_path / "log.csv")], epochs=3)
    assert list(probe.records) == [0, 2]
    rows = lines(path)
    assert [(row["epoch"], row["layer"], row["step"]) for row in rows] == [
        (epoch, *row)
        for epoch in ("0", "2")
        for row in (("input", ""), ("block0", "0"), ("block0", "1"))
    ]
    found = [float(row["kappa_median"]) for row in rows[3:]]
    np.testing.assert_allclose(found, probe.records[2].median)
    # The logs, and whoever reads them after: epoch 0 repeats the measurement before training.
    before, after = probe.records[0].median[2], probe.records[2].median[2]
    assert before != pytest.approx(after, rel=1e-4)
    assert set(history) == {"loss", "curvature/block0[0]", "curvature/block0[1]"}
    np.testing.assert_allclose(history["curvature/block0[1]"], [before, after, after])
    logged = [float(row["curvature/block0[1]"]) for row in lines(tmp_path / "log.csv")]
    np.testing.assert_allclose(logged, [before, after, after], rtol=1e-6)


def test_the_last_record_is_the_models_own_and_training_is_the_same():
    probe = CurvatureCallback(CIRCLE, points=8, logs=False)
    model, history = fit([probe])
    again = extrinsic_curvature(model, CIRCLE, CIRCLE.theta(8))
    np.testing.assert_allclose(probe.records[2].kappa, again.kappa, rtol=1e-5)
    other, other_history = fit([])
    np.testing.assert_allclose(history["loss"], other_history["loss"])
    assert list(history) == ["loss"]
    for weight, other_weight in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other_weight)


def test_a_continued_training_goes_on_in_its_file(tmp_path):
    path = tmp_path / "curvature.csv"
    model, _ = fit([CurvatureCallback(CIRCLE, path, points=8)], epochs=1)
    fit([CurvatureCallback(CIRCLE, path, points=8, append=True)], 2, 1, model)
    assert [row["epoch"] for row in lines(path)] == [*"000111222"]
    fit([CurvatureCallback(CIRCLE, path, points=8)], 2, 1, model)
    assert [row["epoch"] for row in lines(path)] == [*"111222"]


def test_tensorboard_gets_the_medians(tmp_path):
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    from tensorboard.util import tensor_util

    probe = CurvatureCallback(CIRCLE, points=8)
    fit([probe, keras.callbacks.TensorBoard(tmp_path, write_graph=False)])
    events = event_accumulator.EventAccumulator(str(tmp_path / "train")).Reload()
    tensors = events.Tensors("epoch_curvature/block0[1]")
    assert [tensor.step for tensor in tensors] == [0, 1]
    found = tensor_util.make_ndarray(tensors[1].tensor_proto)
    assert float(found) == pytest.approx(float(probe.records[2].median[2]), rel=1e-5)


@pytest.mark.neutral
@pytest.mark.parametrize("name", ["every", "points"])
def test_mistakes_are_named(name):
    with pytest.raises(ValueError, match=f"`{name}` must be an integer of at least 1"):
        CurvatureCallback(CIRCLE, **{name: 0})
