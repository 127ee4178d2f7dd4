"""Argument checks that several layers share: one sentence, with name, value and range."""

import functools
import inspect
import math
import numbers
import re
from collections.abc import Callable
from typing import Any, TypeVar

import keras
import numpy as np

from keras_recres.backend import keras_private

F = TypeVar("F", bound=Callable[..., Any])


def plain(arguments):
    """Nested arguments with Python's numbers and lists in the place of NumPy's."""
    return keras.tree.map_structure(
        lambda leaf: leaf.tolist() if isinstance(leaf, np.generic | np.ndarray) else leaf, arguments
    )


def takes_numpy(function: F) -> F:
    """A function whose arguments may be NumPy's numbers, switches and arrays: it gets Python's."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        args, kwargs = plain((args, kwargs))
        return function(*args, **kwargs)

    # Keras reads the names of a constructor's arguments without looking behind a wrapper.
    call.__signature__ = inspect.signature(function)
    return call


def a_kind(of):
    """The class of an object, or one given by itself, after "a" or "an"."""
    name = (of if isinstance(of, type) else type(of)).__name__
    # Initials are spelt out: an LSTM, an MLP.
    spoken = re.match(r"[AEIO]|[aeio]|Up|[FHLMNRSX][A-Z]", name)
    return f"{'an' if spoken else 'a'} {name}"


def check_count(name, value):
    """Raises a ValueError unless `value` is an integer of at least 1."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"`{name}` must be an integer of at least 1, but it is {value!r}.")


def check_from_zero(name, value):
    """Raises a ValueError unless `value` is an integer of at least 0."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 0:
        raise ValueError(f"`{name}` must be an integer of at least 0, but it is {value!r}.")


def check_patterns(name, value):
    """Raises a ValueError unless `value` is None or a dict whose keys are patterns of names."""
    names = isinstance(value, dict) and all(isinstance(key, str) for key in value)
    if value is not None and not names:
        raise ValueError(
            f"`{name}` must be None or a dict of patterns, such as '*/kernel', but it is {value!r}."
        )


def check_switch(name, value):
    """Raises a ValueError unless `value` is True or False."""
    if value is not True and value is not False:
        raise ValueError(f"`{name}` must be True or False, but it is {value!r}.")


def check_rate(name, value):
    """Raises a ValueError unless `value` is a number in [0, 1), a probability of dropping."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not 0 <= value < 1:
        raise ValueError(f"`{name}` must be a number in [0, 1), but it is {value!r}.")


def check_positive(name, value):
    """Raises a ValueError unless `value` is a number above 0."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not value > 0:
        raise ValueError(f"`{name}` must be a number above 0, but it is {value!r}.")


def check_above_one(name, value):
    """Raises a ValueError unless `value` is a finite number above 1."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not 1 < value < math.inf:
        raise ValueError(f"`{name}` must be a finite number above 1, but it is {value!r}.")


def check_finite(name, value):
    """Raises a ValueError unless `value`, for which None and "learned" may stand, is finite."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(
            f"`{name}` must be None, a finite number or 'learned', but it is {value!r}."
        )


def check_variance(name, value):
    """Raises a ValueError unless `value` is a finite number of at least 0."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise ValueError(
            f"`{name}` is a variance, a finite number of at least 0, but it is {value!r}."
        )


def check_tokens_shape(layer, shape):
    """Raises a ValueError unless `shape` is (batch, tokens, features) with known features."""
    if len(shape) != 3 or shape[-1] is None:
        raise ValueError(
            f"The input of {layer.name!r} must have the shape (batch, tokens, features) with a "
            f"known number of features, but it has the shape {tuple(shape)}."
        )


def refuse_mask(layer, inputs):
    """Raises a ValueError if the input of a layer of images has a mask."""
    if keras_private.get_mask(inputs) is not None:
        raise ValueError(
            f"{layer.name!r}, {a_kind(layer)}, takes images without a mask, since no "
            "token is of one pixel alone, but its input has one: multiply the image by it instead."
        )


def check_choice(name, value, allowed):
    """Raises a ValueError unless `value` is one of those in `allowed`."""
    if value not in allowed:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, allowed))}, but it is {value!r}."
        )


def size_tuple(name, value, rank):
    """`value`, an integer of at least 1 or `rank` of them, as a tuple of `rank` integers.

    Raises:
        ValueError: If it is neither.
    """
    values = (value,) * rank if isinstance(value, numbers.Integral) else value
    if (
        not isinstance(values, list | tuple)
        or len(values) != rank
        or any(not isinstance(v, numbers.Integral) or isinstance(v, bool) or v < 1 for v in values)
    ):
        raise ValueError(
            f"`{name}` must be an integer of at least 1 or {rank} of them, but it is {value!r}."
        )
    return tuple(map(int, values))


def check_maps_shape(layer, shape):
    """Raises a ValueError unless `shape` is (batch, height, width, channels), channels known."""
    if len(shape) != 4 or shape[-1] is None:
        raise ValueError(
            f"The input of {layer.name!r} must have the shape (batch, height, width, channels) "
            f"with a known number of channels, but it has the shape {tuple(shape)}."
        )
