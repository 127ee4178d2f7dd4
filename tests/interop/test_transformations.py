"""Every public transformation of every awkward model: equal outputs, or a refusal with a name.

What a transformation is given and cannot treat rightly it must refuse in a sentence that names a
layer of the model. That is all this asks, so that what is added, a model or a transformation, is
tested with all of the others.
"""

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres import models, probes, serve
from tests.interop.models import MODELS
from tests.marks import slow_on_tensorflow

BACKEND = keras.backend.backend()


def substituted(model, tmp_path):
    """A copy in which a rule keeps every layer."""
    return models.substitute(model, {"*": lambda layer, shape: "kept"}, verbose=False)[0]


def untied(model, tmp_path):
    return models.untie(model)


def saved(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return keras.saving.load_model(tmp_path / "model.keras")


def int8(model, tmp_path):
    return serve.quantized(model)


def counted(model, tmp_path):
    """No copy: the count must be there, and the model as it was."""
    assert models.multiply_adds(model).total > 0
    return model


def probed(model, tmp_path):
    """No copy, either; the probe itself compares with differences of the outputs."""
    if len(model.inputs) > 1 or "int" in model.inputs[0].dtype:
        pytest.skip("a curve is of floats, and of one input")
    shape = model.inputs[0].shape[1:]
    rng = np.random.default_rng(1)
    curve = probes.curves.ellipse(*(rng.normal(size=shape) for _ in range(3)))
    assert (probes.extrinsic_curvature(model, curve, curve.theta(4)).kappa >= 0).all()
    return model


TRANSFORMATIONS = (substituted, untied, saved, int8, counted, probed)
# An 8-bit copy rounds: as a share of the largest output.
TOLERANCE = {int8: 0.1}


def computed(model, inputs):
    outputs = keras.tree.flatten(model(inputs, training=False))
    return [ops.convert_to_numpy(ops.cast(one, "float32")) for one in outputs]


def names(model):
    """Names of the layers, also those within others."""
    return {layer.name for layer in model._flatten_layers()}


@slow_on_tensorflow
@pytest.mark.parametrize("transform", TRANSFORMATIONS, ids=lambda one: one.__name__)
@pytest.mark.parametrize("build", MODELS, ids=lambda one: one.__name__)
def test_outputs_are_equal_or_a_layer_is_named(build, transform, tmp_path):
    keras.utils.set_random_seed(0)
    model, inputs = build()
    before, weights = computed(model, inputs), [ops.convert_to_numpy(w) for w in model.weights]
    try:
        other = transform(model, tmp_path)
    except ValueError as refusal:
        said = str(refusal)
        assert any(f"'{name}'" in said for name in names(model)), said
        assert "\n" not in said
    else:
        atol = TOLERANCE.get(transform, 1e-5)
        for a, b in zip(computed(other, inputs), before, strict=True):
            np.testing.assert_allclose(a, b, atol=atol * max(1, np.abs(b).max()), rtol=0)
    # Either way the given model is what it was.
    for a, b in zip(model.weights, weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(a), b)
    for a, b in zip(computed(model, inputs), before, strict=True):
        np.testing.assert_array_equal(a, b)
