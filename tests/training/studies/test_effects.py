"""Effects from a few seeds: closed forms, and the numbers of trainings that are filed."""

import numpy as np
import pytest
from scipy import stats

from training.studies.effects import (
    Cells,
    Effect,
    by_example,
    method,
    seeds_needed,
    sentence,
    verdict,
)

pytestmark = pytest.mark.neutral

# After the last epoch of the recipe cifar10_vit, per cent, seeds 0 and 1.
FILED = {
    "vit3": {0: 66.86, 1: 66.48},
    "vit3_rec": {0: 68.01, 1: 68.49},
    "vit7": {0: 68.81, 1: 69.04},
    "vit7_rec": {0: 69.41, 1: 69.29},
}


@pytest.mark.parametrize(
    ("pairs", "mean", "low", "high"),
    [
        ([("vit3_rec", "vit3")], 1.58, 0.93, 2.23),
        ([("vit7_rec", "vit7")], 0.43, -0.23, 1.08),
        ([("vit3_rec", "vit3"), ("vit7_rec", "vit7")], 1.00, 0.54, 1.46),
    ],
)
def test_what_recurrence_buys_on_the_filed_trainings(pairs, mean, low, high):
    cells = Cells(FILED)
    assert (cells.freedom, cells.spread) == (4, pytest.approx(0.235, abs=1e-3))
    effect = cells.mean_difference(pairs)
    assert effect.mean == pytest.approx(mean, abs=0.006)
    assert effect.interval == pytest.approx((low, high), abs=0.006)
    assert effect.seeds == 4 * len(pairs)


def test_two_cells_are_the_two_sample_t_test():
    rng = np.random.default_rng(0)
    one, other = rng.normal(70, 0.4, 5), rng.normal(69, 0.4, 3)
    cells = Cells({"one": dict(enumerate(one)), "other": dict(enumerate(other))})
    wanted = stats.ttest_ind(one, other).confidence_interval(0.95)
    assert cells.difference("one", "other").interval == pytest.approx(tuple(wanted))


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng, inside = np.random.default_rng(1), 0
    for _ in range(2000):
        drawn = {cell: dict(enumerate(rng.normal(mean, 0.3, 2))) for cell, mean in TRUTH.items()}
        low, high = Cells(drawn).mean_difference([("b", "a"), ("d", "c")]).interval
        inside += low < 0.75 < high
    assert abs(inside / 2000 - 0.95) < 0.015  # Three standard errors.


TRUTH = {"a": 60.0, "b": 61.0, "c": 70.0, "d": 70.5}


def test_a_cell_in_two_pairs_counts_once():
    cells = Cells({"a": {0: 1.0, 1: 2.0}, "b": {0: 3.0, 1: 4.0}, "c": {0: 5.0, 1: 6.0}})
    effect = cells.mean_difference([("b", "a"), ("c", "a")])
    # c = (−1, ½, ½): s² · (1 + ¼ + ¼) / 2 with s² = ½.
    assert effect.error == pytest.approx((0.5 * 1.5 / 2) ** 0.5)


def test_what_is_missing():
    cells = Cells({"a": {0: 1.0}, "b": {0: 2.0}, "c": {}})
    assert cells.difference("b", "a") == Effect(1.0, None, 0, 2)
    assert cells.difference("c", "a") == Effect()
    assert cells.difference("nothing", "a") == Effect()
    assert "No network has two seeds" in method(cells)
    assert sentence("A", Effect()) == "A: not measured yet."
    assert sentence("A", Effect(1.0, None, 0, 2)) == (
        "A: not decided: too few trainings; +1.00 points (2 trainings)."
    )


@pytest.mark.parametrize(
    ("spread", "effect", "average", "powerful"),
    [(0.25, 0.5, 4, 7), (0.25, 1.0, 3, 3), (0.25, 2.0, 2, 2), (0.35, 0.5, 6, 12)],
)
def test_seeds_needed(spread, effect, average, powerful):
    assert seeds_needed(effect, spread) == average
    assert seeds_needed(effect, spread, 0.9) == powerful


def test_the_power_is_that_of_drawn_seeds():
    rng = np.random.default_rng(2)
    count, seen = seeds_needed(1.0, 0.5, 0.9), 0
    for _ in range(1000):
        drawn = {c: dict(enumerate(rng.normal(m, 0.5, count))) for c, m in (("a", 0), ("b", 1))}
        seen += Cells(drawn).difference("b", "a").interval[0] > 0
    assert 0.87 < seen / 1000 < 0.96
    assert seeds_needed(0.001, 1.0, most=50) is None


def test_by_example_pairs_what_both_have():
    found = by_example({0: 3.0, 1: 4.0, 9: 0.0}, {0: 1.0, 1: 1.0, 2: 5.0})
    assert (found.seeds, found.mean, found.error) == (2, 2.5, pytest.approx(0.5))
    assert found.interval == pytest.approx((2.5 - 12.706 / 2, 2.5 + 12.706 / 2), rel=1e-4)
    assert by_example({}, {0: 1.0}).mean is None
    assert by_example({0: 2.0}, {0: 1.0}).interval is None


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        (Effect(2.0, 0.5, 9), "more accurate"),
        (Effect(-2.0, 0.5, 9), "less accurate"),
        (Effect(0.1, 0.2, 9), "equal to within 1 point"),
        (Effect(-0.5, 0.1, 9), "less accurate"),
        (Effect(0.8, 0.5, 9), "not decided"),
        (Effect(0.1, 0.5, 2), "not decided"),
        (Effect(5.0, None), "not decided: too few trainings"),
    ],
)
def test_verdict(effect, words):
    assert verdict(effect) == words


def test_the_share_of_depth_holds_the_truth_as_often_as_it_says():
    """ρ = 0.5 of a difference of 2 points, three seeds a network that spread by 0.3."""
    rng, inside, told = np.random.default_rng(3), 0, 0
    for _ in range(2000):
        means = {"once": 60, "tied": 61, "untied": 62}
        cells = {cell: dict(enumerate(rng.normal(mean, 0.3, 3))) for cell, mean in means.items()}
        rho, interval = Cells(cells).share("tied", "once", "untied")
        if interval:
            told += 1
            inside += interval[0] < 0.5 < interval[1]
            assert interval[0] < rho < interval[1]
    assert told > 1950
    assert abs(inside / told - 0.95) < 0.015


def test_a_share_that_cannot_be_told_has_no_interval():
    same = {"once": {0: 60.0, 1: 61.0}, "untied": {0: 60.4, 1: 60.7}, "tied": {0: 60.5, 1: 60.2}}
    assert Cells(same).share("tied", "once", "untied")[1] is None
    assert Cells({**same, "tied": {}}).share("tied", "once", "untied") == (None, None)
    one = {cell: {0: points[0]} for cell, points in same.items()}
    rho, interval = Cells(one).share("tied", "once", "untied")
    assert rho == pytest.approx(0.5 / 0.4)
    assert interval is None
