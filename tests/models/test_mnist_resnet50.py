"""The slides' ResNet-50: counts to the unit, what it shares with keras.applications', arguments.

It takes seconds to build, so that one network serves most of these tests.
"""

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres.backend import keras_private
from keras_recres.layers import AlphaReLU
from keras_recres.models import mnist_resnet50
from tests.gradients import computed
from tests.marks import slow_on_tensorflow

# The zoo's battery computes this network on each backend.
pytestmark = pytest.mark.neutral
IMAGES = np.random.default_rng(0).uniform(0, 1, (2, 28, 28, 1)).astype("float32")


@pytest.fixture(scope="module")
def alpha_relu():
    return mnist_resnet50("alpha_relu", "glorot_uniform", alpha=0.3, max_slope=5.0)


def of(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


@slow_on_tensorflow
def test_counts_are_those_of_the_slides_to_the_unit(alpha_relu):
    trainable = sum(int(np.prod(w.shape)) for w in alpha_relu.trainable_weights)
    assert (alpha_relu.count_params(), trainable) == (23_601_930, 23_548_810)
    convolutions = of(alpha_relu, keras.layers.Conv2D)
    assert len(convolutions) == 53
    assert all(layer.use_bias for layer in convolutions)


def test_sizes_of_the_maps(alpha_relu):
    sizes = {
        "conv1_conv": (14, 14, 64),
        "pool1_pool": (6, 6, 64),
        "conv2_block3_out": (6, 6, 256),
        "conv3_block4_out": (3, 3, 512),
        "conv4_block6_out": (2, 2, 1024),
        "conv5_block3_out": (1, 1, 2048),
        "flatten": (2048,),
    }
    for name, size in sizes.items():
        assert tuple(alpha_relu.get_layer(name).output.shape[1:]) == size, name


def test_the_activation_is_everywhere(alpha_relu):
    activations = of(alpha_relu, AlphaReLU)
    assert len(activations) == 49
    assert {(layer.alpha, layer.max_slope) for layer in activations} == {(0.3, 5.0)}
    assert not of(alpha_relu, keras.layers.Activation)


def test_every_kernel_begins_with_the_initializer(alpha_relu):
    layers = [*of(alpha_relu, keras.layers.Conv2D), alpha_relu.get_layer("head")]
    initializers = [layer.kernel_initializer for layer in layers]
    assert {type(i).__name__ for i in initializers} == {"GlorotUniform"}
    assert len({i.seed for i in initializers}) == len(initializers)
    for layer in layers:
        *size, inputs, outputs = layer.kernel.shape
        limit = (6 / ((inputs + outputs) * np.prod(size))) ** 0.5
        kernel = ops.convert_to_numpy(layer.kernel)
        assert 0.9 * limit < np.abs(kernel).max() <= 1.0001 * limit


@slow_on_tensorflow
def test_saved_and_loaded_with_its_features(alpha_relu, tmp_path):
    want = computed(alpha_relu, IMAGES, training=False)
    assert want.shape == (2, 10)
    assert np.isfinite(want).all()
    alpha_relu.save(tmp_path / "model.keras")
    with keras_private.values_given_later():
        loaded = keras.models.load_model(tmp_path / "model.keras")
    features = keras.Model(loaded.input, loaded.get_layer("flatten").output)
    got = computed(loaded.get_layer("head"), computed(features, IMAGES, training=False))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_relu_network_is_that_of_keras_applications_but_for_the_margin_of_a_pooling():
    """With the margin put back, equal weights give equal features."""
    model = mnist_resnet50("relu", features_only=True)
    assert model.output_shape == (None, 2048)
    inputs = keras.Input((28, 28, 1))
    with keras_private.values_given_later():
        keras_own = keras.applications.ResNet50(
            weights=None, include_top=False, input_tensor=inputs
        )
        keras_own.set_weights(model.get_weights())
    margin = {"pool1_pad": keras.layers.ZeroPadding2D(1)}
    with_margin = keras.models.clone_model(
        model, clone_function=lambda layer: margin.get(layer.name) or layer
    )
    got = computed(with_margin, IMAGES, training=False)
    want = computed(keras_own, IMAGES, training=False).reshape(2, 2048)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * np.abs(want).max())
    without = computed(model, IMAGES, training=False)
    assert np.abs(without - want).max() > 0.01 * np.abs(want).max()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"activation": "rleu"}, ("`activation`", "'rleu'", "'relu'")),
        ({"initializer": "xavier"}, ("`initializer`", "'xavier'", "'glorot_uniform'")),
        ({"num_classes": 0}, ("`num_classes`", "0")),
        ({"input_shape": (28, 28)}, ("`input_shape`", "(28, 28)")),
        ({"input_shape": (8, 28, 1)}, ("`input_shape`", "(8, 28, 1)", "9")),
        ({"activation": "alpha_relu", "alpha": 0}, ("`alpha`", "0")),
        ({"activation": "alpha_relu", "max_slope": 0.5}, ("`max_slope`", "0.5")),
    ],
)
def test_wrong_arguments_are_refused_in_one_sentence(changed, words):
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        mnist_resnet50(**changed)
    assert all(word in str(refused.value) for word in words), refused.value
