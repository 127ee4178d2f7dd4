"""Curves θ ↦ x(θ) in input space, for the probes to send through a model."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_recres.backend.types import Data, Tensor
from keras_recres.layers.checks import a_kind
from keras_recres.probes import curve_points


class Curve:
    """A curve in input space: θ of shape (n,) ↦ inputs of shape (n, *shape).

    Row i depends on θ_i alone, and the function is twice differentiable and made of `keras.ops`,
    so that it can be differentiated on every backend. It computes in θ's own dtype.

    Example:
    >>> helix = Curve(
    ...     lambda t: ops.stack([ops.cos(t), ops.sin(t), t / 2], axis=-1), (0, 6), shape=(3,))
    >>> helix(helix.theta(100)).shape
    (100, 3)

    Args:
        function: Function of θ, a floating-point tensor (n,).
        interval: (low, high), where θ runs.
        shape: Shape of one input.
        closed: Whether the curve returns smoothly to where it began, so that `interval` is one
            period.
        name: What pictures and tables call it.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        interval: tuple[float, float],
        shape: Sequence[int],
        closed: bool = False,
        name: str = "curve",
    ) -> None:
        low, high = (float(end) for end in interval)
        if not low < high:
            raise ValueError(f"`interval` must be (low, high) with low < high, not {interval!r}.")
        self.function = function
        self.interval = (low, high)
        self.shape = tuple(shape)
        self.closed = closed
        self.name = name

    def __call__(self, theta: Data) -> Tensor:
        """The inputs at θ: a tensor (n, *shape) of θ's dtype."""
        return self.function(ops.convert_to_tensor(theta))

    def theta(self, count: int, dtype: str = "float32") -> np.ndarray:
        """`count` evenly spaced θ: the middles of as many parts of the interval.

        Returns:
            A NumPy array (count,), whose sum of f(θ) · (high − low) / count is the midpoint rule
            for ∫ f dθ; for a smooth closed curve that converges faster than any power.
        """
        low, high = self.interval
        return (low + (high - low) * (np.arange(count) + 0.5) / count).astype(dtype)

    def reparametrise(self, function: Callable[..., Any], interval: tuple[float, float]) -> "Curve":
        """The same points, run through at another speed: τ ↦ x(g(τ)).

        Example:
        >>> slow_start = line(a, b).reparametrise(lambda t: t**3, (0.1, 1))

        Args:
            function: g, monotone, twice differentiable, of `keras.ops` or plain arithmetic.
            interval: (low, high) of τ.
        """
        return Curve(lambda tau: self.function(function(tau)), interval, self.shape, name=self.name)

    def __repr__(self) -> str:
        low, high = self.interval
        closed = ", closed" if self.closed else ""
        return f"<Curve {self.name}: [{low:g}, {high:g}] to {self.shape}{closed}>"


def circle(radius: float = 1.0, center: Data = None, axes: Data = None) -> Curve:
    """A circle in a plane: x(θ) = c + R (cos θ · u + sin θ · w), θ in [0, 2π], curvature 1/R.

    Args:
        radius: R > 0.
        center: c, an input; None for the origin.
        axes: Two inputs that span the plane; they are made orthonormal, u keeps its direction.
            None for the first two coordinates.

    Returns:
        A closed `Curve`. With neither `center` nor `axes` it lies in two dimensions.

    Raises:
        ValueError: The radius is not above 0, or the inputs differ in shape or span no plane.
    """
    if not radius > 0:
        raise ValueError(f"`radius` must be above 0, but it is {radius!r}.")
    if axes is None:
        shape = (2,) if center is None else np.shape(center)
        axes = np.eye(2, int(np.prod(shape))).reshape(2, *shape)
    u, w = curve_points.orthonormal(*_same_shape("axes", axes))
    center = np.zeros(u.shape) if center is None else _array(center)
    return ellipse(center, radius * u, radius * w, name="circle")


