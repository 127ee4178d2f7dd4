"""Are the derivatives that a framework gives those of the function?"""

import contextlib

import numpy as np
from keras import ops

from keras_recres.backend import probe
from keras_recres.probes import jets
from keras_recres.probes.measurement import Measurement, curvature, extent
from keras_recres.probes.recorder import Refusal

# Where in θ's range, off any even grid.
WHERE = (0.217, 0.513, 0.829)
# Steps as shares of θ's range with the error allowed: small ones tell wrong from right sharply,
# and seldom step over one of the kinks that a convolutional network has in its thousands; those
# after them let pass what is rounded to float32.
STEPS = (
    (1e-8, 1e-4),
    (1e-9, 1e-4),
    (1e-10, 1e-3),
    (1e-7, 1e-4),
    (1e-6, 1e-4),
    (1e-5, 1e-4),
    (1e-4, 1e-3),
    (1e-3, 1e-3),
    (1e-2, 1e-3),
)
SHARP = 6


def check(measurement, theta):
    """Compares v with differences of the outputs, and a with differences of v.

    One random projection of each is enough: a wrong derivative is wrong in every direction. It is
    done in float64 at three θ.

    Args:
        measurement: The `Measurement` to check.
        theta: NumPy array, where it will be run.

    Raises:
        Refusal: If there is a layer whose derivatives are others; it is named.
    """
    wrong, kappa = _compare_somehow(measurement, measurement.wanted, theta)
    # What was checked is not the compiled function itself, which may be another one on TensorFlow.
    wrong = wrong or _apart(measurement, theta, kappa)
    if not wrong:
        return
    with contextlib.suppress(Exception):
        # The innermost layer comes first, if it can be seen.
        wrong = _compare_somehow(measurement, "all", theta)[0] or wrong
    wide = measurement.dtype == "float64"
    raise Refusal(
        f"the layer {wrong[0]!r} has other derivatives by method={measurement.method!r} than its "
        f"outputs have"
        + (", or does not compute in float64" if wide else "")
        + ": it stops or replaces gradients in a way that the probe cannot undo; leave it out "
        "with `layers`, or use method='finite'."
    )


def _apart(measurement, theta, want):
    """Paths of the rows in which the compiled function gives other curvatures throughout."""
    kappa, speed, _ = measurement.measure(_centres(theta))
    straight = 1e-2 / np.where(speed > 0, speed * extent(theta), np.inf)
    tolerance = 1e-2 if measurement.dtype == "float32" else 1e-6
    same = (np.abs(kappa - want) <= tolerance * np.maximum(want, straight)).any(axis=1)
    return [path for (path, _), fine in zip(measurement.rows, same, strict=True) if not fine]


def _centres(theta):
    return np.min(theta) + extent(theta) * np.array(WHERE)


def _compare_somehow(measurement, wanted, theta):
    """Paths of the rows that fail, in the order of computation, and κ at the centres."""
    try:
        return _compare(measurement, wanted, theta, "float64")
    except Exception:
        if measurement.dtype == "float64":
            raise
        # A layer that cannot compute in float64 at all.
        return _compare(measurement, wanted, theta, "float32")


def _compare(measurement, wanted, theta, dtype):
    tried = Measurement(
        measurement.model(),
        measurement.curve,
        wanted,
        measurement.steps,
        measurement.method,
        0,
        dtype,
    )

    def run(values, theta):
        outputs, v, a, _ = jets.METHODS[tried.method](tried.traced(values), theta)
        triples = zip(outputs, v, a, strict=True)
        numbers = [
            [*jets.projections(t), *map(jets.length, t), jets.bending(*t[1:])[1]] for t in triples
        ]
        return ops.stack([ops.stack(row) for row in numbers])

    run = probe.run_once(run)
    span = extent(theta)
    centres = _centres(theta)
    steps = STEPS if measurement.dtype == "float32" else STEPS[:SHARP]
    if dtype == "float32":
        steps = STEPS[SHARP:]
    passed = False
    with tried.floats():
        values = tried.values()
        for share, tolerance in steps:
            h = share * span
            points = np.concatenate([centres - h, centres, centres + h])
            points = points.astype(dtype).astype("float64")
            # As it is after rounding.
            h = (points[-len(centres) :] - points[: len(centres)]) / 2
            numbers = ops.convert_to_numpy(run(values, tried.tensor(points))).astype("float64")
            passed = passed | _agree(numbers, h, span, tolerance)
            if passed.all():
                break
    right = passed.all(axis=-1)
    here = np.split(numbers, 3, axis=-1)[1]
    wrong = [path for (path, _), fine in zip(tried.rows, right, strict=True) if not fine]
    return wrong, curvature(here[:, 4], here[:, 6])


def _agree(numbers, h, span, tolerance):
    """Whether differences and derivatives agree, (rows, centres).

    Args:
        numbers: (rows, 7, 3·centres): projections of l, v, a, the lengths of l, v, a, and |a⊥|.
        h: Step of the differences, (centres,).
        span: Range of θ.
        tolerance: Relative error allowed.
    """
    before, here, after = np.split(numbers, 3, axis=-1)
    slope = (after - before) / (2 * h)
    # What is orthogonal to the projection, and what would not bend or stretch the curve visibly.
    allowed_v = np.abs(here[:, 1]) + 0.1 * here[:, 4] + 1e-5 * here[:, 3] / span
    allowed_a = np.abs(here[:, 2]) + 0.1 * here[:, 5] + 1e-4 * here[:, 4] / span
    return (np.abs(slope[:, 0] - here[:, 1]) <= tolerance * allowed_v) & (
        np.abs(slope[:, 1] - here[:, 2]) <= tolerance * allowed_a
    )
