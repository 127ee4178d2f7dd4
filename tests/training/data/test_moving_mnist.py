"""Films of digits that move and bounce."""

import numpy as np
import pytest

from training import data
from training.data import moving_mnist

pytestmark = pytest.mark.neutral


def digits():
    """Bright rectangles of grey levels that tell them apart, 6 × 5."""
    return np.stack([np.full((6, 5), level, "uint8") for level in (60, 120, 250)])


def test_a_digit_stays_whole_moves_at_its_speed_and_bounces_at_the_edges():
    seen, to_come = moving_mnist.films(digits(), 20, frames=40, side=32, moving=1)
    assert seen.shape == to_come.shape == (20, 20, 32, 32, 1)
    assert seen.dtype == "float32"
    whole, bounced = np.concatenate([seen, to_come], 1)[..., 0], 0
    for film in whole:
        level = film.max()
        assert round(float(level) * 255) in (60, 120, 250)
        corners = []
        for frame in film:
            rows, columns = np.nonzero(frame)
            np.testing.assert_array_equal(frame[frame > 0], level)
            assert (rows.max() - rows.min(), columns.max() - columns.min()) == (5, 4)
            assert len(rows) == 30
            corners.append((rows.min(), columns.min()))
        steps = np.diff(corners, axis=0)
        # Whole pixels are rounded; a bounce takes part of a step back.
        assert np.hypot(*steps.T).max() < 5 + 2**0.5
        inner = [
            step
            for step, (r, c) in zip(steps, corners, strict=False)
            if 6 <= r <= 20 and 6 <= c <= 21
        ]
        assert np.hypot(*np.transpose(inner)).min() > 3 - 2**0.5
        bounced += (np.diff(np.sign(steps[:, 0][steps[:, 0] != 0])) != 0).any()
    assert bounced > 10


def test_films_are_the_same_however_many_are_drawn_and_differ_from_seed_to_seed():
    five, _ = moving_mnist.films(digits(), 5, side=32)
    two, _ = moving_mnist.films(digits(), 2, side=32)
    other, _ = moving_mnist.films(digits(), 2, seed=1, side=32)
    np.testing.assert_array_equal(five[:2], two)
    assert np.abs(other - two).max() > 0.1
    assert np.abs(five[0] - five[1]).max() > 0.1


def test_wrong_sizes_are_refused_in_one_sentence():
    with pytest.raises(ValueError, match=r"`frames` must be even .* 5"):
        moving_mnist.films(digits(), 1, frames=5)
    with pytest.raises(ValueError, match=r"`side` .* 6 × 5, but it is 6"):
        moving_mnist.films(digits(), 1, side=6)


@pytest.mark.slow
def test_films_are_drawn_from_the_prepared_mnist(data_dir):
    films = data.load("moving_mnist", "evaluation", data_dir, limit=2)
    assert films.images.shape == films.labels.shape == (2, 10, 64, 64, 1)
    assert (films.split, films.tag, films.images.max()) == ("test", "moving_mnist", 1)
    other = data.load("moving_mnist", "train", data_dir, limit=2)
    assert np.abs(other.images - films.images).max() > 0.1
