"""A name → a model without weights, with what its record says of it."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import keras

from keras_recres.layers.checks import plain
from keras_recres.zoo import text
from keras_recres.zoo.class_names import CLASS_NAMES
from keras_recres.zoo.registry import check_tag, nearest, resolve
from keras_recres.zoo.zoo_model import ZooModel


def build(
    name: str, tag: str | None = None, dtype: str | None = None, **overrides: Any
) -> ZooModel:
    """Builds the network of a name without weights.

    Args:
        name: A name of `zoo.list()`, or `"name.tag"`.
        tag: Build it as for this tag's data set; None for the network of the paper.
        dtype: A Keras dtype policy for the model. None for the global one.
        **overrides: Builder arguments that replace those of the config.

    Returns:
        A `keras.Model`, with the same four attributes as `load` sets.
    """
    record, own_tag = resolve(name)
    return network(record, check_tag(record, tag) if tag else own_tag, plain(overrides), dtype)


def network(record, tag, overrides, dtype):
    """The network of a record and a tag, with arguments that replace its own."""
    builder = _builder(record)
    arguments = {**record.arguments_of(tag), **overrides}
    accepted = inspect.signature(builder).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in accepted.values()):
        for key in overrides.keys() - accepted.keys():
            raise ValueError(
                f"{record.name!r} cannot be built with {key}={overrides[key]!r}"
                f"{nearest(key, accepted)}; its builder models.{record.builder} takes "
                f"{', '.join(accepted)}."
            )
    if "name" in accepted:
        arguments.setdefault("name", record.name)
    model = _under_policy(dtype, builder, arguments)
    preprocess = record.preprocessing_of(tag)
    if overrides.get("input_shape"):
        preprocess = preprocess.for_input_shape(overrides["input_shape"])
    if isinstance(preprocess, text.TextPreprocessing):
        words = model.get_layer("embedding").input_dim
        preprocess = replace(preprocess, words=words, length=model.input_shape[1])
    names = CLASS_NAMES.get(record.tags[tag].dataset) if tag else None
    if {"num_classes", "features_only"} & overrides.keys() or (
        names and len(names) != model.outputs[0].shape[-1]
    ):
        names = None  # It is another head than the data set's.
    describe(model, record, tag, preprocess, names)
    return model


def describe(model, record, tag, preprocess, names):
    """Gives a model what is known of it."""
    # Frozen dataclasses and strings: Keras tracks and counts none of them.
    model.zoo_record, model.zoo_tag, model.preprocess = record, tag, preprocess
    model.class_names = names
    # Which saves them; it is functional as before.
    model.__class__ = ZooModel


def set_channels(record, tag, overrides, in_channels):
    """Gives `input_shape` the channels that are asked for."""
    if in_channels is None:
        return
    shape = overrides.get("input_shape") or record.arguments_of(tag).get("input_shape") or ()
    if len(shape) != 3 or ("input_shape" in overrides and shape[-1] != in_channels):
        raise ValueError(
            f"in_channels={in_channels!r} does not suit the input shape {tuple(shape)}: give one "
            "of them, for a network of images."
        )
    overrides["input_shape"] = (*shape[:-1], plain(in_channels))


def _builder(record):
    from keras_recres import models

    if record.builder not in models.__all__:
        raise ValueError(
            f"{record.name!r} asks for the builder {record.builder!r}, which is not among "
            f"keras_recres.models: {', '.join(models.__all__)}."
        )
    return getattr(models, record.builder)


def _under_policy(dtype, builder, arguments):
    if dtype is None:
        return builder(**arguments)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        return builder(**arguments)
    finally:
        keras.config.set_dtype_policy(before)
