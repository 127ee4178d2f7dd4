"""Curves: closed forms, interpolation, smoothness, and what they refuse."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres.backend import probe
from keras_recres.probes import curves
from tests.marks import slow_on_tensorflow

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(6, 4, 4, 3))
LABELS = np.array([0, 1, 2, 0, 1, 2])
# JAX has float64 only where it is enabled before anything else.
EXACT = keras.backend.backend() != "jax"
DTYPE = "float64" if EXACT else "float32"

ALL = {
    "circle": lambda: curves.circle(2.0),
    "circle in images": lambda: curves.circle(2.0, IMAGES[2], IMAGES[:2]),
    "ellipse": lambda: curves.ellipse([0.0, 1.0], [3.0, 0.0], [0.0, 0.5]),
    "great circle": lambda: curves.great_circle(*IMAGES[:2]),
    "great arc": lambda: curves.great_circle(*IMAGES[:2], arc=True),
    "line": lambda: curves.line(*IMAGES[:2]),
    "spline": lambda: curves.spline(IMAGES),
    "closed spline": lambda: curves.spline(IMAGES, closed=True),
    "pca": lambda: curves.from_dataset(IMAGES),
    "images of one class": lambda: curves.from_dataset(IMAGES, by="class"),
    "class means": lambda: curves.from_dataset(IMAGES, by="class", labels=LABELS),
}


def at(curve, theta, dtype=DTYPE):
    """x(θ) as float64, (n, features)."""
    x = curve(ops.convert_to_tensor(np.asarray(theta), dtype=dtype))
    assert keras.backend.standardize_dtype(x.dtype) == dtype
    assert tuple(x.shape) == (len(theta), *curve.shape)
    return np.asarray(ops.convert_to_numpy(x), "float64").reshape(len(theta), -1)


def derivatives(curve, theta, dtype=DTYPE):
    """v and a by nested jvp."""
    theta = ops.convert_to_tensor(theta, dtype=dtype)
    one = ops.ones_like(theta)
    v, a = probe.jvp(lambda t: probe.jvp(curve, (t,), (one,))[1], (theta,), (one,))
    return (
        np.asarray(ops.convert_to_numpy(part), "float64").reshape(len(theta), -1) for part in (v, a)
    )


def curvature(v, a):
    vv, aa, va = (v * v).sum(1), (a * a).sum(1), (v * a).sum(1)
    return np.sqrt(np.maximum(vv * aa - va**2, 0)) / vv**1.5


@slow_on_tensorflow
@pytest.mark.parametrize("name", ALL)
def test_both_derivatives_are_those_of_differences(name):
    curve = ALL[name]()
    low, high = curve.interval
    h = 1e-4 if EXACT else 3e-2
    # Away from the knots, where the third derivative jumps.
    theta = curve.theta(23, DTYPE)
    for knot in getattr(curve, "knots", ()):
        theta = theta[np.abs(theta - knot) > 2 * h]
    v, a = derivatives(curve, theta)
    after, here, before = (at(curve, theta + step) for step in (h, 0, -h))
    scale = np.abs(v).max()
    np.testing.assert_allclose(
        (after - before) / (2 * h), v, atol=scale * (1e-5 if EXACT else 1e-1)
    )
    if EXACT:
        np.testing.assert_allclose((after - 2 * here + before) / h**2, a, atol=1e-5 * scale)
    assert (theta > low).all()
    assert (theta < high).all()


@pytest.mark.parametrize("name", ALL)
def test_a_row_depends_on_its_own_theta_alone_and_on_its_dtype(name):
    curve = ALL[name]()
    theta = curve.theta(9)
    whole = at(curve, theta, "float32")
    np.testing.assert_allclose(whole[2:4], at(curve, theta[2:4], "float32"), rtol=1e-6)
    np.testing.assert_allclose(whole, at(curve, theta.astype(DTYPE)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("axes", [None, IMAGES[:2]])
def test_a_circle_has_its_length_and_curvature(axes):
    curve = curves.circle(2.5, axes=axes)
    theta = curve.theta(40, DTYPE)
    v, a = derivatives(curve, theta)
    np.testing.assert_allclose(curvature(v, a), 1 / 2.5, rtol=1e-12 if EXACT else 1e-5)
    length = np.linalg.norm(v, axis=1).mean() * (curve.interval[1] - curve.interval[0])
    assert length == pytest.approx(2 * np.pi * 2.5, rel=1e-6)


def test_a_great_circle_keeps_the_norm_and_meets_both_inputs():
    a, b = IMAGES[0], IMAGES[1] * np.linalg.norm(IMAGES[0]) / np.linalg.norm(IMAGES[1])
    arc = curves.great_circle(a, b, arc=True)
    norms = np.linalg.norm(at(curves.great_circle(a, b), arc.theta(7)), axis=1)
    np.testing.assert_allclose(norms, np.linalg.norm(a), rtol=1e-6)
    ends = at(arc, np.array(arc.interval))
    np.testing.assert_allclose(ends, [a.ravel(), b.ravel()], atol=1e-5)
    assert not arc.closed
    # An angle beyond the right one, too.
    ends = at(wide := curves.great_circle(a, -b, arc=True), np.array(wide.interval))
    np.testing.assert_allclose(ends[1], -b.ravel(), atol=1e-5)


def test_a_line_is_straight():
    curve = curves.line(*IMAGES[:2])
    _, acceleration = derivatives(curve, curve.theta(5))
    assert not acceleration.any()
    np.testing.assert_allclose(
        at(curve, np.array([0.0, 1.0])), IMAGES[:2].reshape(2, -1), rtol=1e-6
    )


@slow_on_tensorflow
@pytest.mark.parametrize("knots", ["chord", "uniform"])
@pytest.mark.parametrize("closed", [False, True])
def test_a_spline_interpolates_and_is_twice_differentiable(closed, knots):
    curve = curves.spline(IMAGES, closed, knots)
    np.testing.assert_allclose(
        at(curve, curve.knots), IMAGES.reshape(6, -1), atol=1e-12 if EXACT else 1e-5
    )
    inner = curve.knots[slice(0 if closed else 1, None if closed else -1)]
    tiny = 1e-9 if EXACT else 1e-4
    for before, after in zip(
        derivatives(curve, inner - tiny), derivatives(curve, inner + tiny), strict=True
    ):
        np.testing.assert_allclose(before, after, atol=1e-6 if EXACT else 2e-2)
    if closed:
        theta = np.linspace(0.1, 5.7, 5)
        np.testing.assert_allclose(at(curve, theta + 6), at(curve, theta), atol=1e-4)
    else:
        _, ends = derivatives(curve, np.array(curve.interval))
        np.testing.assert_allclose(ends, 0, atol=1e-9 if EXACT else 1e-4)


def test_a_natural_spline_is_scipys():
    interpolate = pytest.importorskip("scipy.interpolate")
    theta = np.linspace(0, 5, 41)
    x = IMAGES.reshape(6, -1)
    natural = interpolate.CubicSpline(np.arange(6), x, bc_type="natural")(theta)
    found = at(curves.spline(IMAGES, knots="uniform"), theta)
    np.testing.assert_allclose(found, natural, atol=1e-10 if EXACT else 1e-5)
    periodic = interpolate.CubicSpline(np.arange(7), x[[*range(6), 0]], bc_type="periodic")(theta)
    found = at(curves.spline(IMAGES, closed=True, knots="uniform"), theta)
    np.testing.assert_allclose(found, periodic, atol=1e-10 if EXACT else 1e-5)


def test_two_points_make_a_straight_spline():
    theta = np.linspace(0, 1, 5)
    spline, line = curves.spline(IMAGES[:2]), curves.line(*IMAGES[:2])
    np.testing.assert_allclose(at(spline, theta), at(line, theta), atol=1e-5)


@pytest.mark.parametrize("count", [6, 400])
def test_pca_has_the_variances_of_the_data(count):
    axes = np.linalg.qr(RNG.normal(size=(48, 48)))[0][:2]
    x = RNG.normal(size=(count, 2)) * [5, 2] @ axes + 3 + 1e-3 * RNG.normal(size=(count, 48))
    curve = curves.from_dataset(x.reshape(count, 4, 4, 3))
    points = at(curve, curve.theta(64))
    np.testing.assert_allclose(points.mean(0), x.mean(0), atol=1e-5)
    of_data, of_curve = (
        np.linalg.eigvalsh(np.cov(sample.T, bias=True))[-2:] for sample in (x, points)
    )
    np.testing.assert_allclose(of_curve, of_data, rtol=1e-4)


def test_class_curves_go_through_images_or_means_nearest_first():
    x = np.array([0.0, 10, 1, 11, 5])[:, None] * np.ones(3)
    curve = curves.from_dataset(x, by="class")
    np.testing.assert_allclose(at(curve, curve.knots)[:, 0], [0, 1, 5, 10, 11], atol=1e-5)
    labels = np.array([3, 4, 3, 4, 3])
    curve = curves.from_dataset(x, by="class", labels=labels, label=3)
    np.testing.assert_allclose(at(curve, curve.knots)[:, 0], [0, 1, 5], atol=1e-5)
    curve = curves.from_dataset(x, by="class", labels=labels)
    np.testing.assert_allclose(at(curve, curve.knots)[:, 0], [2, 10.5], atol=1e-5)


@slow_on_tensorflow
def test_another_parameter_does_not_change_the_curvature():
    curve = curves.spline(IMAGES)
    cubed = curve.reparametrise(lambda t: t**3, (0.5, 5 ** (1 / 3)))
    tau = cubed.theta(9, DTYPE)
    np.testing.assert_allclose(
        curvature(*derivatives(cubed, tau)),
        curvature(*derivatives(curve, tau**3)),
        rtol=1e-9 if EXACT else 1e-3,
    )


def test_theta_are_the_middles_of_the_parts():
    np.testing.assert_allclose(curves.line([0.0], [1.0]).theta(4), [0.125, 0.375, 0.625, 0.875])
    assert repr(curves.circle(2)) == "<Curve circle: [0, 6.28319] to (2,), closed>"


@pytest.mark.neutral
def test_a_tf_data_set_is_told_to_be_collected():
    tf = pytest.importorskip("tensorflow")
    data = tf.data.Dataset.from_tensor_slices(IMAGES)
    with pytest.raises(ValueError, match=r"but this is a .*Dataset: .*as_numpy_iterator"):
        curves.from_dataset(data)
    curves.from_dataset(np.stack(list(data.as_numpy_iterator())))


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: curves.circle(0), "`radius` must be above 0"),
        (lambda: curves.circle(1, axes=([1, 0], [2, 0])), "a multiple of the other"),
        (lambda: curves.great_circle([0, 0], [1, 0]), "one is zero"),
        (lambda: curves.line([0, 0], [1]), r"the shapes are \(2,\), \(1,\)"),
        (lambda: curves.spline([[1.0]]), "at least 2 inputs"),
        (lambda: curves.spline(IMAGES[:2], closed=True), "at least 3 inputs"),
        (lambda: curves.spline(IMAGES[[0, 1, 1]]), "1 equals the next"),
        (lambda: curves.spline(IMAGES, knots="even"), "but it is 'even'"),
        (lambda: curves.from_dataset(IMAGES, by="pcs"), "but it is 'pcs'"),
        (lambda: curves.from_dataset(np.zeros((9, 5))), "vary in at least 2 directions"),
        (lambda: curves.from_dataset(IMAGES, "class", LABELS[:2]), "one for each image"),
        (lambda: curves.from_dataset(IMAGES, "class", LABELS, 7), "but 7 is not"),
        (
            lambda: curves.from_dataset(iter(IMAGES)),
            "arrays of numbers, but this is an? .*iterator",
        ),
        (lambda: curves.Curve(None, (1, 1), (2,)), "low < high"),
    ],
)
def test_mistakes_are_named(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
