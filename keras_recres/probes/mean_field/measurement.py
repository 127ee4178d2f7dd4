"""The theory's quantities, measured in networks of finite width."""

import dataclasses
import gc
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from keras_recres import backend
from keras_recres.backend.types import Data
from keras_recres.layers.checks import check_count
from keras_recres.layers.residual_dense import ResidualDense
from keras_recres.probes.mean_field.arguments import numbers_in
from keras_recres.probes.mean_field.prediction import Prediction

PARAMETERS = {"w": "kernel", "b": "bias", "v": "projection", "a": "output_bias"}
# Weights of networks that may be held before a collection.
COLLECTED = 2**26
# What is a mean over neurons in each network, and what is made of those means.
MEANS = (
    "p", "q", "gamma", "lam", "v_phi", "v_dphi", "chi", *(f"chi_{name}" for name in PARAMETERS),
)  # fmt: skip
DERIVED = {
    "e": lambda m: m["gamma"] / m["p"],
    "c": lambda m: m["lam"] / m["q"],
    "s": lambda m: m["p"] - m["gamma"],
    "chi_ratio": lambda m: m["chi"][:1] / m["chi"],
}


@dataclasses.dataclass(frozen=True, eq=False)
class Measurement:
    """Means over networks, layer by layer, with their standard errors.

    Each attribute is named as in `Prediction` and has its shape, (depth + 1,); those of rows that
    do not exist there (row 0 of what belongs to a layer), or of parameters that the layers do not
    have, are nan. e, c, s and χ₀/χ_l are made of means over the networks, γ and p and so on, which
    is what theory speaks of, and not means of ratios.

    Attributes:
        draws: Number of networks.
        depth: Number of layers.
        width: Number of features.
        values: dict of str to float64 arrays (draws, depth + 1), for each network by itself.
    """

    draws: int
    depth: int
    width: int
    values: dict[str, np.ndarray]

    def __getattr__(self, name: str) -> np.ndarray:
        if name not in (*MEANS, *DERIVED):
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}.")
        return self._of_means(name, {key: v.mean(axis=0) for key, v in self.values.items()})

    def __dir__(self):
        return [*super().__dir__(), *MEANS, *DERIVED]

    def standard_error(self, name: str) -> np.ndarray:
        """The standard error of an attribute, (depth + 1,), by the jackknife over the networks."""
        if name not in (*MEANS, *DERIVED):
            raise ValueError(
                f"`name` must be one of {', '.join((*MEANS, *DERIVED))}, but it is {name!r}."
            )
        rest = self.draws - 1
        # Means without one of the networks each.
        without = {key: (v.sum(axis=0) - v) / rest for key, v in self.values.items()}
        left_out = np.stack(
            [
                self._of_means(name, {key: v[i] for key, v in without.items()})
                for i in range(self.draws)
            ]
        )
        spread = left_out - left_out.mean(axis=0)
        return np.sqrt(rest / self.draws * (spread**2).sum(axis=0))

    def z_scores(self, prediction: Prediction, name: str) -> np.ndarray:
        """How many standard errors an attribute lies above a `Prediction`, (depth + 1,).

        0 where both agree to rounding, as at an input that was made with p₀ and e₀.
        """
        difference = getattr(self, name) - getattr(prediction, name)
        rounding = 1e-6 * np.abs(getattr(prediction, name))
        error = self.standard_error(name)
        return np.where(
            np.abs(difference) <= rounding, 0.0, difference / np.maximum(error, rounding)
        )

    def _of_means(self, name, means):
        return DERIVED[name](means) if name in DERIVED else means[name]


