"""A vector field as a recurrent network, and networks that follow trajectories of oscillators."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres import models, zoo
from keras_recres.layers import RecurrentResidual
from keras_recres.layers.runge_kutta import RungeKutta
from keras_recres.zoo import problems

X = np.random.default_rng(0).normal(size=(3, 2)).astype("float32")


@pytest.fixture(scope="module")
def network():
    model = models.field_rnn(7, 6, dt=0.1, input_scale=(3.0, 4.0), trajectory=True)
    rng = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape))
    return model, ops.convert_to_numpy(model(X))


def test_steps_are_those_of_runge_kutta(network):
    model, found = network
    kernel, bias, velocity, drift = (w.astype("float64") for w in model.get_weights())

    def g(s):
        return np.tanh(s / (3, 4) @ kernel + bias) @ velocity + drift

    s = X.astype("float64")
    for t in range(6):
        first = g(s)
        second = g(s + 0.05 * first)
        third = g(s + 0.05 * second)
        s = s + 0.1 / 6 * (first + 2 * second + 2 * third + g(s + 0.1 * third))
        np.testing.assert_allclose(found[:, t], s, rtol=1e-4, atol=1e-5)
    assert models.multiply_adds(model).total == 6 * 4 * 2 * 2 * 7


def test_hidden_units_as_the_state_are_the_same_network(network):
    model, found = network
    rnn = models.field_to_rnn(model, steps=6, trajectory=True)
    np.testing.assert_allclose(ops.convert_to_numpy(rnn(X)), found, rtol=1e-3, atol=1e-4)
    recurrent = next(w for w in rnn.weights if w.shape == (7, 7))
    # As many directions as the state has numbers.
    assert np.linalg.matrix_rank(ops.convert_to_numpy(recurrent), tol=1e-4) == 2
    with pytest.raises(ValueError, match="must be a built Sequential of a Dense layer with tanh"):
        models.field_to_rnn(keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]))
    narrow = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(1, "tanh"), keras.layers.Dense(2)]
    )
    with pytest.raises(ValueError, match=r"its kernel has the shape \(2, 1\) and the rank 1"):
        models.field_to_rnn(narrow)
    for wrong in ({"num_classes": 3}, {"features_only": True}, {"hidden": 0}, {"dt": 0}):
        with pytest.raises(ValueError, match="must be"):
            models.field_rnn(**wrong)


def test_a_step_of_euler_is_a_residual_block(network):
    """s ← s + dt g(s): a block run in depth; Runge-Kutta's branch is one, too."""
    model, found = network
    field = model.get_layer("run").cell.branch.field
    block = RecurrentResidual(RungeKutta(field, 0.1), steps=6)
    np.testing.assert_allclose(ops.convert_to_numpy(block(X)), found[:, -1], rtol=1e-5, atol=1e-6)
    euler = models.residual_to_rnn(_built(RecurrentResidual(field, 6, residual_scale=0.1)))
    s = ops.convert_to_tensor(X)
    last = ops.convert_to_numpy(euler(np.zeros((3, 6, 2), "float32"), initial_state=s))
    for _ in range(6):
        s = s + 0.1 * field(s)
    np.testing.assert_allclose(last, ops.convert_to_numpy(s), rtol=1e-5, atol=1e-6)


def _built(layer):
    layer.build((None, 2))
    return layer


@pytest.mark.neutral
@pytest.mark.parametrize(("name", "size"), [("vanderpol", 2), ("duffing", 4)])
def test_the_data_are_trajectories(name, size):
    one, ten = (problems.read(f"{name}/{n}", "test", 20) for n in (1, 40))
    assert one.data.shape == one.labels.shape == (20, size)
    assert one.labels.dtype == "float32"
    assert len(one.class_names) == size
    assert np.abs(one.data[:, 0]).max() > 1
    # d/dt by a step of 0.01.
    x, v, *phase = one.data.T.astype("float64")
    slope = ((one.labels - one.data) / 0.01).T
    np.testing.assert_allclose(slope[0], v, atol=0.3)
    force = (1 - x**2) * v - x if not phase else x - x**3 - 0.2 * v + 0.3 * phase[0]
    np.testing.assert_allclose(slope[1], force, rtol=0.1, atol=0.5)
    if phase:
        turned = np.arctan2(ten.labels[:, 3], ten.labels[:, 2])
        before = np.arctan2(ten.data[:, 3], ten.data[:, 2])
        np.testing.assert_allclose(np.mod(turned - before, 2 * np.pi), 0.4, atol=1e-5)
    else:
        # Outside x² = 1 the oscillator loses energy, inside it gains.
        energy = (ten.labels**2).sum(1) - (ten.data**2).sum(1)
        assert (energy[np.abs(ten.data).min(1) > 2] < 0).all()


def test_names_of_the_zoo_take_any_number_of_steps():
    model = zoo.build("vanderpol_rnn", steps=3, trajectory=True)
    assert model(X).shape == (3, 3, 2)
    assert zoo.info("duffing_rnn").arguments["num_classes"] == 4
