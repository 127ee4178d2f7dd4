"""Made trees: what they are worth, how networks read them, and that these are equally large."""

import numpy as np
import pytest

from training.studies import __main__ as reproduce
from training.studies import made_trees


@pytest.mark.neutral
def test_a_root_depends_on_the_tree():
    left, right = np.array([[0, 1], [3, 2]]), np.array([[1, 2], [0, 3]])
    values = [1, 2, 2]
    # (2 (2·1 + 2) + 2) mod 3 and (2·1 + (2·2 + 2)) mod 3.
    assert made_trees.evaluate(left, values) == 1
    assert made_trees.evaluate(right, values) == 2
    assert made_trees.postfix(left, values) == [1, 2, 3, 2, 3]
    assert made_trees.postfix(right, values) == [1, 2, 2, 3, 3]


@pytest.mark.neutral
def test_kinds_read_the_same_trees():
    found = {kind: made_trees.trees(20, 2, 4, 0, kind, 5) for kind in made_trees.KINDS}
    for *x, roots in found.values():
        assert (roots == found["leaves"][-1]).all()
        assert len(x[0]) == 20
    leaves = found["leaves"][0].sum((1, 2))
    assert (leaves == found["tensor"][2].sum(1) + 1).all()
    assert (found["postfix"][0].sum((1, 2)) == 2 * leaves - 1).all()


@pytest.mark.parametrize("kind", made_trees.KINDS)
def test_networks_are_equally_large_and_pass_over_padding(kind):
    model = made_trees.network(kind, made_trees.UNITS[kind], 5)
    assert model.count_params() == pytest.approx(2250, rel=0.05)
    short, padded = (made_trees.network(kind, made_trees.UNITS[kind], places) for places in (4, 5))
    padded.set_weights(short.get_weights())
    one, two = (
        m.predict(list(made_trees.trees(6, 2, 4, 0, kind, places)[:-1]), verbose=0)
        for m, places in ((short, 4), (padded, 5))
    )
    assert one == pytest.approx(two, abs=1e-5)


def test_an_arm_is_trained_and_told(tmp_path):
    command = ["made_trees", "--arms=recursive", "--seeds=1", "--updates=4", f"--out={tmp_path}"]
    assert reproduce.main(command) == 0
    said = (tmp_path / "made_trees.md").read_text()
    assert "| recursive | 2,307 |" in said
    assert "Guessing is right in 33.3 %." in said
    assert (tmp_path / "made_trees.png").exists()
