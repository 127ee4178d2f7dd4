"""Keras configs of known classes only, which build a model and run nobody else's code."""

import inspect
import sys

import keras

import keras_recres.models  # noqa: F401 - whose classes and functions Keras then knows

# Packages and modules of Keras' whose classes only compute. What reads files, as a vocabulary's
# lookup does, and what holds code, as Lambda does, is not among them.
OF_KERAS = tuple(
    f"keras.src.{part}."
    for part in (
        *(f"layers.{kind}" for kind in ("activations", "attention", "convolutional", "merging")),
        *(f"layers.{kind}" for kind in ("normalization", "pooling", "regularization")),
        *(f"layers.{kind}" for kind in ("reshaping", "rnn", "preprocessing.image_preprocessing")),
        *(f"layers.core.{kind}" for kind in ("dense", "einsum_dense", "embedding", "identity")),
        *(f"layers.core.{kind}" for kind in ("input_layer", "masking", "reversible_embedding")),
        *(f"layers.preprocessing.{kind}" for kind in ("normalization", "rescaling")),
        *("constraints", "dtype_policies", "initializers", "models.functional"),
        *("models.sequential", "ops", "quantizers", "random", "regularizers"),
    )
)
OURS = ("keras_recres.layers.", "keras_recres.models.", "keras_recres.zoo.zoo_model.")
# How Keras writes values that are not objects.
PLAIN = ("__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__", "__tuple__")


def serialized(model):
    """The config of a model, JSON without what it was compiled with.

    Raises:
        ValueError: It has a part that `built` would refuse.
    """
    config = _uncompiled(keras.saving.serialize_keras_object(model))
    for name in _unknown(config):
        raise ValueError(
            f"{model.name!r} has {name}, which is neither Keras' nor keras_recres', or holds code: "
            "zoo.load runs no code of a folder, so write it with model.save."
        )
    return config


def built(config, where):
    """The model of a config.

    Args:
        config: What `serialized` gave.
        where: What to call it in an error.

    Raises:
        ValueError: It has a part that is not known to be safe, or Keras cannot read it.
    """
    config = _uncompiled(config)
    for name in _unknown(config):
        raise ValueError(
            f"{where} asks for {name}, which is neither Keras' nor keras_recres', or holds code: "
            "nothing of it was run."
        )
    try:
        return keras.saving.deserialize_keras_object(config, safe_mode=True)
    except Exception as error:  # Keras raises all sorts for a config that is not its own.
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{where} cannot be built ({reason}).") from None


def _uncompiled(config):
    if isinstance(config, dict):
        return {k: _uncompiled(v) for k, v in config.items() if k != "compile_config"}
    return [_uncompiled(v) for v in config] if isinstance(config, list | tuple) else config


def _unknown(config):
    """Names of the classes and functions in a config that are not known to be safe."""
    if isinstance(config, list):
        for value in config:
            yield from _unknown(value)
    if isinstance(config, dict):
        if "class_name" in config and not _known(config):
            yield str(config["class_name"] if config["class_name"] != "function" else config)
        for value in config.values():
            yield from _unknown(value)


def _known(config):
    name, module = config["class_name"], config.get("module")
    if name in PLAIN:
        return True
    if name == "function":
        # Keras looks among registered functions first.
        name = config.get("config")
        function = keras.saving.get_registered_object(name) if isinstance(name, str) else None
        if function is None:
            return module == "builtins" and inspect.isfunction(
                getattr(keras.activations, str(name), None)
            )
        return f"{function.__module__}.".startswith(OURS)
    # Without one Keras would read it as its older versions did, by other rules.
    if not isinstance(name, str) or not isinstance(module, str) or "." in name:
        return False
    found = keras.saving.get_registered_object(config.get("registered_name") or name)
    found = found or getattr(sys.modules.get(module), name, None)
    return inspect.isclass(found) and f"{found.__module__}.".startswith((*OF_KERAS, *OURS))
