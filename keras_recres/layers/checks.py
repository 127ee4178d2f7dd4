"""Argument checks that several layers share: one sentence, with name, value and range."""

import numbers


def check_count(name, value):
    """Raises a ValueError unless `value` is an integer of at least 1."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"`{name}` must be an integer of at least 1, but it is {value!r}.")


def check_rate(name, value):
    """Raises a ValueError unless `value` is a number in [0, 1), a probability of dropping."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1:
        raise ValueError(f"`{name}` must be a number in [0, 1), but it is {value!r}.")


def check_positive(name, value):
    """Raises a ValueError unless `value` is a number above 0."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        raise ValueError(f"`{name}` must be a number above 0, but it is {value!r}.")


def check_tokens_shape(layer, shape):
    """Raises a ValueError unless `shape` is (batch, tokens, features) with known features."""
    if len(shape) != 3 or shape[-1] is None:
        raise ValueError(
            f"The input of {layer.name!r} must have the shape (batch, tokens, features) with a "
            f"known number of features, but it has the shape {tuple(shape)}."
        )