def measure(
    network: keras.Model,
    x: Data = None,
    *,
    draws: int = 16,
    p0: float = 1.0,
    e0: float = 0.3,
    seed: int | None = None,
    advance: Callable[[], object] | None = None,
) -> Measurement:
    """The quantities of `predict` in real networks at initialisation, averaged over several.

    p = ⟨x_i²⟩, q = ⟨h_i²⟩, γ = ⟨x_i x′_i⟩, λ = ⟨h_i h′_i⟩, V φ = ⟨φ(h_i)²⟩, V φ′ = ⟨φ′(h_i)²⟩ are
    means over the neurons of each layer, for two inputs where two are needed. Backward the loss is
    E = Σ_i g_i x_i^(L) for one input, g_i ~ N(0, 1) scaled to ⟨g_i²⟩ = 1, and χ = ⟨(∂E/∂x_i)²⟩,
    χ_w = ⟨(∂E/∂W_ij)²⟩ and so on by automatic differentiation.

    Theory holds for infinite width. In networks of finite width the fluctuations of a layer feed
    those of the next, and χ, a product over the layers, has a distribution with a long tail: the
    more draws, the better, and standard errors of few draws are too small.

    Example:
    >>> from keras_recres import layers
    >>> from keras_recres.probes import mean_field
    >>> network = lambda: [layers.FRN(500, "relu") for _ in range(10)]
    >>> measured = mean_field.measure(network, draws=8, seed=0)
    >>> theory = mean_field.predict("frn", "relu", 10)
    >>> bool(abs(measured.z_scores(theory, "p")).max() < 4)
    True

    Args:
        network: A function without arguments that makes a new network, as a `keras.Model` or a
            list of layers; or a `keras.Model`, which is cloned, with weights that are drawn anew.
            Its `FRN` or `RRN` layers are measured, a chain, each fed by the one before; what comes
            before them is run and not measured, and what comes after is left out. Of a network
            without them it is the chain of `Dense` layers that keep the width and have an
            activation, x ← φ(W x + b).
        x: Two inputs of the network, (2, …); the second is the x′ of γ and λ. None makes a pair
            for the first of these layers, new for each network.
        draws: Integer ≥ 2, number of networks.
        p0: Mean square of the pair that is made, > 0.
        e0: Its cosine, in [-1, 1].
        seed: None, or an integer that seeds Keras (`keras.utils.set_random_seed`), and the inputs.

        advance: Function of the number of networks just measured, for a progress bar.

    Returns:
        A `Measurement`.

    Raises:
        ValueError: For networks without such layers, or of different shapes, for clones that are
            all alike, and for arguments out of their range.
    """
    check_count("draws", draws)
    if draws < 2:
        raise ValueError(f"`draws` must be at least 2 for a standard error, but it is {draws}.")
    p0 = numbers_in("p0", p0, 0, np.inf, "a finite number above 0", low_open=True)
    e0 = numbers_in("e0", e0, -1, 1, "a number in [-1, 1]")
    if x is not None and np.shape(x)[:1] != (2,):
        raise ValueError(f"`x` must be two inputs, (2, …), but it has the shape {np.shape(x)}.")
    if seed is not None:
        keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    rows, kernels, held = [], [], 0
    for _ in range(draws):
        layers, before = _layers(network)
        width, depth = layers[0].units, len(layers)
        state = _pair(rng, width, p0, e0) if x is None else before(x)
        rows.append(_one_network(layers, state, rng))
        kernels.append(ops.convert_to_numpy(layers[0].kernel)[:1].copy())
        # Layers lie in reference cycles: else the weights of all networks are held at the end. A
        # collection takes longer than a small network.
        held += sum(layer.count_params() for layer in layers)
        del layers, before, state
        if held > COLLECTED:
            gc.collect()
            held = 0
        if advance:
            advance(1)
    shapes = {row["p"].shape for row in rows}
    if len(shapes) > 1:
        raise ValueError(f"`network` must make networks of one depth, but it made {shapes}.")
    if np.array_equal(kernels[0], kernels[1]) and kernels[0].any():
        raise ValueError(
            "`network` must give other weights at each draw, but the first two are equal: its "
            "initializers have seeds."
        )
    values = {name: np.stack([row[name] for row in rows]) for name in MEANS}
    return Measurement(draws, depth, width, values)


