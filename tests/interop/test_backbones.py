"""Backbones of keras-cv and keras-hub: blocks, substitutes, curvature and export work on them."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_recres import models, probes, serve

pytestmark = [
    pytest.mark.slow,
    pytest.mark.neutral,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="keras-cv needs TensorFlow"),
]
STAGES = {"filters": [64, 128], "blocks": [3, 3], "strides": [1, 1]}
SHAPE = (16, 16, 3)


def of_keras_cv():
    package = pytest.importorskip("keras_cv", exc_type=ImportError)
    arguments = {f"stackwise_{key}": value for key, value in STAGES.items()}
    return package.models.ResNetV2Backbone(**arguments, include_rescaling=False, input_shape=SHAPE)


def of_keras_hub():
    package = pytest.importorskip("keras_hub", exc_type=ImportError)
    return package.models.ResNetBackbone(
        **{f"stackwise_num_{key}": value for key, value in STAGES.items()},
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        block_type="bottleneck_block",
        image_shape=SHAPE,
    )


@pytest.fixture(scope="module", params=[of_keras_cv, of_keras_hub])
def classifier(request):
    """A backbone with a head, as users build it."""
    backbone = request.param()
    x = layers.GlobalAveragePooling2D()(backbone.output)
    return keras.Model(backbone.input, layers.Dense(5, name="logits")(x), name="classifier")


def test_its_blocks_are_found(classifier):
    runs = [run for run in models.blocks(classifier) if run.count > 1]
    assert [run.count for run in runs] == [2, 2]
    assert all(run.residual for run in runs)


def test_its_convolutions_are_replaced(classifier):
    slim, _ = models.substitute(classifier, models.rules.meta_conv2d(groups=4), verbose=False)
    assert slim.count_params() < classifier.count_params()
    assert slim(np.zeros((2, *SHAPE), "float32")).shape == (2, 5)


def test_its_curvature_is_measured(classifier):
    a, b = np.random.default_rng(0).normal(size=(2, *SHAPE))
    line = probes.curves.line(a, b)
    record = probes.extrinsic_curvature(classifier, line, line.theta(4), layers=["logits"])
    assert record.kappa.shape == (1, 4)
    assert np.isfinite(np.asarray(record.kappa)).all()


def test_it_is_served(classifier, tmp_path):
    path = serve.export(classifier, tmp_path, warmup=False)
    assert (path / "saved_model.pb").is_file()
