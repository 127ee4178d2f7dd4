"""The functions of a served model and their names. TensorFlow only."""

import pathlib
import tempfile

import tensorflow as tf

from keras_recres.backend import tensorflow_text
from keras_recres.backend.keras_private import sublayers
from keras_recres.serve import images, steps
from keras_recres.serve.network import Network
from keras_recres.zoo.text import TextPreprocessing

LABELS = "labels.txt"


def write(model, folder, preprocessing, labels, max_pixels, max_steps):
    """Writes a model as a SavedModel with its signatures.

    Returns:
        The names of the signatures.
    """
    network = Network(model)
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch) / LABELS
        path.write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
        module = tf.Module(name=model.name)
        # What is tracked is saved: values of the model and of its random state.
        module.values = [variable.value for variable in model.variables]
        # And the tables of lookup layers, which are not among the variables.
        module.tables = [
            part
            for layer in sublayers(model)
            for part in vars(layer).values()
            if isinstance(part, tf.saved_model.experimental.TrackableResource)
        ]
        module.table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                str(path),
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
            ),
            default_value="",
        )
        if isinstance(preprocessing, TextPreprocessing):
            module.words = tensorflow_text.table_of(preprocessing.known)
        signatures = _functions(network, module, preprocessing, max_pixels, max_steps)
        tf.saved_model.save(module, str(folder), signatures=signatures)
    return sorted(signatures)


def _functions(network, module, preprocessing, max_pixels, max_steps):
    shape = network.input_shape
    name = "images" if len(shape) == 3 else "inputs"
    example = tf.TensorSpec((None, *shape), network.input_dtype, name=name)

    def answer(logits):
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "classes": module.table.lookup(tf.argmax(logits, axis=-1)),
        }

    def serving_default(x):
        return answer(network(_checked(x, shape, name))[1])

    def features(x):
        return {"features": network(_checked(x, shape, name))[0]}

    signatures = {
        "serving_default": tf.function(serving_default, input_signature=[example]),
        "features": tf.function(features, input_signature=[example]),
    }
    if isinstance(preprocessing, TextPreprocessing):

        def serving_texts(texts):
            texts = _checked(texts, (), "texts")
            x = tensorflow_text.look_up(texts, module.words, preprocessing.length)
            return answer(network(x)[1])

        texts = tf.TensorSpec((None,), tf.string, name="texts")
        signatures["serving_texts"] = tf.function(serving_texts, input_signature=[texts])
    elif preprocessing is not None:

        def serving_bytes(encoded):
            encoded = _checked(encoded, (), "image_bytes")
            x = images.decode_and_preprocess(encoded, preprocessing, shape[-1], max_pixels)
            return answer(network(x)[1])

        encoded = tf.TensorSpec((None,), tf.string, name="image_bytes")
        signatures["serving_bytes"] = tf.function(serving_bytes, input_signature=[encoded])
    if network.steps:
        count = len(network.steps)

        def serving_steps(x, wanted):
            x = _checked(x, shape, name)
            wanted = _checked_steps(_checked(wanted, (count,), "steps"), x, max_steps)
            _, logits = network.with_steps(
                x, lambda i, layer, x: steps.run(layer, x, wanted[:, i], max_steps)
            )
            return answer(logits)

        wanted = tf.TensorSpec((None, count), tf.int32, name="steps")
        signatures["serving_steps"] = tf.function(serving_steps, input_signature=[example, wanted])
    return {name: function.get_concrete_function() for name, function in signatures.items()}


def _checked(x, shape, name):
    """`x`, after its shape was compared with (batch, *shape) when the graph runs.

    TensorFlow Serving does not compare it. The placeholder between hides the declared shape from
    the optimiser, which would take it for true and remove the check.
    """
    hidden = tf.raw_ops.PlaceholderWithDefault(input=x, shape=None)
    found = tf.shape(hidden)
    right = tf.cond(
        tf.equal(tf.size(found), len(shape) + 1),
        lambda: tf.reduce_all(tf.equal(found[1:], tf.constant(shape, tf.int32))),
        lambda: tf.constant(False),
    )
    spelled = ", ".join(str(side) for side in ("batch", *shape))
    sentence = f"{name} must have shape ({spelled}), not"
    check = tf.debugging.Assert(right, [sentence, found], summarize=10)
    with tf.control_dependencies([check]):
        return tf.ensure_shape(tf.identity(hidden), (None, *shape))


def _checked_steps(wanted, x, max_steps):
    checks = [
        tf.debugging.Assert(
            tf.reduce_all((wanted >= 1) & (wanted <= max_steps)),
            [f"steps must lie between 1 and {max_steps}, not", wanted],
        ),
        tf.debugging.Assert(
            tf.equal(tf.shape(wanted)[0], tf.shape(x)[0]),
            [
                "steps must have a row for every example; rows and examples:",
                tf.shape(wanted)[0],
                tf.shape(x)[0],
            ],
        ),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(wanted)