def _layers(network):
    """What is measured of a new network, and a function to the state before its first layer."""
    made = keras.models.clone_model(network) if isinstance(network, keras.Model) else network()
    all_layers = made.layers if isinstance(made, keras.Model) else list(made)
    layers = [layer for layer in all_layers if isinstance(layer, ResidualDense)]
    layers = layers or [layer for layer in all_layers if _is_plain(layer)]
    if not layers or len({layer.units for layer in layers}) > 1:
        raise ValueError(
            f"`network` must have FRN, RRN or Dense layers of one width, but it has "
            f"{[layer.units for layer in layers] or 'none'}."
        )

    def before(x):
        x = ops.convert_to_tensor(x)
        if isinstance(made, keras.Model):
            x = keras.Model(made.inputs, layers[0].input)(x)
        else:
            for layer in all_layers[: all_layers.index(layers[0])]:
                x = layer(x)
        return x

    return layers, before


def _is_plain(layer):
    """Whether it is x ← φ(W x + b), as far as a layer that is not built can tell."""
    return (
        isinstance(layer, keras.layers.Dense)
        and layer.activation is not keras.activations.linear
        and not (layer.built and layer.kernel.shape[0] != layer.units)
    )


def _preactivation(layer, x):
    if isinstance(layer, ResidualDense):
        return layer.preactivation(x)
    h = ops.matmul(x, layer.kernel)
    return h if layer.bias is None else h + layer.bias


def _pair(rng, width, p0, e0):
    """Two vectors of mean square p₀ and cosine e₀."""
    first, second = rng.normal(size=(2, width))
    first /= np.linalg.norm(first)
    second -= (second @ first) * first
    second /= np.linalg.norm(second)
    pair = np.stack([first, e0 * first + np.sqrt(1 - e0**2) * second])
    return ops.convert_to_tensor(np.sqrt(p0 * width) * pair, dtype="float32")


def _one_network(layers, state, rng):
    row = {name: np.full(len(layers) + 1, np.nan) for name in MEANS}
    row["p"][0], row["gamma"][0] = _moments(state)
    states = [state]
    for i, layer in enumerate(layers, start=1):
        state = layer(states[-1])
        h = _preactivation(layer, states[-1])
        row["q"][i], row["lam"][i] = _moments(h)
        row["v_phi"][i], _ = _moments(layer.activation(h))
        (slope,) = backend.gradients(lambda h, f=layer.activation: ops.sum(f(h)), [h])
        row["v_dphi"][i], _ = _moments(slope)
        row["p"][i], row["gamma"][i] = _moments(state)
        states.append(state)
    g = rng.normal(size=(1, *state.shape[1:]))
    g = ops.convert_to_tensor(g / np.sqrt(np.mean(g**2)), dtype=state.dtype)
    row["chi"][len(layers)] = 1.0
    # One layer at a time, so that one layer's gradients are held.
    for i in range(len(layers), 0, -1):
        layer = layers[i - 1]
        g, by_parameter = _backward(layer, states[i - 1][:1], g)
        row["chi"][i - 1] = _mean_square(g)
        for name, attribute in PARAMETERS.items():
            if attribute in by_parameter:
                row[f"chi_{name}"][i] = _mean_square(by_parameter[attribute])
    return row


def _backward(layer, x, g):
    """∂E/∂x and the ∂E/∂ of each parameter of a layer, given ∂E/∂ of its output."""
    variables = {
        attribute: getattr(layer, attribute)
        for attribute in PARAMETERS.values()
        if getattr(layer, attribute, None) is not None
    }

    def loss(x, *values):
        with keras.StatelessScope(list(zip(variables.values(), values, strict=True))):
            return ops.sum(layer(x) * g)

    by_x, *by_value = backend.gradients(loss, [x, *backend.raw_values(variables.values())])
    return by_x, dict(zip(variables, by_value, strict=True))


def _moments(pair):
    """The mean square of both of a pair, and the mean of their product."""
    first, second = ops.convert_to_numpy(ops.cast(pair, "float32")).astype("float64")
    return np.mean([first**2, second**2]), np.mean(first * second)


def _mean_square(x):
    return np.mean(ops.convert_to_numpy(ops.cast(x, "float32")).astype("float64") ** 2)
