"""A model of the zoo made ready to train on a data set."""

import contextlib
import json

import keras
from keras import ops

from keras_recres import zoo
from keras_recres.models.families import TOLERANCE, family_of
from training.errors import UserError
from training.files import replacing


def overrides_of(steps, model_arguments):
    """Builder arguments given on the command line: values are JSON, else text.

    Example:
        >>> overrides_of("2,4,2", ["depth=3"])
        {'depth': 3, 'steps': (2, 4, 2)}
    """
    overrides = {}
    for item in model_arguments:
        key, equals, value = item.partition("=")
        if not (key.isidentifier() and equals):
            raise UserError(f"--model-arguments takes KEY=VALUE, found {item!r}.")
        with contextlib.suppress(ValueError):
            value = json.loads(value)
        overrides[key] = tuple(value) if isinstance(value, list) else value
    if steps:
        try:
            numbers = tuple(int(number) for number in steps.split(","))
        except ValueError:
            raise UserError(f"--steps takes numbers such as 2,4,2, found {steps!r}.") from None
        overrides["steps"] = numbers if len(numbers) > 1 else numbers[0]
    return overrides


def build(name, peek, overrides, precision="float32"):
    """Builds a model of the zoo for a data set.

    Args:
        name: a name of the zoo.
        peek: an ``Images`` record of the data set, one image is enough.
        overrides: builder arguments that replace the config's.
        precision: a Keras dtype policy.

    Returns:
        The model, whose ``preprocess`` is right for the data set, and the overrides that it was
        built with: when the config has no tag for the data set, input shape and classes follow
        the data, sides brought into what the family takes.
    """
    record = record_of(name)
    family = family_of(record.builder)
    if family.holds != peek.holds:
        raise UserError(f"{name!r} takes {family.taken}, but {peek.dataset} has {peek.holds}.")
    if "classifier_activation" in overrides:
        raise UserError(
            "classifier_activation cannot be set here: training takes logits, found "
            f"{overrides['classifier_activation']!r}."
        )
    try:
        tag = peek.tag if peek.tag in record.tags else None
        if tag is None:
            known = {"num_classes": len(peek.class_names)}
            if peek.holds != "texts":
                known["input_shape"] = family.nearest_shape(peek.images.shape[1:])
            overrides = {**known, **overrides}
        model = zoo.build(record.name, tag=tag, dtype=precision, **overrides)
    except (ValueError, TypeError) as error:
        raise UserError(str(error)) from None
    classes = model.outputs[0].shape[-1]
    if peek.holds == "texts":
        if classes != len(peek.class_names):
            raise UserError(
                f"{name!r} as asked for gives {classes} classes, but {peek.dataset} has "
                f"{len(peek.class_names)}."
            )
    elif classes != len(peek.class_names) or model.input_shape[-1] != peek.images.shape[-1]:
        raise UserError(
            f"{name!r} as asked for takes {model.input_shape[-1]} channels and gives {classes} "
            f"classes, but {peek.dataset} has {peek.images.shape[-1]} and {len(peek.class_names)}."
        )
    return model, overrides


def record_of(name):
    """The zoo's record of a name.

    Raises:
        UserError: the name is unknown.
    """
    try:
        return zoo.info(name)
    except ValueError as error:
        raise UserError(str(error)) from None


def compile_model(
    model, optimizer, label_smoothing=0.0, rubbish=None, steps_per_execution=1, shared=False
):
    """Compiles a classifier: optimizer, cross-entropy on logits, accuracy.

    Of a network whose answers are numbers, the loss is the mean of their squared errors; of one
    that gives pixels, of their binary cross-entropies.

    Args:
        model: a model that gives logits; labels are one-hot.
        optimizer: what `optimizers.make` gives.
        label_smoothing: 0 to below 1.
        rubbish: j of `Rubbish`, or None; then labels are not smoothed.
        steps_per_execution: training steps in one call of the backend; PyTorch only knows 1.
        shared: whether several devices share a batch.
    """
    record = getattr(model, "zoo_record", None)
    answers = _answers(model)
    if answers == "numbers":
        loss = keras.losses.MeanSquaredError()
    elif answers == "pixels":
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
    elif rubbish is None:
        loss = keras.losses.CategoricalCrossentropy(True, label_smoothing=label_smoothing)
    else:
        loss = Rubbish(rubbish)
    convolutions = record is not None and family_of(record.builder).convolutional
    model.compile(
        optimizer=optimizer,
        loss=loss,
        metrics=[accuracy(model)],
        # XLA has no collective operations on a processor, which sum what devices found.
        jit_compile="auto" if shared else jit_compile(convolutions),
        steps_per_execution=1 if keras.backend.backend() == "torch" else steps_per_execution,
    )


