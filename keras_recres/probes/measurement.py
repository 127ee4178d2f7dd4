"""One model and one curve, made ready: compiled once, run for as many θ as wanted."""

import contextlib
import weakref

import keras
import numpy as np
from keras import ops

from keras_recres import backend
from keras_recres.backend import probe
from keras_recres.backend.keras_private import losses_kept
from keras_recres.probes import jets, tracing
from keras_recres.probes.recorder import Recorder, Refusal

# Steps of the central differences, as shares of θ's range, and how far the estimates with two of
# them may be apart in the median over θ, relative to κ or to a bend of 0.01 rad over the range.
STEPS = tuple(1e-2 / 4**i for i in range(9))
FINITE_TOLERANCE = 1e-2


class Measurement:
    """κ and |v| of a curve's image in the outputs of a model's layers.

    Args:
        model: Keras model or layer.
        curve: Function of θ.
        wanted: As `Recorder` takes it.
        steps: As `Recorder` takes it.
        method: "forward", "tape" or "finite".
        batch: Number of θ that are computed at once, at least 2.
        dtype: "float32" or "float64".
    """

    def __init__(self, model, curve, wanted, steps, method, batch, dtype):
        # Not the model itself, or a cache that has the model as its key would keep it alive.
        self.model = weakref.ref(model)
        self.curve = curve
        self.wanted = wanted
        self.steps = steps
        self.method = method
        self.batch = batch
        self.dtype = dtype
        self.checked = False
        self.recorder = None
        if method == "finite":
            self._run = probe.compiled(self._differences)
        else:
            self._run = probe.compiled_jet(self._jet)

    @property
    def rows(self):
        """[(layer's path, step)], known after the first run."""
        return self.recorder.rows()

    def traced(self, values):
        """The function from θ to (outputs of the rows, kinks crossed), for `jets`.

        Args:
            values: Values of the model's variables.
        """

        def function(theta):
            model = self.model()
            self.recorder = Recorder(self.dtype, theta.shape[0], self.wanted, self.steps)
            mapping = list(zip(model.variables, values, strict=True))
            # What the model would assign, or add to its losses, ends with these scopes.
            with (
                losses_kept(model),
                keras.StatelessScope(mapping, collect_losses=True),
                tracing.scope(self.recorder),
            ):
                inputs = self.curve(theta)
                self.recorder.begin(inputs)
                output = model(inputs, training=False)
                return self.recorder.finish(output, model), self.recorder.all_kinks()

        return function

    def values(self):
        """The values of the model's variables."""
        return backend.raw_values(self.model().variables)

    def floats(self):
        """A scope in which `dtype` is computed as such."""
        return probe.float64_scope() if self.dtype == "float64" else contextlib.nullcontext()

    def tensor(self, theta):
        return ops.convert_to_tensor(np.asarray(theta, self.dtype), dtype=self.dtype)

    def measure(self, theta):
        """κ and |v| for every row and θ, and the kinks.

        Args:
            theta: NumPy array (n,).

        Returns:
            (κ, |v|, kinks): NumPy arrays (rows, n), (rows, n), and (rows,) or None.
        """
        part = self._finite_part if self.method == "finite" else self._jet_part
        with self.floats():
            values = self.values()
            parts = [part(values, theta, chunk) for chunk in _chunks(len(theta), self.batch)]
        kappa, speed, kinks = zip(*parts, strict=True)
        kappa, speed = np.concatenate(kappa, axis=1), np.concatenate(speed, axis=1)
        for (path, _), *numbers in zip(self.rows, kappa, speed, strict=True):
            if not np.isfinite(numbers).all():
                raise Refusal(f"the derivatives of the layer {path!r} are infinite or undefined.")
        kinks = None if kinks[0] is None else np.sum(kinks, axis=0).round().astype(int)
        return kappa, speed, kinks

    def _jet(self, values, theta):
        _, v, a, kinks = jets.METHODS[self.method](self.traced(values), theta)
        return *_bendings(v, a), kinks

    def _jet_part(self, values, theta, chunk):
        speed, normal, kinks = self._run(values, self.tensor(theta[chunk.index]))
        speed, normal = (_numpy(x)[:, chunk.new] for x in (speed, normal))
        return curvature(speed, normal), speed, _sums(kinks)

    def _differences(self, values, theta, step):
        v, a, kinks = jets.differences(self.traced(values), theta, step)
        n = theta.shape[0]
        return *_bendings(v, a), [k[2 * n : 3 * n - 1] for k in kinks]

    def _finite_part(self, values, theta, chunk):
        """The estimate with the steps at which it changes least, for every row and θ."""
        span = extent(theta)
        speeds, kappas = [], []
        for share in STEPS:
            speed, normal, kinks = self._run(
                values, self.tensor(theta[chunk.index]), self.tensor(share * span)
            )
            speeds.append(_numpy(speed)[:, chunk.new])
            kappas.append(curvature(speeds[-1], _numpy(normal)[:, chunk.new]))
        speeds, kappas = np.stack(speeds), np.stack(kappas)
        change = np.abs(np.diff(kappas, axis=0))
        best = np.argmin(change, axis=0)[None]
        kappa, speed, error = (
            np.take_along_axis(x, best, axis=0)[0] for x in (kappas, speeds, change)
        )
        self._refuse_rounding(error, kappa, speed * span)
        return kappa, speed, _sums(kinks)

    def _refuse_rounding(self, error, kappa, lengths):
        """Raises a Refusal if differences with different steps do not agree."""
        bend = np.maximum(kappa * lengths, 0.01)
        relative = np.median(error * lengths / bend, axis=1)
        for (path, _), value in zip(self.rows, relative, strict=True):
            if not value <= FINITE_TOLERANCE:
                raise Refusal(
                    f"differences with different steps give curvatures that are {value:.0%} apart "
                    f"in the layer {path!r}: it rounds to less than float64, or has kinks closer "
                    f"than the steps; use method='forward'."
                )


def extent(theta):
    """The length that the steps of differences are shares of: θ's range."""
    span = float(np.ptp(theta))
    return span if span > 0 else max(1.0, abs(float(theta[0])))


def curvature(speed, normal):
    """κ = |a⊥| / |v|², and 0 where the curve stands still."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(speed == 0, 0.0, normal / speed / speed)


class _Chunk:
    """Some of n θ: `index` of those to compute, repeating the last; `new` of those to keep."""

    def __init__(self, start, batch, n):
        self.index = np.minimum(np.arange(start, start + batch), n - 1)
        # The first one was the last one of the chunk before, whose next kinks it shows.
        self.new = slice(1 if start else 0, min(batch, n - start))


def _chunks(n, batch):
    return [_Chunk(start, batch, n) for start in range(0, max(1, n - 1), batch - 1)]


def _bendings(v, a):
    """|v| and |a⊥| of all rows, two tensors (rows, n)."""
    pairs = [jets.bending(*pair) for pair in zip(v, a, strict=True)]
    return tuple(ops.stack(part) for part in zip(*pairs, strict=True))


def _numpy(x):
    return ops.convert_to_numpy(x).astype("float64")


def _sums(kinks):
    return np.array([_numpy(k).sum() for k in kinks]) if len(kinks) else None
