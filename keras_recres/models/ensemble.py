"""ensemble: one model of several."""

from collections.abc import Sequence

import keras

from keras_recres.backend.keras_private import function_of, producer
from keras_recres.layers.checks import check_choice

# What the zoo said of the members that must be the same for one input and one answer.
ALIKE = ("preprocess", "class_names")


def ensemble(
    models: Sequence[keras.Model], average: str = "probabilities", *, name: str = "ensemble"
) -> keras.Model:
    """One model whose answer is the mean of several models' answers to the same input.

    p = (1 / M) Σ_m softmax(z_m), or z = (1 / M) Σ_m z_m for the logits. Of members with auxiliary
    outputs the first output counts. The members' layers are shared, not copied.

    Example:
    >>> members = [keras_recres.models.cifar_resnet(8, name=name) for name in "abc"]
    >>> keras_recres.models.ensemble(members)(keras.ops.ones((1, 32, 32, 3))).shape
    (1, 10)

    Args:
        models: Two or more functional or Sequential models of one input, of equal shapes, and
            equal numbers of classes.
        average: "probabilities", whatever the members give, or "logits", if they give these.
        name: Name of the model.

    Returns:
        A functional keras.Model that gives probabilities or logits, (batch, …, classes).

    Raises:
        ValueError: If a member is another model than these, inputs, preprocessing or classes
            differ, or probabilities are to be averaged as logits.
    """
    check_choice("average", average, ("probabilities", "logits"))
    models = [*models] if isinstance(models, list | tuple) else [models]
    if len(models) < 2:
        raise ValueError(f"`models` must be two models or more, but there are {len(models)}.")
    for model in models:
        if function_of(model) is None or len(function_of(model).inputs) != 1:
            raise ValueError(
                "`models` must be built functional or Sequential models of one input each, but "
                f"{getattr(model, 'name', model)!r} is not."
            )
        if average == "logits" and _gives_probabilities(model):
            raise ValueError(
                f"`average` is 'logits', but {model.name!r} gives probabilities: use "
                "'probabilities', or build it with classifier_activation=None."
            )
    first, *others = models
    for other in others:
        _check_alike(first, other)
    x = function_of(first).inputs[0]
    inputs = keras.Input(x.shape[1:], dtype=x.dtype)
    answers = []
    for i, model in enumerate(models):
        function = function_of(model)
        # A name of its own, since members may have the same one.
        member = keras.Model(function.inputs, function.outputs[0], name=f"member{i}")
        answer = member(inputs)
        if average == "probabilities" and not _gives_probabilities(model):
            answer = keras.layers.Softmax(name=f"probabilities{i}")(answer)
        answers.append(answer)
    whole = keras.Model(inputs, keras.layers.Average(name=average)(answers), name=name)
    for fact in ALIKE:
        if hasattr(first, fact):
            setattr(whole, fact, getattr(first, fact))
    return whole


def _check_alike(first, other):
    (x, y), (p, q) = (
        [tensors(function_of(model))[0].shape for model in (first, other)]
        for tensors in (lambda f: f.inputs, lambda f: f.outputs)
    )
    for what, one, two in (("inputs", x[1:], y[1:]), ("classes", p[1:], q[1:])):
        if one != two:
            raise ValueError(
                f"`models` must have equal {what}, but {first.name!r} has {tuple(one)} and "
                f"{other.name!r} {tuple(two)}."
            )
    for fact in ALIKE:
        one, two = getattr(first, fact, None), getattr(other, fact, None)
        if None not in (one, two) and one != two:
            raise ValueError(
                f"`models` must have an equal `{fact}`, but that of {first.name!r} is {one!r} and "
                f"that of {other.name!r} {two!r}."
            )


def _gives_probabilities(model):
    layer, _ = producer(function_of(model).outputs[0])
    if function_of(layer) is not None:
        return _gives_probabilities(layer)
    softmax = getattr(layer, "activation", None) is keras.activations.softmax
    return softmax or isinstance(layer, keras.layers.Softmax)