def ellipse(center: Data, u: Data, w: Data, name: str = "ellipse") -> Curve:
    """x(θ) = c + cos θ · u + sin θ · w, θ in [0, 2π]: orthogonal u and w are the half axes.

    Args:
        center: c, an input.
        u: An input-shaped direction, with its length.
        w: Another one.
        name: What pictures and tables call it.

    Returns:
        A closed `Curve`.
    """
    center, u, w = _same_shape("center, u, w", (center, u, w))

    def function(theta):
        t = _column(theta, center.ndim)
        c, a, b = (ops.convert_to_tensor(part, dtype=theta.dtype) for part in (center, u, w))
        return c + ops.cos(t) * a + ops.sin(t) * b

    return Curve(function, (0, 2 * np.pi), center.shape, closed=True, name=name)


def great_circle(a: Data, b: Data, arc: bool = False) -> Curve:
    """The great circle from input a towards input b, on the sphere about the origin.

    x(θ) = cos θ · a + sin θ · |a| w with w ⊥ a, |w| = 1, in the plane of a and b (as in Poole et
    al., arXiv 1606.05340, section 3): |x(θ)| = |a| for every θ, and the curvature is 1/|a|. It
    meets b at the angle between them if |b| = |a|, else b scaled to |a|.

    Args:
        a: An input, not 0.
        b: An input that is not a multiple of a.
        arc: Whether to stop at b instead of going around.

    Returns:
        A `Curve`, closed unless `arc`.
    """
    a, b = _same_shape("a, b", (a, b))
    norm = np.linalg.norm(a)
    _, w = curve_points.orthonormal(a, b)
    whole = ellipse(np.zeros(a.shape), a, norm * w, name="great circle")
    if not arc:
        return whole
    angle = np.arctan2(np.sum(w * b), np.sum(a * b) / norm)
    return Curve(whole.function, (0, angle), a.shape, name="great arc")


def line(a: Data, b: Data) -> Curve:
    """The straight line x(θ) = a + θ (b − a), θ in [0, 1]: no curvature of its own.

    Args:
        a: An input, an array of any shape.
        b: Another one, of the same shape.

    Returns:
        An open `Curve`.

    Raises:
        ValueError: The shapes differ.
    """
    a, b = _same_shape("a, b", (a, b))

    def function(theta):
        t = _column(theta, a.ndim)
        start = ops.convert_to_tensor(a, dtype=theta.dtype)
        return start + t * ops.convert_to_tensor(b - a, dtype=theta.dtype)

    return Curve(function, (0, 1), a.shape, name="line")


def spline(inputs: Data, closed: bool = False, knots: str = "chord", name: str = "spline") -> Curve:
    """The cubic spline through given inputs: twice continuously differentiable.

    θ goes from 0 to the number of pieces. An open spline is the natural one (x'' = 0 at both
    ends), a closed one is periodic and returns from the last input to the first.

    Args:
        inputs: Array (count, …) of inputs in the order of the curve, at least 2 (closed: 3), no
            two neighbours equal.
        closed: Whether to return to the first input.
        knots: "chord": a piece takes as much of θ as its inputs lie apart, which keeps the speed
            even; "uniform": input i lies at θ = i.
        name: What pictures and tables call it.

    Returns:
        A `Curve` with an attribute `knots`, the θ of the inputs.

    Raises:
        ValueError: There are too few inputs, two neighbours are equal, or `knots` is unknown.
    """
    x = _array(inputs)
    least = 3 if closed else 2
    if x.ndim < 2 or len(x) < least:
        raise ValueError(
            f"`inputs` of a{' closed' if closed else 'n open'} spline must be at least {least} "
            f"inputs, an array (count, …), but its shape is {x.shape}."
        )
    if knots not in ("chord", "uniform"):
        raise ValueError(f"`knots` must be 'chord' or 'uniform', but it is {knots!r}.")
    count, shape = len(x), x.shape[1:]
    flat = x.reshape(count, -1)
    points = np.concatenate([flat, flat[:1]]) if closed else flat
    chords = np.linalg.norm(np.diff(points, axis=0), axis=1)
    if not (chords > 0).all():
        i = int(np.argmin(chords > 0))
        raise ValueError(f"`inputs` must have no two equal neighbours, but {i} equals the next.")
    pieces = len(chords)
    widths = np.ones(pieces) if knots == "uniform" else chords * (pieces / chords.sum())
    starts = np.concatenate([[0.0], np.cumsum(widths)])
    coefficients = curve_points.cubics(points, widths, closed).reshape(4, pieces, *shape)

    def function(theta):
        if closed:
            turns = ops.floor(ops.stop_gradient(theta) / float(pieces))
            theta = theta - turns * float(pieces)
        inner = ops.convert_to_tensor(starts[1:-1], dtype=theta.dtype)
        index = ops.sum(ops.cast(ops.stop_gradient(theta)[:, None] >= inner, "int32"), axis=1)
        begin = ops.take(ops.convert_to_tensor(starts[:-1], dtype=theta.dtype), index, axis=0)
        t = _column(theta - begin, len(shape))
        c = ops.take(ops.convert_to_tensor(coefficients, dtype=theta.dtype), index, axis=1)
        return c[0] + t * (c[1] + t * (c[2] + t * c[3]))

    curve = Curve(function, (0, pieces), shape, closed=closed, name=name)
    curve.knots = starts[:count]
    return curve


