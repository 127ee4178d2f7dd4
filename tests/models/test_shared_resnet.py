"""ResNets with one block a stage: counts to the unit, steps, and per-step weights."""

import keras
import numpy as np
import pytest

from keras_recres.models import multiply_adds, shared_resnet
from tests.marks import slow_on

UNTIED = ("norm", "conv1", "conv2")


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("arguments", "parameters", "products"),
    [
        ({"steps": 1}, 122_234, 16_958_080),
        ({"steps": 3}, 124_026, 45_269_632),
        ({"steps": 3, "unshare": ()}, 122_234, 45_269_632),
        ({"steps": 3, "unshare": UNTIED}, 317_562, 45_269_632),
    ],
)
def test_counts_are_those_of_the_arithmetic(arguments, parameters, products):
    model = shared_resnet(**arguments)
    assert model.count_params() == parameters
    assert multiply_adds(model).total == products
    # Three stages of 2 · 9 c² and 2 norms of 4 c; each 4 c norm after a convolution; the head.
    block = sum(2 * 9 * c * c + 2 * 4 * c for c in (16, 32, 64))
    rest = 9 * (3 * 16 + 16 * 32 + 32 * 64) + 4 * (16 + 32 + 64) + 64 * 10 + 10
    assert shared_resnet(1).count_params() == block + rest


@pytest.mark.neutral
def test_a_plain_network_is_what_its_blocks_give_without_what_they_got():
    layer = shared_resnet(2, shortcut="none", **SMALL).get_layer("stage0")
    z = np.random.default_rng(1).normal(size=(2, 8, 8, 4)).astype("float32")
    wanted = keras.ops.convert_to_numpy(layer.branch(layer.branch(z)))
    # At their beginning each step's own norms are the branch's.
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(z)), wanted, rtol=1e-4, atol=1e-5)


@slow_on("jax")
def test_a_block_is_added_as_often_as_it_runs():
    x = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3)).astype("float32")
    small = {"filters": (4, 6), "input_shape": (8, 8, 3)}
    twice, untied = (shared_resnet(2, unshare=u, **small) for u in ((), UNTIED))
    # Weights of the second step that differ from the first's change the untied network alone.
    layer = untied.get_layer("stage1")
    before = keras.ops.convert_to_numpy(untied(x))
    for variable in (steps[1] for steps in layer.own_per_step if steps[0].trainable):
        variable.assign(variable + 0.5)
    assert np.abs(keras.ops.convert_to_numpy(untied(x)) - before).max() > 1e-3
    stage = twice.get_layer("stage0")
    z = np.random.default_rng(1).normal(size=(2, 8, 8, 4)).astype("float32")
    wanted = z
    for _ in range(2):
        wanted = wanted + keras.ops.convert_to_numpy(stage.branch(wanted))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(stage(z)), wanted, rtol=1e-4, atol=1e-5)


SMALL = {"filters": (4, 6), "input_shape": (8, 8, 3)}
BOTH_WAYS = ((1, 1), (1, 0))


def test_states_step_at_once():
    """After the equation, with the operators of the network that have been given other weights."""
    model = shared_resnet(3, transitions=BOTH_WAYS, unshare=(), **SMALL)
    rng = np.random.default_rng(0)
    for w in model.weights:
        w.assign(np.abs(rng.normal(size=w.shape)) / max(1, np.prod(w.shape[:-1])) ** 0.5)
    x = rng.normal(size=(2, 8, 8, 3)).astype("float32")

    def chain(x, *names):
        for name in names:
            x = keras.ops.relu(x) if name == "relu" else model.get_layer(name)(x)
        return x

    def operator(name, x, convolutions=1):
        for i in range(1, convolutions + 1):
            x = chain(x, f"{name}_norm{i}", "relu", f"{name}_conv{i}")
        return x

    first = chain(x, "stem_conv", "stem_norm", "relu")
    # Nothing is in the second state before the first step has reached it.
    states = [first + operator("state0_from0", first, 2), operator("state1_from0", first)]
    for _ in range(2):
        one, two = states
        up = keras.ops.repeat(keras.ops.repeat(operator("state0_from1", two), 2, 1), 2, 2)
        states = [one + operator("state0_from0", one, 2) + up, two + operator("state1_from0", one)]
    wanted = chain(states[1], "mean", "logits")
    np.testing.assert_allclose(
        *(keras.ops.convert_to_numpy(y) for y in (model(x), wanted)), rtol=1e-4
    )


@pytest.mark.neutral
def test_operators_are_shared_by_the_steps_but_for_norms():
    three, five = (shared_resnet(n, transitions=BOTH_WAYS, **SMALL).count_params() for n in (3, 5))
    # f of the first state has two norms of 4 channels, of the operators between one has 4, one 6.
    assert five - three == 2 * 4 * (2 * 4 + 4 + 6)
    shared = (shared_resnet(n, transitions=BOTH_WAYS, unshare=(), **SMALL) for n in (3, 5))
    assert len({model.count_params() for model in shared}) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"transitions": ((1, 0),), "filters": (4, 6)}, "`transitions` must be 2 rows of 2 numb"),
        ({"transitions": ((1, 0), (0.5, 1)), "filters": (4, 6)}, "`transitions` must be 2 rows"),
        ({"transitions": ((1, 0), (0, 1)), "filters": (4, 6)}, "the last one within 3 steps, but"),
        ({"transitions": BOTH_WAYS, "unshare": "conv1", "filters": (4, 6)}, "'norm' or nothing"),
        (
            {"transitions": BOTH_WAYS, "shortcut": "none", "filters": (4, 6)},
            "`shortcut` must be",
        ),
        ({"transitions": BOTH_WAYS, "filters": (4, 6), "input_shape": (9, 8, 3)}, "multiples of 2"),
        ({"filters": ()}, "`filters` must be the channels of each stage"),
        ({"filters": (8, 0)}, "`filters` must be an integer of at least 1"),
        ({"input_shape": (3, 32, 3)}, "sides of at least 4 pixels"),
        ({"unshare": "conv3"}, "conv3"),
        ({"steps": 0}, "`steps` must be an integer of at least 1"),
    ],
)
@pytest.mark.neutral
def test_bad_input_is_one_sentence(arguments, said):
    with pytest.raises(ValueError, match=said):
        shared_resnet(**arguments)
