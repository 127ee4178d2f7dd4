"""Batch normalization's statistics, averaged anew with the weights held."""

import keras
import numpy as np
import pytest

from tests.marks import slow_on_tensorflow
from tests.models.test_norms import statistics_of
from tests.training.fit.test_fit import metrics, run
from training.fit import loop as fit
from training.fit.precise_bn import PreciseBN


class Batches(keras.utils.PyDataset):
    """Three features, far from 0; the class is the sign of the first one's deviation."""

    def __init__(self, count):
        super().__init__()
        self.x = np.random.default_rng(1).normal(size=(count, 32, 3)).astype("float32")
        self.y = (self.x[..., 0] > 0).astype("int32")

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return 5 + 4 * self.x[index], self.y[index]


@slow_on_tensorflow
@pytest.mark.graphs
def test_a_network_that_has_learnt_also_answers():
    def trained(*watchers):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), norm(), keras.layers.Dense(2)])
        model.compile(
            keras.optimizers.Adam(0.1),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        options = {"validation_data": batches, "callbacks": watchers}
        fitted = model.fit(batches, epochs=2, shuffle=False, verbose=0, **options)
        return model, fitted.history

    norm = keras.layers.BatchNormalization
    batches = Batches(20)
    plain, trails = trained()
    model, precise = trained(PreciseBN(batches, 8))
    # Training does not read them.
    np.testing.assert_allclose(precise["loss"], trails["loss"], rtol=1e-6)
    for one, other in zip(plain.trainable_weights, model.trainable_weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    # After forty steps a third of what the averages began with is still there.
    assert trails["val_accuracy"][-1] < 0.9
    assert precise["val_accuracy"][-1] > 0.95
    seen = np.stack([batches[i][0] for i in range(8)])
    mean, variance = statistics_of(model.layers[0])
    np.testing.assert_allclose(mean, seen.mean(1).mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, seen.var(1).mean(0), rtol=1e-4)


def normalised(name, peek, overrides, precision="float32"):
    """The small classifier with batch normalization."""
    from tests.training import small

    norm = keras.layers.BatchNormalization(dtype=precision)
    return small._build(name, peek, overrides, precision, norm)


@pytest.mark.slow
@pytest.mark.neutral
def test_the_option_is_recorded_and_asks_for_batch_normalization(
    fit_arguments, without_xla, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(fit, "build", normalised)
    options = {"epochs": 1, "limit": 64, "eval-limit": 32}
    assert run(fit_arguments("run", [], precise_bn=2, **options)) == 0
    assert metrics(tmp_path)["settings"]["precise_bn"] == 2
    assert run(fit_arguments("other", [], **options)) == 0
    precise, trails = (metrics(tmp_path, out) for out in ("run", "other"))
    assert "precise_bn" not in trails["settings"]
    assert precise["train_loss"] == trails["train_loss"]
    assert precise["val_loss"] != trails["val_loss"]
    monkeypatch.undo()
    assert run(fit_arguments("none", precise_bn=2, **options)) == 2
    assert "vit3 has no batch normalization" in capsys.readouterr().err


@pytest.mark.neutral
def test_it_is_a_number_of_batches(fit_arguments, capsys):
    with pytest.raises(SystemExit):
        run(fit_arguments("run", precise_bn="some"))
    assert run(fit_arguments("run", precise_bn=-1)) == 2
    assert "--precise-bn must be at least 0, found -1." in capsys.readouterr().err