def from_dataset(
    images: Data,
    by: str = "pca",
    labels: Data = None,
    label: int | str | None = None,
    points: int = 8,
) -> Curve:
    """A curve through a data set, which the paper takes for a curve in a high-dimensional space.

    Example:
    >>> curve = from_dataset(model.preprocess(images), by="class", labels=labels, label=3)

    Args:
        images: Array (count, …) of inputs as the model takes them, so preprocessed ones.
        by: "pca": the ellipse about the mean in the plane of the first two principal components,
            whose half axes √2 σ give it the variances of the data there. "class": a spline
            through `points` images of the class `label`, or, without `label`, through the mean
            of every class; ordered so that each is followed by the nearest of the rest.
        labels: Class of each image, (count,), for "class". None takes all images as one class.
        label: The class.
        points: Number of images that "class" with one class goes through, the first ones.

    Returns:
        A `Curve`.

    Raises:
        ValueError: There are fewer than 3 images, labels of another number than images, fewer than
            2 images of the class, or `by` is unknown.
    """
    x = _array(images)
    if x.ndim < 2 or len(x) < 3:
        raise ValueError(f"`images` must be at least 3 inputs, but its shape is {x.shape}.")
    if by == "pca":
        flat = x.reshape(len(x), -1)
        mean, axes, deviations = curve_points.principal(flat, 2)
        u, w = (np.sqrt(2) * s * axis for s, axis in zip(deviations, axes, strict=True))
        return ellipse(*(part.reshape(x.shape[1:]) for part in (mean, u, w)), name="pca")
    if by != "class":
        raise ValueError(f"`by` must be 'pca' or 'class', but it is {by!r}.")
    if labels is None:
        return spline(curve_points.nearest_order(x[:points]), name="images of one class")
    labels = np.asarray(labels)
    if labels.shape != (len(x),):
        raise ValueError(f"`labels` must be one for each image, but its shape is {labels.shape}.")
    if label is None:
        means = np.stack([x[labels == one].mean(axis=0) for one in np.unique(labels)])
        return spline(curve_points.nearest_order(means), name="class means")
    if (labels == label).sum() < 2:
        raise ValueError(f"`label` must be a class of at least 2 images, but {label!r} is not.")
    return spline(curve_points.nearest_order(x[labels == label][:points]), name=f"class {label}")


def _array(value):
    """A float64 NumPy array of any array or tensor."""
    try:
        return np.asarray(ops.convert_to_numpy(value), "float64")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"a curve is made of arrays of numbers, but this is {a_kind(value)}: collect "
            f"its inputs in one array, as by np.stack(list(dataset.as_numpy_iterator()))."
        ) from error


def _same_shape(names, values):
    arrays = [_array(value) for value in values]
    if len({array.shape for array in arrays}) > 1 or arrays[0].ndim < 1:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ValueError(f"`{names}` must be inputs of one shape, but the shapes are {shapes}.")
    return arrays


def _column(theta, rank):
    """θ as (n, 1, …, 1), to be multiplied with inputs of this rank."""
    return ops.reshape(theta, (-1, *[1] * rank))
