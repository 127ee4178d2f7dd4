"""Dense residual networks that differ in initial variances, trained side by side.

All runs of one training are of one kind, activation and depth. They are stacked along an axis of
the weights, so that each layer is one batched matrix product, and the loss is the sum of the runs'
losses: none knows of another, also when one of them overflows.
"""

import dataclasses

import keras
import numpy as np
from keras import ops

from keras_recres.layers.alpha_relu import alpha_relu
from training.studies.planar_nets import SumOverSeeds

BATCH_SIZE = 100


@dataclasses.dataclass(frozen=True)
class Run:
    """One network: x ← x + V φ(W x + b) + a, or x ← x + φ(W x + b), `depth` times.

    Attributes:
        kind: "frn" or "rrn".
        activation: "tanh", "relu" or "alpha_relu".
        depth: L.
        sigma_w_sq: σ_w².
        sigma_b_sq: σ_b².
        sigma_v_sq: σ_v²; 1 for an RRN.
        sigma_a_sq: σ_a²; 0 for an RRN.
        alpha: α of "alpha_relu", else None.
        seed: of the initial weights.
    """

    kind: str
    activation: str
    depth: int
    sigma_w_sq: float
    sigma_b_sq: float = 0.0
    sigma_v_sq: float = 1.0
    sigma_a_sq: float = 0.0
    alpha: float | None = None
    seed: int = 0

    @property
    def theory(self):
        """Arguments of `keras_recres.probes.mean_field.predict` but for the depth and e₀."""
        names = ["sigma_w_sq", "sigma_b_sq", "sigma_v_sq", "sigma_a_sq"]
        names += ["alpha"] if self.activation == "alpha_relu" else []
        return {name: getattr(self, name) for name in names}


class ManyDense(keras.layers.Layer):
    """y_r = x_r W_r + b_r for every run r.

    Input shape: (runs, batch, n), or (batch, n) for one input to all.

    Output shape: (runs, batch, m).
    """

    def __init__(self, kernels, biases, **kwargs):
        super().__init__(**kwargs)
        self.values = kernels, biases

    def build(self, input_shape):
        kernels, biases = self.values
        self.kernel = self._weight(kernels, "kernel")
        self.bias = self._weight(biases[:, None], "bias")

    def _weight(self, value, name):
        def initial(shape, dtype):
            return ops.convert_to_tensor(value, dtype=dtype)

        return self.add_weight(shape=value.shape, initializer=initial, name=name)

    def call(self, x):
        return ops.matmul(x, self.kernel) + self.bias


def build(runs, width, features, classes):
    """The stacked network, from (batch, features) to logits (batch, runs, classes).

    A run's weights depend on its own variances and seed alone, and two runs of one seed have the
    same standard normal numbers times their own σ. The input map is N(0, 1/features) and the
    output map N(0, 1/width), biases 0: the first layer's p is that of the pixels.

    Args:
        runs: list of `Run` that differ in variances, α and seed only.
        width: N.
        features: pixels of an image.
        classes: number of classes.

    Returns:
        A `keras.Model`.
    """
    first = runs[0]
    generators = [np.random.default_rng(run.seed) for run in runs]

    def normal(shape, variances):
        drawn = [
            generator.standard_normal(shape) * np.sqrt(variance)
            for generator, variance in zip(generators, variances, strict=True)
        ]
        return np.stack(drawn).astype("float32")

    def dense(fan_in, units, name, scale, variances):
        kernels = normal((fan_in, units), [v / fan_in for v in scale])
        return ManyDense(kernels, normal((units,), variances), name=name)

    def of(name):
        return [getattr(run, name) for run in runs]

    one, zero = [1.0] * len(runs), [0.0] * len(runs)
    if first.activation == "alpha_relu":
        activation = ManyAlphas(of("alpha"))
    else:
        activation = keras.layers.Activation(first.activation)
    inputs = keras.Input((features,))
    x = dense(features, width, "embedding", one, zero)(inputs)
    for i in range(first.depth):
        h = dense(width, width, f"w{i}", of("sigma_w_sq"), of("sigma_b_sq"))(x)
        h = activation(h)
        if first.kind == "frn":
            h = dense(width, width, f"v{i}", of("sigma_v_sq"), of("sigma_a_sq"))(h)
        x = x + h
    logits = dense(width, classes, "logits", one, zero)(x)
    return keras.Model(inputs, ops.transpose(logits, (1, 0, 2)))


class ManyAlphas(keras.layers.Layer):
    """α-ReLU with an α for every run. Input shape: (runs, batch, n)."""

    def __init__(self, alphas, **kwargs):
        super().__init__(**kwargs)
        self.alphas = np.asarray(alphas, "float32")[:, None, None]

    def call(self, x):
        return alpha_relu(x, ops.convert_to_tensor(self.alphas))


def train(runs, data, width, steps, learning_rate):
    """Trains some networks by plain SGD and measures them.

    Args:
        runs: list of `Run` that differ in variances, α and seed only.
        data: (images, labels, test images, test labels), images float32 (n, features).
        width: N.
        steps: SGD steps of `BATCH_SIZE` images, the same ones in the same order for every run.
        learning_rate: of SGD without momentum.

    Returns:
        Accuracy on the test images by run, a float64 array in [0, 1]; NaN where a logit is not
        finite, that is after numerical trouble.
    """
    images, labels, test_images, test_labels = data
    model = build(runs, width, images.shape[1], int(labels.max()) + 1)
    model.compile(keras.optimizers.SGD(learning_rate), SumOverSeeds(), jit_compile=False)
    rng = np.random.default_rng(0)
    epochs = -(-steps * BATCH_SIZE // len(images))
    order = np.concatenate([rng.permutation(len(images)) for _ in range(epochs)])
    order = order[: steps * BATCH_SIZE]
    many = np.repeat(labels[order, None], len(runs), axis=1)
    model.fit(images[order], many, batch_size=BATCH_SIZE, shuffle=False, verbose=0)
    logits = model.predict(test_images, batch_size=500, verbose=0)
    right = (logits.argmax(axis=-1) == test_labels[:, None]).mean(axis=0)
    return np.where(np.isfinite(logits).all(axis=(0, 2)), right, np.nan)


def standardized(data_dir, limit=None, test_limit=None):
    """MNIST as rows of pixels with mean 0 and variance 1, by the training set's numbers.

    Args:
        data_dir: as `training.data.load` takes it.
        limit: only the first so many training images.
        test_limit: only the first so many test images.

    Returns:
        What `train` takes as `data`.
    """
    from training import data

    parts = []
    mean = deviation = None
    for split, count in (("train", limit), ("evaluation", test_limit)):
        found = data.load("mnist", split, data_dir, limit=count)
        pixels = found.images.reshape(len(found), -1).astype("float32")
        if mean is None:
            mean, deviation = pixels.mean(), pixels.std()
        parts += [(pixels - mean) / deviation, found.labels]
    return tuple(parts)
