"""The forms that `benchmark param_savers` times against one another compute the same."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres.layers import MetaConv2D
from training.benchmarks import param_savers
from training.benchmarks import param_savers_forms as forms

pytestmark = pytest.mark.neutral


def randomize(layer):
    rng = np.random.default_rng(0)
    for weight in layer.weights:
        value = rng.normal(size=weight.shape) * 0.5
        weight.assign(np.abs(value) + 0.5 if "variance" in weight.path else value)


def outputs(layer, x):
    return ops.convert_to_numpy(layer(x))


def assert_same(one, other, *shape):
    x = np.random.default_rng(1).normal(size=shape).astype("float32")
    np.testing.assert_allclose(outputs(one, x), outputs(other, x), atol=1e-5)


def parameters(layer):
    return sum(int(np.prod(weight.shape)) for weight in layer.trainable_variables)


@pytest.mark.parametrize("options", [{}, {"activation": "prelu", "dropout": 0.1}])
def test_grouped_dense(options):
    both = forms.dense_forms(groups=4, units=3, **options)
    ours, separate = both["ours"], both["separate"]
    for layer in (ours, separate):
        layer(np.zeros((2, 20), "float32"))
    randomize(ours)
    for group, (dense, *chain) in enumerate(separate.maps):
        dense.kernel.assign(ours.kernel[group])
        dense.bias.assign(ours.bias[:, group])
        if options:
            chain[0].alpha.assign(ops.reshape(ops.reshape(ours.prelu.alpha, (-1,))[group], (1,)))
    assert parameters(ours) == parameters(separate)
    assert_same(ours, separate, 5, 20)


def give_groups(ours, separate):
    """Gives the layers for each group the weights of a MetaConv2D."""
    width, (*_, filters) = ours.filters // ours.groups, ours.kernel.shape
    slopes = ops.reshape(ours.prelu.alpha, (-1,))
    for group, (convolution, prelu, norm) in enumerate(separate.maps):
        own = slice(group * width, (group + 1) * width)
        assert own.stop <= filters
        convolution.kernel.assign(ours.kernel[..., own])
        convolution.bias.assign(ours.bias[own])
        prelu.alpha.assign(ops.reshape(slopes[group], prelu.alpha.shape))
        for name in ("gamma", "beta", "moving_mean", "moving_variance"):
            getattr(norm, name).assign(getattr(ours.norm, name)[own])
    separate.meta.kernel.assign(ours.meta.kernel)
    separate.meta_prelu.alpha.assign(
        ops.reshape(ours.meta_prelu.alpha, separate.meta_prelu.alpha.shape)
    )


def test_meta_conv_2d():
    both = forms.meta_forms(filters=8, groups=4)
    ours, separate = both["ours"], both["separate"]
    for layer in both.values():
        layer(np.zeros((2, 5, 5, 8), "float32"))
    randomize(ours)
    give_groups(ours, separate)
    assert parameters(ours) == parameters(separate)
    assert_same(ours, separate, 2, 5, 5, 8)


def test_a_network_with_separate_groups():
    inputs = keras.Input((6, 6, 4))
    x = MetaConv2D(8, 3, groups=4, name="meta")(inputs)
    ours = keras.Model(inputs, keras.layers.Dense(3, name="dense")(x))
    separate = forms.with_separate_groups(ours)
    randomize(ours)
    give_groups(ours.get_layer("meta"), separate.layers[1])
    separate.get_layer("dense").set_weights(ours.get_layer("dense").get_weights())
    assert parameters(ours) == parameters(separate)
    assert_same(ours, separate, 2, 6, 6, 4)


@pytest.mark.slow
def test_the_forms_of_conv3d_substitute_are_compared_while_they_are_timed():
    found = param_savers.measure("conv3d", (8, 8, 2, 1))
    assert found["difference"] < 1e-5
    assert set(found["train"]) == {"Conv3D", "auto", "banded", "planes"}
    assert min(found["train"].values()) > 0
