"""The systems of the study `ode`, in float64: their fields, trajectories, and networks for them."""

import dataclasses
from collections.abc import Callable

import numpy as np

STARTS, LEARNT, PROBED, DT = 20, 20_000, 4000, 0.005


@dataclasses.dataclass(frozen=True)
class System:
    """dx/dt = g(x) + f(t) on a box.

    Attributes:
        velocity: g, of states (N, n), which a network learns.
        draw: points (N, n) of the box, scaled about its middle, of a generator, N and a scale.
        middle: of the box, n numbers.
        size: its half sides.
        until: how long trajectories are followed.
        force: f, of a time, which a network is given.
    """

    velocity: Callable
    draw: Callable
    middle: tuple
    size: tuple
    until: float = 20.0
    force: Callable = lambda t: 0.0

    def follow(self, velocity):
        """Trajectories (steps + 1, STARTS, n) of a field, by the Runge-Kutta method of order 4."""
        # From the inner half of the box, which these systems do not leave from there.
        x = self.draw(np.random.default_rng(0), STARTS, 0.5)
        path, force = [x], self.force
        with np.errstate(all="ignore"):
            for i in range(round(self.until / DT)):
                t = i * DT
                first = velocity(x) + force(t)
                second = velocity(x + DT / 2 * first) + force(t + DT / 2)
                third = velocity(x + DT / 2 * second) + force(t + DT / 2)
                last = velocity(x + DT * third) + force(t + DT)
                x = x + DT / 6 * (first + 2 * second + 2 * third + last)
                path.append(x)
        return np.array(path)

    def error(self, field, scale):
        """The largest error of a field in the box, its sides times the scale."""
        x = self.draw(np.random.default_rng(1), PROBED, scale)
        return float(abs(field(x) - self.velocity(x)).max())


def _box(middle, size):
    def draw(rng, count, scale):
        return np.array(middle) + scale * np.array(size) * rng.uniform(-1, 1, (count, len(size)))

    return draw


def _with_phase(middle, size):
    """The last two numbers are cosine and sine of a phase."""
    box = _box(middle[:2], size[:2])

    def draw(rng, count, scale):
        phase = rng.uniform(0, 2 * np.pi, count)
        return np.c_[box(rng, count, scale), np.cos(phase), np.sin(phase)]

    return draw


def _vanderpol(s):
    x, v = s.T
    return np.c_[v, (1 - x**2) * v - x]


def _duffing(s):
    x, v = s.T
    return np.c_[v, x - x**3 - 0.2 * v]


def _duffing_with_phase(s):
    cosine, sine = s[:, 2:].T
    return np.c_[_duffing(s[:, :2]) + np.c_[0 * cosine, 0.3 * cosine], -sine, cosine]


def _lorenz(s):
    x, y, z = s.T
    return np.c_[10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z]


def _system(velocity, middle, size, draw=_box, **more):
    return System(velocity, draw(middle, size), middle, size, **more)


SYSTEMS = {
    "van der Pol": _system(_vanderpol, (0, 0), (3, 4)),
    "Duffing, force as a state": _system(
        _duffing_with_phase, (0, 0, 0, 0), (2, 2, 1, 1), _with_phase
    ),
    "Duffing, force given": _system(
        _duffing, (0, 0), (2, 2), force=lambda t: np.array([0.0, 0.3 * np.cos(t)])
    ),
    "Lorenz": _system(_lorenz, (0, 0, 25), (25, 30, 30), until=5.0),
}


def fit(system, units, seed=0):
    """A tanh(B s + θ) + a for the field of a system: B and θ drawn, A and a by least squares.

    Returns:
        A function of states (N, n), whose attribute `weights` has B (n, units), θ, A and a.
    """
    rng = np.random.default_rng((seed, units))
    x = system.draw(rng, LEARNT, 1.0)
    middle, size = np.array(system.middle), np.array(system.size)
    # Ridges of slopes and places that fit a box of sides −1 to 1.
    kernel = rng.normal(size=(len(size), units)) / size[:, None]
    bias = rng.uniform(-2, 2, units) - middle @ kernel
    features = np.c_[np.tanh(x @ kernel + bias), np.ones(len(x))]
    solved, *_ = np.linalg.lstsq(features, system.velocity(x), rcond=None)

    def field(s):
        return np.tanh(s @ kernel + bias) @ solved[:-1] + solved[-1]

    field.weights = kernel, bias, solved[:-1], solved[-1]
    return field


def as_residual(units, steps=200, dt=0.01):
    """A sentence on the van der Pol network as three networks of Keras, in float32.

    Args:
        units: its number of units.
        steps: how many are followed.
        dt: their length.
    """
    import keras

    from keras_recres import layers, models
    from keras_recres.layers.runge_kutta import RungeKutta

    system = SYSTEMS["van der Pol"]
    start = system.draw(np.random.default_rng(2), STARTS, 0.5).astype("float32")
    parts = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(units, "tanh"), keras.layers.Dense(2)]
    )
    parts.set_weights(list(fit(system, units).weights))
    block = layers.RecurrentResidual(RungeKutta(parts, dt), steps=steps)
    deep = keras.ops.convert_to_numpy(block(start))
    rnn = models.residual_to_rnn(block)
    clock = np.zeros((STARTS, steps, 2), "float32")
    in_time = keras.ops.convert_to_numpy(rnn(clock, initial_state=keras.ops.array(start)))
    hidden = models.field_to_rnn(parts, dt=dt, steps=steps).predict(start, verbose=0)
    return (
        f"Van der Pol's network of {units} units as a RecurrentResidual of {steps} steps differs "
        f"from the recurrent network of its state by {abs(deep - in_time).max():.0e}, and from "
        f"that of its hidden units (field_to_rnn) by {abs(deep - hidden).max():.0e}, in float32."
    )
