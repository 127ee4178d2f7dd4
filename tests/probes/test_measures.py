"""Rank correlations against known values, and stretch of curves in closed form."""

import numpy as np
import pytest
from keras import ops

from keras_recres.probes import CurvatureRecord, curves, measures

RNG = np.random.default_rng(3)


@pytest.mark.neutral
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("kind", ["spearman", "kendall"])
def test_coefficients_are_scipys(kind, ties):
    stats = pytest.importorskip("scipy.stats")
    x = RNG.normal(size=30)
    y = x + RNG.normal(size=30)
    if ties:
        x, y = np.round(x), np.round(y)
    expected = {"spearman": stats.spearmanr, "kendall": stats.kendalltau}[kind](x, y).statistic
    found = measures.rank_correlation(x, y, kind, "fisher")
    assert found.value == pytest.approx(expected, abs=1e-12)


@pytest.mark.neutral
def test_known_values():
    # One swap of neighbours among five: ρ = 1 − 6 · 2 / (5 · 24), τ = (9 − 1) / 10.
    x, y = [1, 2, 3, 4, 5], [10, 30, 20, 40, 50]
    assert measures.rank_correlation(x, y).value == pytest.approx(0.9)
    assert measures.rank_correlation(x, y, "kendall").value == pytest.approx(0.8)
    assert measures.rank_correlation(x, -np.array(y)).value == pytest.approx(-0.9)


@pytest.mark.neutral
def test_fishers_interval_is_the_formula():
    found = measures.rank_correlation(*(np.arange(23.0), np.arange(23.0) ** 2), interval="fisher")
    assert found.high == pytest.approx(1)
    x = np.arange(40.0)
    y = x + 15 * RNG.normal(size=40)
    found = measures.rank_correlation(x, y, interval="fisher")
    half = 1.959964 * np.sqrt((1 + found.value**2 / 2) / 37)
    assert np.arctanh(found.high) - np.arctanh(found.value) == pytest.approx(half, rel=1e-6)
    assert np.arctanh(found.value) - np.arctanh(found.low) == pytest.approx(half, rel=1e-6)


@pytest.mark.neutral
@pytest.mark.parametrize("interval", ["bootstrap", "fisher"])
def test_the_interval_covers_as_often_as_it_says(interval):
    # Normal pairs of correlation r have Spearman's ρ = 6/π asin(r/2).
    r, true = 0.6, 6 / np.pi * np.arcsin(0.3)
    hits = 0
    for seed in range(60):
        a, b = np.random.default_rng(seed).normal(size=(2, 40))
        found = measures.rank_correlation(
            a, r * a + np.sqrt(1 - r * r) * b, interval=interval, samples=200
        )
        hits += found.low <= true <= found.high
    assert 52 <= hits <= 60


@pytest.mark.neutral
def test_the_verdict_is_the_intervals():
    x = np.arange(20.0)
    noise = RNG.normal(size=20)
    assert measures.rank_correlation(x, x + noise).verdict == "positive"
    assert measures.rank_correlation(x, noise - x).verdict == "negative"
    assert measures.rank_correlation(x, (-1.0) ** x).verdict == "undecided"
    constant = measures.rank_correlation(x, np.ones(20))
    assert np.isnan(constant.value)
    assert (constant.low, constant.high, constant.verdict) == (-1, 1, "undecided")
    text = str(measures.rank_correlation(x, x**3))
    assert text == "Spearman's ρ 1.00 (95 % interval 1.00 to 1.00, 20 models)"


@pytest.mark.neutral
def test_groups_are_resampled_inside():
    # Between the groups alone: any resample that keeps both has the same ρ.
    groups = np.repeat([0, 1], 10)
    found = measures.rank_correlation(groups, groups, groups=groups)
    assert (found.low, found.high) == (1, 1)
    picks = measures._resamples(20, groups, 50, 0)
    assert all((groups[pick] == groups).all() for pick in picks)


def test_stretching_adds_length_and_no_turning():
    curve = curves.circle(2.0)
    theta = curve.theta(60)
    own = measures.of_curve(curve, theta)
    np.testing.assert_allclose(own.kappa, 0.5, rtol=1e-5)
    np.testing.assert_allclose(own.arc_length, 4 * np.pi, rtol=1e-5)
    one = np.ones(60)
    # A dilation by 3, and a layer that runs through the circle twice: the same speed, more turns.
    record = CurvatureRecord(
        theta,
        [("dilation", None), ("twice around", None)],
        np.stack([one / 6, one]),
        np.stack([6 * one, 2 * one]),
        interval=curve.interval,
        closed=True,
    )
    found = measures.stretch(record, curve)
    np.testing.assert_allclose(found["stretch"], [3, 1], rtol=1e-5)
    np.testing.assert_allclose(found["spectrum"], np.outer(np.ones(5), [3, 1]), rtol=1e-5)
    np.testing.assert_allclose(found["turning_rate"], np.outer([0.5, 1], one), rtol=1e-5)
    np.testing.assert_allclose(found["added_turning"], [0, 2 * np.pi], atol=1e-4)


def test_a_curve_that_stands_still_has_no_curvature_and_no_stretch():
    still = curves.Curve(lambda t: ops.stack([t, -t], axis=1) ** 3, (-1, 1), (2,))
    theta = np.array([-0.5, 0, 0.5], "float32")
    own = measures.of_curve(still, theta)
    assert own.speed[0, 1] == 0
    np.testing.assert_allclose(own.kappa, 0, atol=1e-5)
    with pytest.raises(ValueError, match="stands still"):
        measures.stretch(own, still)


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (([1, 2, 3], [1, 2, 3]), "at least 4 models"),
        (([1, 2, 3, 4], [1, 2, 3]), r"\(4,\) and \(3,\)"),
        (([1, 2, 3, np.nan], [1, 2, 3, 4]), "must be finite"),
        (([1, 2, 3, 4], [1, 2, 3, 4], "pearson"), "but it is 'pearson'"),
        (([1, 2, 3, 4], [1, 2, 3, 4], "kendall", "exact"), "but it is 'exact'"),
        (([1, 2, 3, 4], [1, 2, 3, 4], "kendall", "fisher", 95), "but it is 95"),
        (([1, 2, 3, 4], [1, 2, 3, 4], "kendall", "bootstrap", 0.9, [1]), "one for each model"),
    ],
)
def test_mistakes_are_named(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        measures.rank_correlation(*arguments)