class Rubbish(keras.losses.Loss):
    """Cross-entropy with one class more, of images of nothing, whose logit is fixed at −j.

    E = mean(−z_label + log(e^−j + Σ_i e^z_i))

    With the penalties y = −z it is LeNet-5's loss (LeCun, Bottou, Bengio and Haffner,
    "Gradient-based learning applied to document recognition", 1998, section II.C; no arXiv number):
    the −j keeps penalties of right classes from growing as long as those of wrong ones grow, too.
    """

    def __init__(self, j):
        super().__init__(name="rubbish")
        self.j = j

    def call(self, answers, logits):
        rubbish = ops.full_like(logits[..., :1], -self.j)
        everything = ops.logsumexp(ops.concatenate([logits, rubbish], axis=-1), axis=-1)
        return everything - ops.sum(answers * logits, axis=-1)


def accuracy(model):
    """The metric: how many examples have the right class, or, of grids, right classes in all cells.

    Keras' own would count cells, of which nearly all are right long before one example is. Of
    answers that are numbers, how many examples have all of them within `TOLERANCE`; of pixels, how
    many are on the right side of a half.
    """
    right = {"classes": _right, "numbers": _near, "pixels": _bright}[_answers(model)]
    return keras.metrics.MeanMetricWrapper(right, name="accuracy")


def _answers(model):
    record = getattr(model, "zoo_record", None)
    return "classes" if record is None else family_of(record.builder).answers


def _bright(answers, logits):
    right = ops.cast(ops.equal(answers > 0.5, logits > 0), "float32")
    return ops.mean(ops.reshape(right, (ops.shape(right)[0], -1)), axis=-1)


def _near(answers, outputs):
    error = ops.reshape(ops.abs(answers - outputs), (ops.shape(outputs)[0], -1))
    return ops.all(error <= TOLERANCE, axis=-1)


def _right(answers, logits):
    right = ops.equal(ops.argmax(answers, axis=-1), ops.argmax(logits, axis=-1))
    return ops.all(ops.reshape(right, (ops.shape(right)[0], -1)), axis=-1)


def jit_compile(convolutions=False):
    """What `compile` is told of XLA: use it on TensorFlow, where Keras would on GPUs alone.

    A training step of vit3 takes 0.4 to 0.8 of the time with it, but one of a network of
    convolutions twice the time on a processor; elsewhere Keras chooses well.

    Args:
        convolutions: whether the model is mostly convolutions.
    """
    return True if keras.backend.backend() == "tensorflow" and not convolutions else "auto"


def save_weights(model, path):
    """Saves a model's weights, whole or not at all; the optimizer's are left out.

    Keras would save those too: three times the size, and nothing that anyone loads.

    Args:
        model: the model; its optimizer is left as it was.
        path: a file whose name ends in .weights.h5.
    """
    _save(model, model.save_weights, path)


def save_model(model, path):
    """Saves a whole model, as `save_weights` does its weights: not compiled, for whoever has Keras.

    Args:
        model: the model; it stays compiled.
        path: a file whose name ends in .keras.
    """
    compiled, model.compiled = model.compiled, False
    try:
        _save(model, model.save, path)
    finally:
        model.compiled = compiled


def _save(model, save, path):
    optimizer, model.optimizer = getattr(model, "optimizer", None), None
    try:
        with replacing(path) as aside:
            save(aside)
    finally:
        model.optimizer = optimizer
