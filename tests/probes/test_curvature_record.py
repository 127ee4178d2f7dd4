"""The record: its integrals, quantiles, table, picture and file, on arrays with known answers."""

import csv
import dataclasses

import numpy as np
import pytest

from keras_recres.probes import CurvatureRecord, curves

pytestmark = pytest.mark.neutral
ROWS = [("dense", None), ("block", 0), ("block", 1)]


def record(closed=True, count=64, **changes):
    """A circle of radius 2, of radius 1/2, and an ellipse of half axes 3 and 1."""
    curve = curves.circle(2.0)
    theta = curve.theta(count, "float64")
    speed = np.sqrt(9 * np.sin(theta) ** 2 + np.cos(theta) ** 2)
    one = np.ones(count)
    fields = {
        "theta": theta,
        "rows": ROWS,
        "kappa": np.stack([one / 2, 2 * one, 3 / speed**3]),
        "speed": np.stack([2 * one, one / 2, speed]),
        "kinks": np.array([0, 0, 4]),
        "method": "forward",
        "backend": "jax",
        "dtype": "float32",
        "interval": curve.interval,
        "closed": closed,
    }
    return CurvatureRecord(**{**fields, **changes})


def test_integrals_of_closed_curves_are_exact():
    # The ellipse's perimeter by its complete elliptic integral; every oval turns once.
    np.testing.assert_allclose(
        record().arc_length, [4 * np.pi, np.pi, 13.364893220555258], rtol=1e-12
    )
    np.testing.assert_allclose(record().total_curvature, 2 * np.pi, rtol=1e-9)


def test_the_repr_is_one_line_whatever_was_measured():
    assert repr(record(count=4000)) == (
        "<CurvatureRecord: 3 rows, dense to block[1], 4000 theta, forward, jax, float32; "
        "its table is summary()>"
    )


def test_an_open_curve_is_integrated_to_its_ends():
    theta = curves.line([0.0], [1.0]).theta(50, "float64")
    row = {"rows": ROWS[:1], "kappa": np.ones((1, 50)), "speed": theta[None], "kinks": None}
    open_ = record(closed=False, theta=theta, interval=(0, 1), **row)
    np.testing.assert_allclose(open_.arc_length, 0.5, rtol=1e-3)
    inside = dataclasses.replace(open_, interval=None)
    np.testing.assert_allclose(inside.arc_length, (0.99**2 - 0.01**2) / 2, rtol=1e-12)
    shuffled = np.random.default_rng(0).permutation(50)
    other = dataclasses.replace(open_, theta=theta[shuffled], speed=theta[None, shuffled])
    np.testing.assert_allclose(other.arc_length, open_.arc_length)


def test_quantiles_are_over_theta():
    kappa = np.array([[3.0, 1, 2, 5, 4], [0, 0, 0, 0, 1000]])
    r = record(
        count=5, rows=ROWS[:2], kappa=kappa, speed=np.ones((2, 5)), theta=np.arange(5), kinks=None
    )
    np.testing.assert_allclose(r.median, [3, 0])
    np.testing.assert_allclose(r.quantile((0.25, 0.75)), [[2, 0], [4, 0]])


def test_the_summary_names_layers_and_steps():
    lines = record().summary().splitlines()
    assert lines[0] == "Curvature over 64 θ (forward, jax, float32)"
    assert [line.split()[0] for line in lines[3:]] == ["dense", "block[0]", "block[1]"]
    assert lines[3].split()[1:] == ["0.5", "0.5", "…", "0.5", "2", "12.6", "6.28", "0"]
    assert len({len(line) for line in lines[1:]}) == 1
    assert record(kinks=None).summary().splitlines()[-1].endswith("-")


def test_csv_has_every_number(tmp_path):
    r = record()
    r.to_csv(tmp_path / "curvature.csv")
    with open(tmp_path / "curvature.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows[::64]] == ["", "0", "1"]
    assert [row["layer"] for row in rows[::64]] == ["dense", "block", "block"]
    np.testing.assert_allclose([float(row["theta"]) for row in rows[:64]], r.theta, rtol=1e-8)
    for column, array in (("curvature", r.kappa), ("speed", r.speed)):
        numbers = [float(row[column]) for row in rows]
        np.testing.assert_allclose(numbers, array.ravel(), rtol=1e-8)


def test_plot_draws_medians_and_band(tmp_path):
    pytest.importorskip("matplotlib")
    axis = record().plot(tmp_path / "curvature.png")
    assert (tmp_path / "curvature.png").stat().st_size > 5000
    (line,) = axis.get_lines()
    np.testing.assert_allclose(line.get_ydata(), record().median)
    assert [label.get_text() for label in axis.get_xticklabels()] == record().names
    assert axis.get_yscale() == "linear"
    assert len(axis.collections) == 2
    far = record(kappa=record().kappa * np.array([[1.0], [100], [0]]))
    assert far.plot().get_yscale() == "log"
    # Straight everywhere: nothing to divide by.
    assert record(kappa=np.zeros((3, 64))).plot().get_yscale() == "linear"
    assert record().plot(axis=axis, label="again") is axis


@pytest.mark.parametrize("field", ["kappa", "speed", "kinks"])
def test_shapes_that_do_not_fit_are_named(field):
    with pytest.raises(ValueError, match=f"`{field}` must have the shape"):
        record(**{field: np.ones((2, 64))})
