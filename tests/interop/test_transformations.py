"""Every public transformation of every awkward model: equal outputs, or a refusal with a name.

What a transformation is given and cannot treat rightly it must refuse in a sentence that names a
layer of the model. That is all this asks, so that what is added, a model or a transformation, is
tested with all of the others.
"""

import contextlib
import importlib.util

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres import models, probes, serve
from keras_recres.layers import RecurrentResidual
from keras_recres.serve import formats
from tests.interop.models import MODELS
from tests.marks import slow_on
from tests.serve.conftest import checked_here

BACKEND = keras.backend.backend()


def substituted(model, tmp_path):
    """A copy in which a rule keeps every layer."""
    return models.substitute(model, {"*": lambda layer, shape: "kept"}, verbose=False)[0]


def factorized(model, tmp_path):
    """A copy whose convolutions of rank one are rows and columns."""
    rule = models.rules.factorize("asymmetric", "svd", width=1)
    copy, table = models.substitute(model, {"*": rule}, verbose=False)
    assert all("relative error of the kernel" in r.note for r in table.rows if r.substitute)
    assert any(r.substitute for r in table.rows) or not any(
        isinstance(layer, keras.layers.Conv2D) for layer in model.layers
    )
    return copy


def untied(model, tmp_path):
    return models.untie(model)


def repeated(model, tmp_path):
    return models.recurrent(model, models.rules.repeat(2), verbose=False)[0]


def folded(model, tmp_path):
    return models.recurrent(model, models.rules.fold(rank="exact"), verbose=False)[0]


def saved(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return keras.saving.load_model(tmp_path / "model.keras")


def int8(model, tmp_path):
    return serve.quantized(model)


def cloned(model, tmp_path):
    """Keras' own copy."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def tied(model, tmp_path):
    """No copy: every recurrent layer is untied and tied again, and compared."""
    for layer in model._flatten_layers():
        if isinstance(layer, RecurrentResidual):
            again = RecurrentResidual.tie(layer.untie())
            shape = layer.get_build_config()["input_shape"][1:]
            x = np.random.default_rng(1).normal(size=(5, *shape)).astype("float32")
            expected = layer(x, return_states=False, training=False)
            close(again(x, training=False), expected)
    return model


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


def looked_into(model, tmp_path):
    """Nor here: probes of the graph and of its parts answer, or name what they cannot."""
    x = np.ones((2, *model.inputs[0].shape[1:]), model.inputs[0].dtype)
    looks = [lambda: probes.receptive_field(model)]
    if BACKEND != "jax":  # Which compiles every part for itself.
        looks.append(lambda: probes.paths(model, x, lengths=[0], repeats=1))
    for look in looks:
        try:
            look()
        except ValueError as refusal:
            names_a_layer(model, refusal)
    return model


TRANSFORMATIONS = (substituted, factorized, untied, tied, repeated, folded, cloned, saved, int8)
TRANSFORMATIONS += (counted, probed, looked_into)
# Keras' own copy lacks what is not a weight, such as the mean of a Normalization.
NOT_OURS = {("adapted", "cloned")}
# An 8-bit copy rounds: as a share of the largest output.
TOLERANCE = {int8: 0.1}


# What a transformation of a single layer may round.
ATOL = 1e-5


def computed(model, inputs):
    outputs = keras.tree.flatten(model(inputs, training=False))
    return [ops.convert_to_numpy(ops.cast(one, "float32")) for one in outputs]


def close(found, expected, atol=ATOL):
    found, expected = (ops.convert_to_numpy(ops.cast(x, "float32")) for x in (found, expected))
    np.testing.assert_allclose(found, expected, atol=atol * max(1, np.abs(expected).max()), rtol=0)


def held(model):
    """Values of all that a model holds: weights, and what its metrics have counted."""
    return [ops.convert_to_numpy(v) for v in (*model.weights, *model.metrics_variables)]


def names_a_layer(model, refusal):
    said = str(refusal)
    # The model's own name counts: it is what does not fit as a whole.
    assert any(f"'{layer.name}'" in said for layer in model._flatten_layers()), said
    assert "\n" not in said


@contextlib.contextmanager
def equal_or_refused(model, inputs, record):
    """Equal outputs or a refusal that names a layer; either way the model is what it was."""
    before, values = computed(model, inputs), held(model)
    try:
        yield before
        record("cell", "equal")
    except ValueError as refusal:
        names_a_layer(model, refusal)
        record("cell", "refused")
    for a, b in zip(held(model), values, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(computed(model, inputs), before, strict=True):
        np.testing.assert_array_equal(a, b)


@slow_on("jax", "tensorflow")
@pytest.mark.parametrize("transform", TRANSFORMATIONS, ids=lambda one: one.__name__)
@pytest.mark.parametrize("build", MODELS, ids=lambda one: one.__name__)
def test_outputs_are_equal_or_a_layer_is_named(build, transform, tmp_path, record_property):
    if (build.__name__, transform.__name__) in NOT_OURS:
        pytest.skip("Keras' own clone_model leaves out what is not a weight")
    keras.utils.set_random_seed(0)
    model, inputs = build()
    with equal_or_refused(model, inputs, record_property) as before:
        for a, b in zip(computed(transform(model, tmp_path), inputs), before, strict=True):
            close(a, b, TOLERANCE.get(transform, ATOL))


def exporters():
    """{kind: function of a model and a folder that gives a function of inputs} of what is here."""

    def saved_model(model, folder):
        import tensorflow as tf

        with checked_here():
            path = serve.export(model, folder, warmup=False)
        answer = tf.saved_model.load(str(path)).signatures["serving_default"]
        (name,) = answer.structured_input_signature[1]
        return lambda x: answer(**{name: tf.constant(x)})["logits"].numpy()

    def other(kind):
        def write(model, folder):
            file = folder / f"model{formats.SUFFIXES[kind]}"
            formats.write(model, file, kind, None, ATOL)
            return formats.LOADERS[kind](str(file))

        return write

    kinds = {}
    if importlib.util.find_spec("tensorflow"):
        kinds["saved_model"] = saved_model
    for kind in ("onnx", "litert"):
        with contextlib.suppress(ImportError, ValueError):
            formats.check(kind)
            kinds[kind] = other(kind)
    return kinds


@pytest.mark.slow
@pytest.mark.parametrize("build", MODELS, ids=lambda one: one.__name__)
def test_exports_answer_as_the_model_or_a_layer_is_named(build, tmp_path, record_property):
    kinds = exporters()
    if not kinds:
        pytest.skip("SavedModels need TensorFlow, and the packages of other formats are missing")
    keras.utils.set_random_seed(0)
    model, inputs = build()
    # One each, since an export takes seconds: all formats come up among the models.
    export = [*kinds.values()][MODELS.index(build) % len(kinds)]
    with equal_or_refused(model, inputs, record_property) as before:
        answer = export(model, tmp_path)
        dtype = model.inputs[0].dtype
        close(answer(np.asarray(inputs, dtype)), before[0])
