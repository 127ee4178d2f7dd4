"""Digits at every place: what is presented, and which answers are right."""

import numpy as np
import pytest

from training.studies import __main__ as reproduce
from training.studies import neocognitron


@pytest.mark.neutral
def test_digits_lie_at_all_places():
    images = neocognitron.digits(neocognitron.PLACES).reshape(99, 5, 16, 16)
    ink = images.sum((2, 3))
    assert (ink == ink[0]).all()
    assert len(np.unique(images.reshape(495, -1), axis=0)) == 495
    assert (np.roll(images[0], (8, 10), (1, 2)) == images[-1]).all()


@pytest.mark.neutral
def test_each_digit_is_presented_20_times_at_drawn_places():
    images, labels = neocognitron.presented("anywhere", 0)
    assert np.bincount(labels).tolist() == [20] * 5
    (middle,) = neocognitron.digits([neocognitron.MIDDLE]).sum((1, 2, 3))[None]
    assert (images.sum((1, 2, 3)) == middle[labels]).all()
    assert len(np.unique(images, axis=0)) > 60
    assert (images != neocognitron.presented("anywhere", 1)[0]).any()


@pytest.mark.neutral
def test_right_is_the_cell_that_is_a_digits_own():
    answers = np.zeros((99, 5, 6))
    (middle,) = np.flatnonzero(neocognitron.ASIDE == 0)
    answers[:, range(5), [0, 1, 2, 4, 4]] = 1
    answers[0, 0], answers[1, 1] = np.eye(6)[5], 0  # Another cell answers, and none does.
    right, cells = neocognitron.judged(answers, labelled=False)
    assert cells == 3
    assert right[middle].tolist() == [1, 1, 1, 0, 0]
    assert right.sum(0).tolist() == [98, 98, 99, 0, 0]
    right, cells = neocognitron.judged(answers, labelled=True)
    assert cells == 5
    assert right.sum(0).tolist() == [98, 98, 99, 0, 99]


@pytest.mark.neutral
def test_digits_in_the_middle_are_seen_as_they_are():
    images, labels = neocognitron.presented("middle", 0)
    assert (images == np.tile(neocognitron.digits([neocognitron.MIDDLE]), (5, 1, 1, 1))).all()
    assert labels.tolist() == [0, 1, 2, 3, 4] * 5


def test_a_network_is_trained_and_drawn_by_place(tmp_path, monkeypatch):
    monkeypatch.setattr(neocognitron, "STEPS", 20)
    command = ["neocognitron", "--arms=mean_anywhere", "--seeds=1", f"--out={tmp_path}"]
    assert reproduce.main(command) == 0
    said = (tmp_path / "neocognitron.md").read_text(encoding="utf-8")
    assert "| convolutions, means of maps | anywhere | 1,333 | 5 |" in said
    assert (tmp_path / "neocognitron.png").read_bytes().startswith(b"\x89PNG")
