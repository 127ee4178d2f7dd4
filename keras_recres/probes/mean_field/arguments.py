"""What the functions of the mean-field probe check alike."""

import numpy as np

from keras_recres.layers.checks import check_count
from keras_recres.probes.mean_field.alpha_relu import AlphaReLU, ReLU
from keras_recres.probes.mean_field.quadrature import Quadrature
from keras_recres.probes.mean_field.tanh import Tanh

RESIDUAL = ("frn", "rrn")
KINDS = (*RESIDUAL, "plain")
NAMES = ("tanh", "relu", "alpha_relu")


def check_depth(depth):
    """Raises a ValueError unless `depth` is an integer of at least 1."""
    check_count("depth", depth)


def numbers_in(name, value, low, high, allowed, low_open=False):
    """`value` as a float64 array.

    Raises:
        ValueError: Unless all of it are finite numbers from `low` to `high`.
    """
    try:
        array = np.asarray(value, dtype="float64")
    except (TypeError, ValueError):
        array = np.asarray(np.nan)
    above = array > low if low_open else array >= low
    if not (np.isfinite(array) & above & (array <= high)).all():
        raise ValueError(f"`{name}` must be {allowed}, but it is {value!r}.")
    return array


def variance(name, value):
    """`value` as a float64 array of variances, finite and not negative."""
    return numbers_in(name, value, 0, np.inf, "a finite number of at least 0, or several")


def moments_of(activation, alpha=None, derivative=None):
    """The Gaussian moments of an activation.

    Args:
        activation: "tanh", "relu", "alpha_relu", or a callable on NumPy arrays.
        alpha: α of "alpha_relu", number or array.
        derivative: φ′ of a callable, or None.

    Returns:
        An object with `log_v`, `log_v_prime`, `gap` and `odd`.

    Raises:
        ValueError: For an unknown name, or arguments that do not belong to this activation.
    """
    if activation == "alpha_relu":
        if alpha is None:
            raise ValueError("`alpha` must be a number in (0, 1] for 'alpha_relu', but it is None.")
        alpha = numbers_in("alpha", alpha, 0, 1, "a number in (0, 1], or several", low_open=True)
    elif alpha is not None:
        raise ValueError(f"`alpha` belongs to 'alpha_relu' alone, but it is {alpha!r}.")
    if derivative is not None and not (callable(activation) and callable(derivative)):
        raise ValueError(
            f"`derivative` must be None or the derivative of a callable `activation`, but it is "
            f"{derivative!r}."
        )
    if callable(activation):
        return Quadrature(activation, derivative)
    if activation not in NAMES:
        raise ValueError(
            f"`activation` must be {', '.join(map(repr, NAMES))} or a callable, but it is "
            f"{activation!r}."
        )
    if activation == "tanh":
        return Tanh()
    return ReLU() if activation == "relu" else AlphaReLU(alpha)


def check_one_matrix(kind, moments, sigma_v_sq, sigma_a_sq):
    """Raises a ValueError for what only an FRN has, or an RRN's recursion does not cover."""
    if kind == "frn":
        return
    for name, value, default in (("sigma_v_sq", sigma_v_sq, 1), ("sigma_a_sq", sigma_a_sq, 0)):
        if (np.asarray(value) != default).any():
            raise ValueError(
                f"`{name}` must be {default} for {kind!r}, which has no V and a, but it is "
                f"{value!r}."
            )
    if kind == "rrn" and not moments.odd:
        raise ValueError(
            "`activation` of an RRN must be odd, such as 'tanh': with another one φ(h) has a mean, "
            "is correlated with x, and the recursion does not hold."
        )
