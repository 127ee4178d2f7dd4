"""A small classifier in place of a T2T-ViT: what `fit` does is the same, and it compiles fast."""

import dataclasses

import keras

import keras_recres
from keras_recres import zoo


def build(name, peek, overrides, precision="float32"):
    """Takes and gives what `training.fit.models.build` does: a linear classifier with dropout."""
    return _build(
        name, peek, overrides, precision, keras.layers.Dropout(overrides.get("dropout", 0.2))
    )


def build_recurrent(name, peek, overrides, precision="float32"):
    """The same with a recurrent block, whose branch has the dropout."""

    def middle(x):
        layers = keras.layers
        x = layers.Dense(16, dtype=precision, name="stem")(x)
        dropout = layers.Dropout(overrides.get("dropout", 0.2))
        branch = keras.Sequential([layers.Dense(16, activation="tanh"), dropout])
        return keras_recres.layers.RecurrentResidual(
            branch, steps=overrides.get("steps", 2), name="block", dtype=precision
        )(x)

    return _build(name, peek, overrides, precision, middle)


def _build(name, peek, overrides, precision, middle):
    preprocess = dataclasses.replace(
        zoo.info("vit3").preprocessing_of("mnist"), size=peek.images.shape[1:3]
    )
    layers = keras.layers
    inputs = keras.Input(peek.images.shape[1:])
    x = middle(layers.Flatten()(layers.AveragePooling2D(4)(inputs)))
    model = keras.Model(inputs, layers.Dense(len(peek.class_names), dtype=precision)(x))
    model.zoo_record, model.preprocess = zoo.info(name), preprocess
    return model, overrides
