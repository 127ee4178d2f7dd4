"""The feature maps inside a network, as outputs of a model."""

import re

import keras

from keras_recres.models.families import family_of


def feature_maps(model: keras.Model, builder: str, out_indices) -> keras.Model:
    """The part of a network that gives its feature maps, which shares its layers and weights.

    Args:
        model: A model of one of this library's builders.
        builder: The builder's name.
        out_indices: Integers, which maps; they count from the input on, negative ones from the end.

    Returns:
        A functional keras.Model that gives a list of maps, channels-last.

    Raises:
        ValueError: If the family has no maps, or not so many.
    """
    known, maps = family_of(builder), {}
    for layer in model.layers:
        if known.maps and re.fullmatch(known.maps, layer.name):
            x = layer.output
            # Of the maps of one size the last; tokens and vectors have one size everywhere.
            size = x.shape[1:3] if len(x.shape) > 3 else layer.name
            maps[size] = known.map_of(model, x, layer.name)
    maps = list(maps.values())
    out_indices = [out_indices] if isinstance(out_indices, int) else list(out_indices)
    wrong = [i for i in out_indices if not isinstance(i, int) or not -len(maps) <= i < len(maps)]
    if wrong or not out_indices:
        told = "; ".join(f"{i}: {fact(x, model)}" for i, x in enumerate(maps)) or "none"
        raise ValueError(
            f"`out_indices` must be some of the feature maps of {model.name!r} ({told}), but it is "
            f"{tuple(out_indices)!r}."
        )
    return keras.Model(model.input, [maps[i] for i in out_indices], name=model.name)


def fact(x, model):
    """What `feature_info` tells of one map, in words."""
    side = f", 1/{reduction(x, model)}" if reduction(x, model) else ""
    return f"{x.shape[-1]} channels{side}"


def reduction(x, model):
    """How many pixels of a side are one of a map, None where the features are not a map."""
    if len(x.shape) != 4 or len(model.input_shape) != 4:
        return None
    return round(model.input_shape[1] / x.shape[1])
