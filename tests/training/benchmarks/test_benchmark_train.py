"""The networks written by hand are ours: same loss, same gradients, same steps of AdamW."""

import importlib
import json

import keras
import numpy as np
import pytest

from training import benchmark, errors
from training.benchmarks import by_hand, train

pytestmark = [pytest.mark.neutral, pytest.mark.graphs]

TINY = {
    "t2t_vit": {
        "depth": 1,
        "steps": 2,
        "input_shape": (32, 32, 3),
        "num_classes": 5,
        "embed_dim": 16,
        "token_dim": 8,
        "first_kernel_size": 3,
        "first_strides": 2,
        "drop_path": 0.0,
        "token_dropout": 0.0,
    },
    "frn": {"depth": 3, "width": 8, "input_shape": (6, 6, 1), "num_classes": 5},
}
LIBRARIES = ("torch", "jax")


@pytest.fixture(scope="module", params=TINY)
def network(request):
    kind = request.param
    model = by_hand.build(kind, TINY[kind])
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        # Biases and scales, too, or a wrong one would go unseen.
        weight.assign(weight + 0.1 * rng.normal(size=weight.shape))
    batch = by_hand.batch_of(model, 4)
    return kind, model, batch, by_hand.loss_and_gradients(model, *batch)


def training(library, kind, model, **options):
    pytest.importorskip(library)
    module = importlib.import_module(f"training.benchmarks.by_hand_{library}")
    arguments = by_hand.arguments_by_hand(kind, TINY[kind])
    return module.Training(kind, arguments, by_hand.weights_of(model), **options)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.slow
def test_loss_and_gradients_are_ours(library, network):
    kind, model, batch, ours = network
    theirs = training(library, kind, model).loss_and_gradients(*batch)
    assert by_hand.difference(ours, theirs) < by_hand.TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("network", ["frn"], indirect=True)
@pytest.mark.parametrize("library", LIBRARIES)
def test_steps_are_those_of_adamw(library, network):
    kind, model, batch, (loss, gradients) = network
    hand = training(library, kind, model)
    before = by_hand.weights_of(model)
    # Not Keras' step on this backend, but AdamW's equations: m and v of the first step are g, g².
    rate, decay = by_hand.OPTIMIZER["learning_rate"], by_hand.OPTIMIZER["weight_decay"]
    np.testing.assert_allclose(hand.step(*batch), loss, rtol=1e-5)
    for weight in model.trainable_weights:
        gradient = gradients[weight.path]
        step = gradient / (np.abs(gradient) + by_hand.OPTIMIZER["epsilon"])
        weight.assign(before[weight.path] * (1 - rate * decay) - rate * step)
    after, _ = by_hand.loss_and_gradients(model, *batch)
    for weight in model.weights:
        weight.assign(before[weight.path])
    assert after < loss
    np.testing.assert_allclose(hand.step(*batch) - loss, after - loss, rtol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rows"), [("train", 2), ("t2t", 1)])
def test_they_are_measured_beside_ours(name, rows, tmp_path, capsys):
    found, backend = tmp_path / "found.json", keras.backend.backend()
    argv = [name, "--quick", "--backends", backend, "--json", str(found)]
    assert errors.run(benchmark.main, argv) == 0
    assert len(json.loads(found.read_text())) == rows
    assert backend in capsys.readouterr().out


def test_difference_sees_one_wrong_gradient():
    ours = (1.0, {"a": np.ones(3), "b": np.ones(2)})
    theirs = (1.0, {"a": np.ones(3), "b": np.array([1.0, 1.1])})
    assert by_hand.difference(ours, ours) == 0
    assert by_hand.difference(ours, theirs) == pytest.approx(0.1 / 2**0.5)
    with pytest.raises(ValueError, match="lacks"):
        by_hand.difference(ours, (1.0, {"a": np.ones(3)}))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_rate_of_a_matrix_product(dtype, monkeypatch):
    monkeypatch.setattr(train, "LARGEST_MATMUL", 256)
    size, rate = train.matmul_rate(dtype)
    assert size == 256
    assert rate > 0
